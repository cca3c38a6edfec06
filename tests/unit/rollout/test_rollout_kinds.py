# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Services that are not a number of servers on the fleet network: jobs, what others wait for, the host's network."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import ready
from fake_fleet import FakeFleet, compiled, service

ON_FAILURE = {"restart": {"condition": "on-failure", "max_attempts": 0}}


@pytest.mark.parametrize(("mode", "replicas", "tasks"), [("replicated-job", 3, 3), ("global-job", 1, 3)])
def test_a_job_runs_once_and_again_only_when_it_changed(mode, replicas, tasks):
    fleet = FakeFleet()
    job = compiled(service("migrate", mode=mode, replicas=replicas, template=ON_FAILURE))
    first = fleet.plan(job)
    assert [change["change"] for change in first["changes"]] == ["create"] * tasks
    fleet.apply(first)
    assert fleet.plan(job)["steps"] == []
    assert fleet.plan(job)["serving"] == []
    changed = compiled(service("migrate", mode=mode, replicas=replicas, template=ON_FAILURE, image="app:2"))
    again = fleet.plan(changed)
    assert [change["change"] for change in again["changes"]] == ["replace"] * tasks
    fleet.apply(again)
    assert fleet.plan(changed)["steps"] == []


def test_a_job_that_failed_is_started_again():
    fleet = FakeFleet(("n1",))
    job = compiled(service("migrate", mode="replicated-job", template=ON_FAILURE))
    fleet.apply(fleet.plan(job))
    (container,) = fleet.hosts["n1"]["containers"].values()
    container.update(state="exited", exit_code=1)
    assert [change["change"] for change in fleet.plan(job)["changes"]] == ["start"]


def test_a_container_on_its_host_s_network_has_the_host_s_address():
    fleet = FakeFleet()
    wanted = compiled(service("agent", mode="global", template={"network_mode": "host"}), service("web"))
    plan = fleet.plan(wanted)
    found = {change["node"]: change["ip"] for change in plan["changes"] if change["service"] == "shop_agent"}
    assert found == {"n1": "192.0.2.1", "n2": "192.0.2.2", "n3": "192.0.2.3"}
    state = fleet.apply(plan)
    serving = {task["ip"] for task in state["serving"] if task["service"] == "shop_agent"}
    assert serving == set(found.values())
    assert fleet.plan(wanted)["steps"] == []


TASK = {"one_shot": True, "monitor": 0.0, "ready_timeout": 60.0}
RUNNING = {"state": "running", "health": "none", "exit_code": 0}


@pytest.mark.parametrize(
    ("more", "record", "waited", "verdict"),
    [
        ({}, RUNNING, 61.0, (True, True)),
        ({"must_end": True}, RUNNING, 59.0, (False, False)),
        ({"must_end": True}, RUNNING, 61.0, (True, False)),
        ({"must_end": True, "one_shot": False}, RUNNING, 10.0, (False, False)),
        ({"must_end": True}, {**RUNNING, "health": "healthy"}, 10.0, (False, False)),
        ({"must_end": True}, {**RUNNING, "state": "exited"}, 10.0, (True, True)),
        ({"must_end": True}, {**RUNNING, "state": "exited", "exit_code": 3}, 10.0, (True, False)),
    ],
)
def test_what_others_wait_for_must_end_with_0(more, record, waited, verdict):
    found = ready.verdict({**TASK, **more}, "none", ready.Look(record, waited))
    assert (found.done, found.ok) == verdict
