"""A container that can never start again is replaced, not started."""

from __future__ import annotations

from fake_fleet import FakeFleet, compiled, service


def test_a_stopped_container_whose_secrets_have_no_place_is_replaced():
    fleet, wanted = FakeFleet(), compiled(service("web", replicas=3))
    fleet.apply(fleet.plan(wanted))
    containers = next(host["containers"] for host in fleet.hosts.values() if host["containers"])
    name = next(iter(containers))
    containers[name].update({"state": "exited", "lacks": "secrets"})
    assert [c["change"] for c in fleet.plan(wanted)["changes"]] == ["start"]
    containers[name]["lacks"] = "place"
    plan = fleet.plan(wanted)
    assert [c["change"] for c in plan["changes"]] == ["replace"]
    assert plan["changes"][0]["name"] != name
    fleet.apply(plan)
    assert fleet.plan(wanted)["changes"] == []
