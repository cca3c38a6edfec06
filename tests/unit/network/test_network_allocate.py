"""Blocks: claimed once, kept for ever, the same for every order."""

from __future__ import annotations

import copy
import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate, plan_table
from hypothesis import given, settings
from hypothesis import strategies as st

NETWORK = {"mode": "vxlan", "cidr": "10.128.0.0/16", "block_prefix": 24}
NAMES = st.sets(st.from_regex(r"[a-z][a-z0-9-]{0,6}[a-z0-9]", fullmatch=True), min_size=1, max_size=20)


def nodes(*names):
    return [{"name": name, "address": f"192.0.2.{number + 1}"} for number, name in enumerate(sorted(names))]


def held(table, name):
    return {**table, "name": name}


def blocks(table):
    return {name: entry["block"] for name, entry in table["nodes"].items()}


def codes(error):
    return [problem.code for problem in error.value.problems]


def test_an_entry_follows_from_block_and_address():
    table = allocate({**NETWORK, "cidr": "10.128.0.0/24", "block_prefix": 24}, nodes("n1"), {}, "lab")
    assert table["nodes"]["n1"] == {
        "index": 0,
        "block": "10.128.0.0/24",
        "gateway": "10.128.0.1",
        "vtep": "10.128.0.0",
        "address": "192.0.2.1",
        "mac": "0a:53:c0:00:02:01",
    }
    assert (table["fleet"], table["mtu"], table["vni"], table["port"]) == ("lab", 1450, 5461079, 4789)


@given(NAMES, st.randoms(use_true_random=False))
def test_order_of_nodes_and_claims_changes_nothing(names, rng):
    members = nodes(*names)
    first = allocate(NETWORK, members, {}, "lab")
    shuffled = members[:]
    rng.shuffle(shuffled)
    claims = {name: held(first, name) for name in names}
    turned = dict(sorted(claims.items(), key=lambda _item: rng.random()))
    assert allocate(NETWORK, shuffled, {}, "lab") == first
    assert allocate(NETWORK, shuffled, turned, "lab") == first


@given(NAMES, NAMES)
def test_blocks_never_move_when_hosts_come_and_go(before, after):
    first = allocate(NETWORK, nodes(*before), {}, "lab")
    claims = {name: held(first, name) for name in before & after}
    second = allocate(NETWORK, nodes(*after), claims, "lab")
    assert {n: blocks(second)[n] for n in before & after} == {n: blocks(first)[n] for n in before & after}
    assert len(set(blocks(second).values())) == len(after)


@given(NAMES)
def test_a_new_host_does_not_depend_on_the_others_unless_they_collide(names):
    wide = {**NETWORK, "cidr": "10.0.0.0/8"}
    alone = {name: blocks(allocate(wide, nodes(name), {}, "lab"))[name] for name in names}
    if len(set(alone.values())) == len(names):
        assert blocks(allocate(wide, nodes(*names), {}, "lab")) == alone


@settings(max_examples=30)
@given(st.integers(1, 16))
def test_every_block_of_a_small_cidr_can_be_used(count):
    tight = {**NETWORK, "cidr": "10.9.0.0/20"}
    names = [f"host{number}" for number in range(count)]
    table = allocate(tight, nodes(*names), {}, "lab")
    assert len(set(blocks(table).values())) == count


def test_a_silent_host_keeps_its_block_from_the_others_tables():
    first = allocate(NETWORK, nodes("n1", "n2", "n3"), {}, "lab")
    claims = {"n1": held(first, "n1"), "n2": held(first, "n2")}
    assert blocks(allocate(NETWORK, nodes("n1", "n2", "n3"), claims, "lab")) == blocks(first)


def test_a_reinstalled_host_gets_its_block_back():
    first = allocate(NETWORK, nodes("n1", "n2"), {}, "lab")
    moved = copy.deepcopy(first)
    moved["nodes"]["n2"]["block"] = "10.128.77.0/24"
    claims = {"n1": held(moved, "n1"), "n2": None}
    assert blocks(allocate(NETWORK, nodes("n1", "n2"), claims, "lab"))["n2"] == "10.128.77.0/24"


def test_an_own_claim_wins_over_what_others_say():
    first = allocate(NETWORK, nodes("n1", "n2"), {}, "lab")
    own = copy.deepcopy(first)
    own["nodes"]["n2"]["block"] = "10.128.88.0/24"
    claims = {"n1": held(first, "n1"), "n2": held(own, "n2")}
    assert blocks(allocate(NETWORK, nodes("n1", "n2"), claims, "lab"))["n2"] == "10.128.88.0/24"


def test_a_host_that_left_is_retired_and_its_block_reused_last():
    tiny = {**NETWORK, "cidr": "10.9.0.0/23"}
    first = allocate(tiny, nodes("a", "b"), {}, "lab")
    second = allocate(tiny, nodes("a"), {"a": held(first, "a")}, "lab")
    assert second["retired"] == {"b": blocks(first)["b"]}
    third = allocate(tiny, nodes("a", "c"), {"a": held(second, "a")}, "lab")
    assert (blocks(third)["c"], third["retired"]) == (blocks(first)["b"], {})
    back = allocate(tiny, nodes("a", "b"), {"a": held(second, "a")}, "lab")
    assert blocks(back)["b"] == blocks(first)["b"]


def test_a_wider_cidr_moves_nobody():
    first = allocate(NETWORK, nodes("n1", "n2"), {}, "lab")
    claims = {name: held(first, name) for name in ("n1", "n2")}
    grown = allocate({**NETWORK, "cidr": "10.128.0.0/12"}, nodes("n1", "n2", "n3"), claims, "lab")
    assert {n: blocks(grown)[n] for n in ("n1", "n2")} == blocks(first)


def test_two_hosts_with_one_block_are_both_named():
    first = allocate(NETWORK, nodes("n1", "n2"), {}, "lab")
    copied = copy.deepcopy(first)
    copied["nodes"]["n2"]["block"] = copied["nodes"]["n1"]["block"]
    claims = {"n1": held(first, "n1"), "n2": held(copied, "n2")}
    with pytest.raises(StowageError) as error:
        allocate(NETWORK, nodes("n1", "n2"), claims, "lab")
    assert codes(error) == ["STW-CLAIM"]
    assert "host n2: claims" in str(error.value)
    assert "as host n1 does" in str(error.value)


def test_all_wrong_claims_are_found_in_one_pass():
    good = allocate(NETWORK, nodes("n1", "n2", "n3", "n4"), {}, "lab")
    outside = copy.deepcopy(good)
    outside["nodes"]["n3"]["block"] = "10.200.0.0/24"
    broken = copy.deepcopy(good)
    broken["nodes"]["n4"]["block"] = "{{ lookup('pipe', 'id') }}"
    claims = {
        "n1": {**held(good, "n1"), "fleet": "prod"},
        "n2": held(good, "n1"),
        "n3": held(outside, "n3"),
        "n4": held(broken, "n4"),
    }
    with pytest.raises(StowageError) as error:
        allocate(NETWORK, nodes("n1", "n2", "n3", "n4"), claims, "lab")
    assert codes(error) == ["STW-CLAIM"] * 4
    for part in (
        "'prod'",
        "holds the claim of host 'n1'",
        "10.200.0.0/24 is not a /24 of 10.128.0.0/16",
        "not a network",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("rubbish", [[], "text", {"nodes": []}, {"nodes": {"n1": 3}, "fleet": "lab", "name": "n1"}])
def test_rubbish_instead_of_a_claim_is_a_refusal_not_a_crash(rubbish):
    with pytest.raises(StowageError) as error:
        allocate(NETWORK, nodes("n1"), {"n1": rubbish}, "lab")
    assert codes(error) == ["STW-CLAIM"]


def test_strange_names_in_a_table_are_not_carried_on():
    first = allocate(NETWORK, nodes("n1"), {}, "lab")
    first["retired"] = {"ok": "10.128.3.0/24", "$(reboot)": "10.128.4.0/24", "far": "10.1.0.0/24"}
    assert allocate(NETWORK, nodes("n1"), {"n1": held(first, "n1")}, "lab")["retired"] == {"ok": "10.128.3.0/24"}


@pytest.mark.parametrize(
    ("network", "code", "part"),
    [
        ({"cidr": "10.128.0.1/12"}, "STW-CIDR", "not an IPv4 network"),
        ({"cidr": "fd00::/8"}, "STW-CIDR", "not an IPv4 network"),
        ({"cidr": 12}, "STW-CIDR", "not an IPv4 network"),
        ({"cidr": "127.0.0.0/12"}, "STW-CIDR", "cannot carry containers"),
        ({"cidr": "10.0.0.0/25"}, "STW-CIDR", "cannot be cut into /24"),
        ({"block_prefix": 30}, "STW-CIDR", "from 20 to 27"),
        ({"block_prefix": "24"}, "STW-CIDR", "'24' is not a number"),
        ({"mode": "vlan"}, "STW-NETWORK", "one of vxlan"),
        ({"mtu": 1279}, "STW-NETWORK", "from 1280"),
        ({"subnet": "x"}, "STW-NETWORK", "unknown key"),
        ({"cidr": "10.9.0.0/24"}, "STW-CIDR-FULL", "holds 1 blocks of /24, the fleet has 2"),
        ({"cidr": "192.0.0.0/16"}, "STW-CIDR-OVERLAP", "address 192.0.2.1 of host n1"),
        (["10.0.0.0/8"], "STW-NETWORK", "not a mapping"),
    ],
)
def test_a_wrong_network_is_refused_with_its_reason(network, code, part):
    with pytest.raises(StowageError) as error:
        allocate(network, nodes("n1", "n2"), {}, "lab")
    assert error.value.code == code
    assert part in str(error.value)


def test_several_mistakes_come_together():
    with pytest.raises(StowageError) as error:
        allocate({"mode": "x", "block_prefix": 3, "port": 0}, nodes("n1"), {}, "lab")
    assert codes(error) == ["STW-NETWORK", "STW-CIDR", "STW-NETWORK"]


def test_the_mtu_is_the_smallest_and_never_grows_by_itself():
    def mtu(network=None, claims=None, **mtus):
        return allocate(network or NETWORK, nodes("n1", "n2"), claims or {}, "lab", mtus)["mtu"]

    assert mtu(n1=1500, n2=9000) == 1450
    before = {"n1": {**held(allocate(NETWORK, nodes("n1", "n2"), {}, "lab"), "n1"), "mtu": 1400}}
    assert mtu(claims=before, n1=1500, n2=1500) == 1400
    assert mtu({**NETWORK, "mtu": 1450}, before, n1=1500, n2=1500) == 1450
    with pytest.raises(StowageError, match=r"STW-MTU .*more than 1450: host n1 has 1500"):
        mtu({**NETWORK, "mtu": 1451}, n1=1500, n2=9000)


def test_ipv6_underlay_costs_more_and_is_not_mixed():
    six = [{"name": "a", "address": "2001:db8::1"}, {"name": "b", "address": "2001:db8::2"}]
    assert allocate(NETWORK, six, {}, "lab")["mtu"] == 1430
    with pytest.raises(StowageError, match="STW-INVENTORY host b: stowage_address: is IPv6, other hosts have IPv4"):
        allocate(NETWORK, [nodes("a")[0], six[1]], {}, "lab")


def seen(**more):
    return {"held": None, "networks": [], "addresses": ["192.0.2.1"], "mtu": 1500, **more}


def fleet(*names):
    return {"name": "lab", "network": NETWORK, "nodes": nodes(*names)}


def test_a_plan_needs_no_answer_from_everybody():
    table = plan_table(fleet("n1", "n2"), {"n1": seen()})
    assert sorted(table["nodes"]) == ["n1", "n2"]


def test_a_plan_refuses_networks_that_hosts_already_know():
    there = [
        {"cidr": "10.128.4.0/22", "kind": "docker", "what": "Docker network shop_default"},
        {"cidr": "10.0.0.0/8", "kind": "route", "what": "route via 192.0.2.254 dev eth0"},
        {"cidr": "10.128.0.0/15", "kind": "address", "what": "address 10.129.0.9/15 on eth1"},
    ]
    with pytest.raises(StowageError) as error:
        plan_table(fleet("n1", "n2"), {"n1": seen(networks=there), "n2": seen(mtu=None, addresses=["192.0.2.9"])})
    assert codes(error) == ["STW-CIDR-OVERLAP", "STW-CIDR-OVERLAP", "STW-INVENTORY"]
    assert "Docker network shop_default" in str(error.value)
    assert "192.0.2.2 is not on the host, which has 192.0.2.9" in str(error.value)


def test_random_claims_never_give_two_hosts_one_block():
    rng = random.Random(1)
    for _round in range(200):
        names = [f"h{n}" for n in range(rng.randint(1, 8))]
        table = allocate({**NETWORK, "cidr": "10.9.0.0/20"}, nodes(*names), {}, "lab")
        claims = {n: held(table, n) for n in names if rng.random() < 0.5}
        grown = names + [f"new{n}" for n in range(rng.randint(0, 4))]
        second = allocate({**NETWORK, "cidr": "10.9.0.0/20"}, nodes(*grown), claims, "lab")
        assert len(set(blocks(second).values())) == len(grown)


def test_pools_of_docker_are_refused_while_nobody_has_a_claim():
    members = nodes("n1", "n2")
    fleet = {"name": "lab", "network": {"cidr": "172.20.0.0/16"}, "nodes": members}
    seen = {"held": None, "networks": [], "addresses": [], "mtu": 1500, "pools": ["172.17.0.0/16", "172.20.0.0/14"]}
    with pytest.raises(StowageError) as error:
        plan_table(fleet, {node["name"]: seen for node in members})
    assert codes(error) == ["STW-CIDR-OVERLAP"] * 2
    assert "172.20.0.0/14 ('from which Docker takes subnets" in str(error.value)
    table = allocate(fleet["network"], members, {}, "lab")
    later = {"n1": {**seen, "held": held(table, "n1")}, "n2": seen}
    assert plan_table(fleet, later)["nodes"] == table["nodes"], "a fleet that lives there stays"
