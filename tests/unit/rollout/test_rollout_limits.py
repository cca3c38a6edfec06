# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many tasks roll at a time (numbers, percentages, who must stay), and jobs before a roll."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.amounts import part_of
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from fake_fleet import FakeFleet, compiled, service

STOP_FIRST = {"order": "stop-first", "parallelism": 0}
JOB = {"must_end": True, "pre_roll": True}


@pytest.mark.parametrize(
    ("amount", "whole", "down", "up"),
    [(3, 8, 3, 3), ("25%", 8, 2, 2), ("30%", 8, 2, 3), ("0%", 8, 0, 0), ("100%", 7, 7, 7)],
)
def test_an_amount_is_a_number_or_a_part(amount, whole, down, up):
    assert (part_of(amount, whole), part_of(amount, whole, up=True)) == (down, up)


def rolled(replicas, update, before=None, **more):
    """Sizes of the waves of an update, tasks that are started."""
    fleet = FakeFleet()
    fleet.apply(fleet.plan(compiled(service("web", replicas=before or replicas, **more))))
    made = fleet.plan(compiled(service("web", replicas=replicas, update=update, image="app:2", **more)))
    return [
        sum(len(share["tasks"]) for share in step["hosts"].values())
        for step in made["steps"]
        if step["phase"] == "start"
    ]


@pytest.mark.parametrize(
    ("update", "waves"),
    [
        ({"parallelism": "25%"}, [2, 2, 2, 2]),
        ({"parallelism": "30%"}, [2, 2, 2, 2]),
        ({"parallelism": "1%"}, [1] * 8),
        ({"parallelism": "100%"}, [8]),
        ({**STOP_FIRST, "max_unavailable": 3}, [3, 3, 2]),
        ({**STOP_FIRST, "max_unavailable": "25%"}, [2, 2, 2, 2]),
        ({**STOP_FIRST, "min_available": 5}, [3, 3, 2]),
        ({**STOP_FIRST, "min_available": "80%"}, [1] * 8),
        ({**STOP_FIRST, "max_unavailable": 4, "min_available": 6}, [2, 2, 2, 2]),
        ({"parallelism": 2, "order": "stop-first", "max_unavailable": 5}, [2, 2, 2, 2]),
        ({"parallelism": 4, "max_unavailable": 1, "min_available": "100%"}, [4, 4]),
    ],
)
def test_the_limits_make_the_waves(update, waves):
    assert rolled(8, update) == waves


def test_tasks_that_are_not_there_yet_count_as_away():
    assert rolled(4, {**STOP_FIRST, "max_unavailable": 2}, before=3) == [2, 2], "one new, one replaced; then two"
    assert rolled(4, {**STOP_FIRST, "max_unavailable": 1}, before=3) == [1, 1, 1, 1], "the new one first, alone"


def test_a_part_of_a_global_service_is_of_its_hosts():
    assert rolled(1, {"parallelism": "67%"}, mode="global") == [2, 1]


def test_an_update_that_can_never_begin_is_refused_when_it_is_planned():
    with pytest.raises(StowageError) as caught:
        rolled(1, {**STOP_FIRST, "max_unavailable": "25%"}, mode="global")
    assert [problem.code for problem in caught.value.problems] == ["STW-UPDATE-NEVER"]
    assert "of 3 tasks none may be away" in str(caught.value)


def shop(version, worker="worker:1"):
    """A stack with a migration before the roll, and a database that the migration needs."""
    template = {"run_for": [f"app:{version}"], "restart": {"condition": "none", "max_attempts": 0}}
    return compiled(
        service("db", image="db:1"),
        service("migrate", image=f"app:{version}", depends_on=["shop_db"], template=template, **JOB),
        service("web", replicas=2, image=f"app:{version}", depends_on=["shop_migrate"]),
        service("worker", image=worker),
    )


def order(made):
    """{service: the wave in which it first starts}."""
    found = {}
    for step in made["steps"]:
        for share in step["hosts"].values() if step["phase"] == "start" else ():
            for task in share["tasks"]:
                found.setdefault(task["service"], step["wave"])
    return found


def test_a_job_before_a_roll_goes_first_and_once_per_version():
    fleet = FakeFleet()
    first = fleet.plan(shop(1))
    assert order(first) == {"shop_db": 1, "shop_migrate": 2, "shop_web": 3, "shop_worker": 3}
    fleet.apply(first)
    assert fleet.plan(shop(1))["steps"] == [], "the job ran for this version"
    assert order(fleet.plan(shop(1, worker="worker:2"))) == {"shop_worker": 1}
    again = order(fleet.plan(shop(2, worker="worker:2")))
    assert again == {"shop_migrate": 1, "shop_web": 2, "shop_worker": 2}


def test_a_job_that_fails_stops_the_roll_before_the_first_wave_of_its_stack():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(shop(1)))
    images = {c["service"]: c["spec"] for host in fleet.hosts.values() for c in host["containers"].values()}
    fleet.broken_images.add("app:2")
    state = fleet.apply(fleet.plan(shop(2)))
    assert {entry["service"] for entry in state["failed"]} == {"shop_migrate"}
    after = {c["service"]: c["spec"] for host in fleet.hosts.values() for c in host["containers"].values()}
    assert after["shop_web"] == images["shop_web"]
