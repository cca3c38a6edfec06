"""Addresses of services in the plan: who has one, that it stays, and what happens where it cannot be."""

from __future__ import annotations

import pytest
from fake_fleet import FakeFleet, compiled, service

FIXED = {"ip": "10.5.0.10", "network": "shop_app", "subnet": "10.5.0.0/24", "gateway": "10.5.0.1"}


def vips(plan):
    return {name: one.get("vip") for name, one in plan["services"].items()}


def test_services_have_an_address_unless_their_names_shall_be_their_tasks():
    wanted = compiled(
        service("web", replicas=2),
        service("every", mode="global"),
        service("flat", endpoint_mode="dnsrr"),
        service("agent", template={"network_mode": "host"}),
        service("fixed", template={"address": FIXED}),
        service("job", mode="replicated-job"),
        service("once", template={"restart": {"condition": "none", "max_attempts": 0}}),
    )
    found = vips(FakeFleet().plan(wanted))
    assert sorted(name for name, vip in found.items() if vip) == ["shop_every", "shop_web"]


def test_an_address_outlives_replicas_versions_and_other_services():
    fleet = FakeFleet()
    first = fleet.plan(compiled(service("web", replicas=2)))
    fleet.apply(first)
    more = [service(f"s{number}") for number in range(40)]
    second = fleet.plan(compiled(service("web", replicas=0, image="app:2"), *more))
    assert vips(second)["shop_web"] == vips(first)["shop_web"]
    fleet.apply(second)
    assert fleet.plan(compiled(service("web", replicas=0, image="app:2"), *more))["steps"] == []
    back = fleet.plan(compiled(service("web", replicas=3), *more))
    assert vips(back)["shop_web"] == vips(first)["shop_web"]


def test_to_gain_an_address_restarts_nothing():
    fleet = FakeFleet()
    flat, wanted = (compiled(service("web", replicas=2, **more)) for more in ({"endpoint_mode": "dnsrr"}, {}))
    fleet.apply(fleet.plan(flat))
    made = fleet.plan(wanted)
    assert made["changes"] == []
    assert [step["phase"] for step in made["steps"]] == ["prepare", "endpoints"]


@pytest.mark.parametrize("lost", ["n1", "n2"])
def test_a_silent_host_changes_no_address(lost):
    fleet = FakeFleet()
    wanted = compiled(service("web", replicas=3), service("db"))
    before = vips(fleet.plan(wanted))
    fleet.apply(fleet.plan(wanted))
    fleet.down.add(lost)
    assert vips(fleet.plan(wanted)) == before


def test_without_a_range_names_answer_with_tasks_and_a_lack_is_told():
    fleet, wanted = FakeFleet(), compiled(service("web"), service("api"))
    fleet.vips = ""
    plan = fleet.plan(wanted)
    assert vips(plan) == {"shop_web": None, "shop_api": None}
    assert plan["warnings"] == []
    fleet.vips = "10.143.0.0/32"
    assert vips(fleet.plan(wanted)) == {"shop_web": None, "shop_api": None}
    fleet.vips = "10.143.0.4/30"
    full = fleet.plan(compiled(*(service(f"s{number}") for number in range(3))))
    assert full["warnings"] == ["shop_s2: no address is left in 10.143.0.4/30: their names answer with tasks"]


def test_hosts_that_disagree_give_no_address_and_say_so():
    fleet, wanted = FakeFleet(), compiled(service("web"))
    seen = fleet.observe()
    del seen["n2"]["network"]["claim"]["vips"]
    fleet.observe = lambda: seen
    plan = fleet.plan(wanted)
    assert vips(plan) == {"shop_web": None}
    assert ["bootstrap" in text for text in plan["warnings"]] == [True]
