# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator is told while a plan is carried out."""

from __future__ import annotations

import copy

from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from fake_fleet import FakeFleet, compiled, service


def told(fleet, made):
    """[(phase, line)] of a plan, step by step."""
    found = []
    for at, step in enumerate(made["steps"]):
        state = copy.deepcopy(fleet).apply({**made, "steps": made["steps"][: at + 1]})
        found += [(step["phase"], line) for line in rollout.progress_lines(made, state, step)]
    return found


def test_each_step_says_how_far_the_roll_is():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(compiled(service("web", replicas=3))))
    made = fleet.plan(compiled(service("web", replicas=3, image="app:2", update={"parallelism": 2})))
    assert told(fleet, made) == [
        ("start", "  ready: shop_web 2/3"),
        ("endpoints", "  with traffic: shop_web 2/3"),
        ("start", "  ready: shop_web 3/3"),
        ("endpoints", "  with traffic: shop_web 3/3"),
    ]


def test_what_failed_is_not_counted_and_nothing_is_said_of_nothing():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(compiled(service("web", replicas=2))))
    fleet.broken_images.add("app:2")
    made = fleet.plan(compiled(service("web", replicas=2, image="app:2")))
    assert told(fleet, made) == []


def test_a_line_stays_short_with_many_services():
    fleet = FakeFleet()
    made = fleet.plan(compiled(*(service(f"service-with-a-long-name-{at:02}") for at in range(40))))
    lines = [line for _phase, line in told(fleet, made)]
    assert lines
    assert max(map(len, lines)) <= 300
    assert lines[0].endswith(" and 34 more")
