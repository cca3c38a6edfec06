"""Laws that hold whatever rules are combined, judged by the validator. STOWAGE_HYPOTHESIS=thorough tries more."""

from __future__ import annotations

import copy
import json
import random

from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from schedule_strategies import fleets, shuffled
from schedule_validator import violations

FEW = settings(max_examples=40) if settings.default.max_examples <= 100 else settings()  # thorough: as the profile says
OWN_WISH = ("rebalance", "repair", "preempted")  # causes of moves of what could have stayed


def planned(nodes, services, current, options):
    """The plan; input whose rules exclude each other is refused, which is another test's business."""
    try:
        return schedule(nodes, services, current, options)
    except StowageError as error:
        assume({problem.code for problem in error.problems} != {"STW-CONTRADICTION"})
        raise


def places(result):
    return {(p["service"], p["slot"], p["node"]) for p in result["placements"]}


@FEW
@given(fleets())
def test_no_rule_is_broken(fleet):
    before = copy.deepcopy(fleet)
    result = planned(*fleet)
    assert violations(*fleet, result) == []
    assert fleet == before, "an argument was changed"


@FEW
@given(fleets())
def test_the_second_plan_moves_nothing(fleet):
    nodes, services, current, options = fleet
    options = {key: value for key, value in options.items() if key != "rebalance"}
    first = planned(nodes, services, current, options)
    again = schedule(nodes, services, first["placements"], options)
    assert again["moves"] == []
    assert places(first) <= places(again)


@FEW
@given(fleets())
def test_what_is_legally_placed_stays(fleet):
    nodes, services, _current, options = fleet
    for one in services:
        one["preempt"] = False
    options = {**{key: value for key, value in options.items() if key != "rebalance"}, "repair_moves": 0}
    first = planned(nodes, services, [], options)
    changed = [{**one, "priority": 0, "replicas": one["replicas"] + 2} for one in services]
    again = planned(nodes, changed, first["placements"], options)
    assert places(first) <= places(again)
    assert again["moves"] == []


@FEW
@given(fleets())
def test_a_move_of_what_could_stay_is_paid_for(fleet):
    _nodes, services, current, options = fleet
    result = planned(*fleet)
    before = {(one["service"], one["slot"], one["node"]) for one in current}
    started = [key for key in places(result) if key not in before]
    causes = [move["cause"] for move in result["moves"] if move["to"] is not None]
    moved = sum(causes.count(cause) for cause in OWN_WISH)
    assert causes.count("rebalance") <= options.get("rebalance", {}).get("max_moves", 0)
    assert causes.count("repair") <= options.get("repair_moves", 4) * (len(started) - moved)
    if not any(one["preempt"] for one in services):
        assert "preempted" not in {entry.get("cause") for entry in [*result["moves"], *result["unplaced"]]}


@FEW
@given(fleets())
def test_repair_never_leaves_more_without_a_home(fleet):
    nodes, services, current, options = fleet
    without = planned(nodes, services, current, {**options, "repair_moves": 0})
    result = schedule(nodes, services, current, {**options, "repair_moves": 4})
    assert len(result["unplaced"]) <= len(without["unplaced"])


@FEW
@given(fleets(), st.integers(0, 2**32))
def test_order_never_matters(fleet, seed):
    chaos = random.Random(seed)
    reference = json.dumps(planned(*fleet))
    assert json.dumps(schedule(*(shuffled(part, chaos) for part in fleet))) == reference


@FEW
@given(fleets())
def test_adding_an_empty_host_unplaces_nothing(fleet):
    nodes, services, _current, options = fleet
    first = planned(*fleet)
    more = [*nodes, {"name": "n9", "capacity": {"cpus": 64, "memory": 2**40}, "labels": {"zone": "a", "rank": "3"}}]
    options = {key: value for key, value in options.items() if key != "rebalance"}
    again = schedule(more, services, first["placements"], options)
    placed = {key[:2] for key in places(again)}
    assert {key[:2] for key in places(first)} <= placed
    stayed = {move["cause"] for move in again["moves"]}
    assert stayed <= set(OWN_WISH)


@FEW
@given(fleets())
def test_with_moves_off_nothing_on_a_host_moves(fleet):
    nodes, services, current, options = fleet
    result = planned(nodes, services, current, {**options, "allow_moves": False})
    lost = {n["name"] for n in nodes if n["unknown"] and n["name"] in options.get("assume_lost", ())}
    reachable = {n["name"] for n in nodes} - lost
    assert [m for m in result["moves"] if m["to"] is not None and m["from"] in reachable] == []
    assert violations(nodes, services, current, {**options, "allow_moves": False}, result) == []


@FEW
@given(fleets())
def test_to_explain_changes_nothing(fleet):
    nodes, services, current, options = fleet
    plain = planned(*fleet)
    asked = [f"{entry['service']}.{entry['slot']}" for entry in [*plain["placements"], *plain["unplaced"]]]
    told = schedule(nodes, services, current, {**options, "explain": asked})
    assert set(told.pop("explain", {})) == set(asked)
    plain.pop("explain", None)
    assert told == plain
