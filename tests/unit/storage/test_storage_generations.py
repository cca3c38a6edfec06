# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which copy of a moved volume counts, at every moment at which a move can be killed."""

from __future__ import annotations

import pytest
from fake_fleet import FakeFleet, compiled, service

DATA = {"name": "shop_data", "driver": "local", "driver_opts": {}, "labels": {}, "external": False}


def fleet_with(**copies):
    """A fleet whose hosts have shop_data; each with its state (None: a plain one)."""
    fleet = FakeFleet()
    for node, state in copies.items():
        fleet.hosts[node]["volumes"] = ["shop_data"]
        fleet.hosts[node]["claims"] = ["shop_data"]
        fleet.hosts[node]["states"] = {"shop_data": state} if state else {}
    return fleet


def state(kind, generation, peer=""):
    return {"state": kind, "generation": generation, "peer": peer}


SEALED, INCOMING = state("sealed", 1, "n3"), state("incoming", 2, "n1")
RETIRED, MOVED = state("retired", 1, "n3"), state("live", 2, "n1")


@pytest.mark.parametrize(
    ("copies", "down", "verdict"),
    [
        ({"n1": None}, "", "n1"),
        ({"n1": None, "n3": INCOMING}, "", "n1"),
        ({"n1": SEALED, "n3": INCOMING}, "", "n1"),
        ({"n1": SEALED, "n3": MOVED}, "", "n3"),
        ({"n1": RETIRED, "n3": MOVED}, "", "n3"),
        ({"n1": SEALED, "n3": INCOMING}, "n3", "shop_data was on its way from n1 to n3, which does not answer"),
        ({"n1": SEALED, "n3": MOVED}, "n3", "shop_data was on its way from n1 to n3, which does not answer"),
        ({"n1": RETIRED, "n3": MOVED}, "n3", "shop_data lives on n3, which does not answer; n1 keeps an old copy"),
        ({"n1": RETIRED, "n3": MOVED}, "n1", "n3"),
        ({"n1": RETIRED, "n3": RETIRED | {"generation": 2, "peer": "n2"}, "n2": state("live", 3, "n3")}, "", "n2"),
    ],
)
def test_only_the_newest_whole_copy_is_used(copies, down, verdict):
    fleet = fleet_with(**copies)
    fleet.down = {down} - {""}
    plan = fleet.plan(compiled(service("db", volumes=[DATA])), allow_unknown=True)
    started = [change["node"] for change in plan["changes"] if change["change"] == "create"]
    reasons = [change["reason"] for change in plan["changes"] if change["change"] == "blocked"]
    assert started == ([verdict] if verdict in ("n1", "n2", "n3") else [])
    assert all(verdict in reason for reason in reasons)
    assert bool(started) != bool(reasons)


PER_SLOT = {**DATA, "name": "data-{{.Task.Slot}}"}


def per_slot(replicas=2, **placement):
    return compiled(service("db", replicas=replicas, volumes=[PER_SLOT], **placement))


def test_a_slot_goes_back_to_the_host_that_has_its_volume():
    fleet = FakeFleet()
    for node, name in (("n3", "data-1"), ("n2", "data-2")):
        fleet.hosts[node]["volumes"] = fleet.hosts[node]["claims"] = [name]
    plan = fleet.plan(per_slot())
    assert {change["slot"]: change["node"] for change in plan["changes"]} == {"1": "n3", "2": "n2"}
    fleet.apply(plan)
    assert fleet.plan(per_slot())["steps"] == []


def test_a_slot_never_leaves_its_volume_behind():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(per_slot()))
    homes = {c["slot"]: node for node in fleet.names for c in fleet.hosts[node]["containers"].values()}
    for slot, node in homes.items():
        fleet.hosts[node]["volumes"] = fleet.hosts[node]["claims"] = [f"data-{slot}"]
    wanted = per_slot()
    wanted["services"][0]["placement"]["constraints"] = [f"node.hostname != {homes['1']}"]
    (change,) = fleet.plan(wanted)["changes"]
    assert (change["change"], change["slot"]) == ("blocked", "1")
    assert "stowage.fleet.move_volume -e volume=data-1" in change["reason"]


def test_a_slot_s_missing_volume_is_not_made_anew():
    fleet = FakeFleet()
    fleet.hosts["n2"]["claims"] = ["data-2"]
    plan = fleet.plan(per_slot())
    assert [change["change"] for change in plan["changes"]] == ["blocked"]
    assert "volume data-2 was made on n2 and is gone" in plan["changes"][0]["reason"]
    accepted = fleet.plan(per_slot(), recreate_volumes=["data-2"])
    assert [change["change"] for change in accepted["changes"]] == ["create", "create"]
