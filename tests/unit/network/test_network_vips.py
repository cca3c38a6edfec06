"""Addresses of services: where they come from, that they stay, and what nft makes of them in a real kernel."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate, assign_vips, vip_range

NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]
NAMES = [f"shop_s{number}" for number in range(60)]


@pytest.mark.parametrize(
    ("cidr", "prefix", "blocks", "wanted"),
    [
        ("10.128.0.0/12", 24, [], "10.143.0.0/16"),
        ("10.0.0.0/8", 24, [], "10.255.0.0/16"),
        ("10.128.0.0/12", 24, ["10.143.9.0/24", "10.142.0.0/24"], "10.141.0.0/16"),
        ("10.128.0.0/16", 24, [], "10.128.240.0/20"),
        ("10.128.0.0/22", 24, [], "10.128.3.0/24"),
        ("10.128.0.0/22", 24, ["10.128.3.0/24"], "10.128.2.0/24"),
        # No sixteenth is free, a block is.
        ("10.128.0.0/20", 26, [f"10.128.{n}.0/26" for n in range(16)], "10.128.15.128/25"),
        ("10.128.0.0/23", 24, ["10.128.0.0/24", "10.128.1.0/24"], ""),
        ("10.128.0.0/24", 24, [], ""),
    ],
)
def test_the_range_is_the_highest_part_that_is_free(cidr, prefix, blocks, wanted):
    assert vip_range(cidr, prefix, "", blocks, blocks) == wanted


def test_blocks_of_hosts_that_left_are_spared_while_there_are_others():
    assert vip_range("10.128.0.0/22", 24, "", ["10.128.0.0/24"], ["10.128.0.0/24", "10.128.3.0/24"]) == "10.128.2.0/24"
    retired = [f"10.128.{n}.0/24" for n in range(4)]
    assert vip_range("10.128.0.0/22", 24, "", ["10.128.0.0/24"], retired) == "10.128.3.0/24"


def test_the_range_stays_when_the_cidr_grows_and_no_block_is_given_out_of_it():
    first = allocate({"cidr": "10.128.0.0/22"}, NODES[:2], {}, "lab")
    claims = {name: {**first, "name": name} for name in ("n1", "n2")}
    grown = allocate({"cidr": "10.128.0.0/20"}, NODES, {**claims, "n3": None}, "lab")
    assert grown["vips"] == first["vips"]
    many = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in range(1, 16)]
    full = allocate({"cidr": "10.128.0.0/20"}, many, claims, "lab")
    assert full["vips"] == first["vips"]
    assert first["vips"] not in [entry["block"] for entry in full["nodes"].values()]


def test_a_claim_of_a_range_that_cannot_be_is_not_believed():
    first = allocate({}, NODES[:1], {}, "lab")
    for lie in ("10.0.0.0/16", first["nodes"]["n1"]["block"], "10.143.0.0/30", "x", 7):
        held = {"n1": {**first, "vips": lie, "name": "n1"}}
        assert allocate({}, NODES[:1], held, "lab")["vips"] == "10.143.0.0/16"


def test_every_service_has_an_address_of_its_own_in_any_order():
    given = assign_vips(NAMES, "10.128.3.0/24", [])
    assert len(set(given.values())) == len(NAMES)
    for names in itertools.islice(itertools.permutations(NAMES), 5):
        assert assign_vips(names, "10.128.3.0/24", []) == given


def test_an_address_stays_whatever_comes_and_goes():
    before = assign_vips(NAMES, "10.128.3.0/24", [])
    after = assign_vips([*NAMES[10:], *(f"blog_{n}" for n in range(120))], "10.128.3.0/24", [before, {}])
    assert {name: after[name] for name in NAMES[10:]} == {name: before[name] for name in NAMES[10:]}
    assert len(set(after.values())) == len(after)


def test_what_most_hosts_were_told_counts_and_what_is_no_address_of_the_range_does_not():
    told = [{"a": "10.128.3.7"}, {"a": "10.128.3.9"}, {"a": "10.128.3.9"}]
    assert assign_vips(["a"], "10.128.3.0/24", told) == {"a": "10.128.3.9"}
    for lie in ("10.128.4.1", "10.128.3.0", "10.128.3.255", "x", "", None):
        assert assign_vips(["a"], "10.128.3.0/24", [{"a": lie}]) == assign_vips(["a"], "10.128.3.0/24", [])
    both = assign_vips(["a", "b"], "10.128.3.0/24", [{"a": "10.128.3.7", "b": "10.128.3.7"}])
    assert both["a"] == "10.128.3.7" != both["b"]


def test_a_full_range_gives_as_many_as_it_has():
    assert len(assign_vips(NAMES, "10.128.3.0/27", [])) == 30
    assert assign_vips(NAMES, "", [{"shop_s1": "10.128.3.1"}]) == {}
