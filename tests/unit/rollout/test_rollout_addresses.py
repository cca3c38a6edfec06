"""Addresses of a host that run out: foretold by the plan, long before one is refused."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network.blocks import address_pool
from ansible_collections.stowage.fleet.plugins.module_utils.rollout.plan import plan
from fake_fleet import FakeFleet, compiled, service


def foretold(plan):
    return [text for text in plan["warnings"] if "addresses of its block" in text]


def test_running_out_is_foretold():
    fleet, room = FakeFleet(("n1",)), len(address_pool("10.128.1.0/24"))
    assert foretold(fleet.plan(compiled(service("web", replicas=room // 2)))) == []
    wanted = compiled(service("web", replicas=room * 8 // 10 + 1))
    first = fleet.plan(wanted)
    (told,) = foretold(first)
    assert told.startswith(f"host n1: {room * 8 // 10 + 1} of {room} addresses of its block are taken")
    fleet.apply(first)
    assert foretold(fleet.plan(wanted)) == [told], "as long as it is so, and although nothing is to do"


def test_one_too_many_is_refused():
    fleet, room = FakeFleet(("n1",)), len(address_pool("10.128.1.0/24"))
    with pytest.raises(StowageError, match="STW-ADDRESSES host n1"):
        fleet.plan(compiled(service("web", replicas=room + 1)))


@pytest.mark.parametrize(
    ("network", "code"),
    [
        ({"cidr": "10.128.0.1/12"}, "STW-CIDR"),
        ({"cidr": "192.0.2.0/24", "block_prefix": 27}, "STW-CIDR-OVERLAP"),
        ({"mtu": 1279}, "STW-NETWORK"),
        ({"mode": "bgp", "bgp": {"topology": "reflectors"}}, "STW-BGP"),
        ({"encryption": "rot13"}, "STW-ENCRYPTION"),
    ],
)
def test_mistakes_of_the_network_are_refused_in_the_plan(network, code):
    fleet = FakeFleet(("n1",))
    settings = {**fleet.fleet(), "network": network}
    settings["nodes"] = [{**node, "address": "192.0.2.11"} for node in settings["nodes"]]
    with pytest.raises(StowageError) as error:
        plan(settings, compiled(service("web")), fleet.observe(), {}, {})
    assert [problem.code for problem in error.value.problems] == [code]
