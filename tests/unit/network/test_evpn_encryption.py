"""Mode evpn and encryption: what the table says of them, what is refused, and what a host's own table of nft says."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network import converge, frr_host, tables
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import plan_table
from test_network_bgp import NODES, seen

KEYS = {f"n{n}": f"{n}Q4EIdSvgbzcDDMj7GQ1ZOdTLcHOvHJGrOfmqeIuaS0=" for n in (1, 2, 3)}
SIX = [{"name": f"n{n}", "address": f"2001:db8::{n}"} for n in (1, 2)]


def plan(network, nodes=NODES, keys=None, held=None):
    observed = {
        node["name"]: seen(node, "2001:db8::/64" if ":" in node["address"] else "192.0.2.0/24") for node in nodes
    }
    for name, table in (held or {}).items():
        observed[name] = {**observed[name], "held": {**table, "name": name}}
    fleet = {"name": "lab", "network": network, "nodes": nodes, "reflectors": []}
    return plan_table(fleet, observed, keys)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ({"evpn": {"vni": 7}}, "STW-EVPN stowage_network.evpn: mode 'vxlan' has no EVPN"),
        ({"mode": "evpn", "evpn": "yes"}, "STW-EVPN stowage_network.evpn: 'yes' is not a mapping"),
        (
            {"mode": "evpn", "evpn": {"l2": ["a"]}},
            "STW-EVPN stowage_network.evpn.l2: segments of layer 2 are not offered",
        ),
        ({"mode": "evpn", "evpn": {"l3": 7}}, "STW-EVPN stowage_network.evpn.'l3': unknown key"),
        ({"mode": "evpn", "evpn": {"vni": 0}}, "STW-EVPN stowage_network.evpn.vni: 0 is not a number from 1"),
        ({"mode": "evpn", "evpn": {"vni": True}}, "STW-EVPN stowage_network.evpn.vni: True is not a number"),
        ({"mode": "evpn", "vni": 9, "evpn": {"vni": 9}}, "STW-EVPN stowage_network.evpn.vni: 9 is stowage_network.vni"),
        ({"encryption": "ipsec"}, "STW-ENCRYPTION stowage_network.encryption: 'ipsec' is not a known encryption"),
        ({"encryption": True}, "STW-ENCRYPTION stowage_network.encryption: True is not a known encryption"),
        (
            {"mode": "bgp", "encryption": "wireguard"},
            "STW-ENCRYPTION stowage_network.encryption: mode 'bgp' sends packets",
        ),
        ({"mode": "evpn", "encryption": "wireguard"}, "STW-ENCRYPTION stowage_network.encryption: mode 'evpn' sends"),
    ],
)
def test_a_mistake_is_told_once(network, says):
    with pytest.raises(StowageError) as error:
        plan(network)
    assert len(error.value.problems) == 1
    assert says in str(error.value)


def test_evpn_has_no_tunnels_over_ipv6():
    with pytest.raises(StowageError) as error:
        plan({"mode": "evpn"}, SIX)
    assert [problem.code for problem in error.value.problems] == ["STW-EVPN", "STW-EVPN"]


def test_the_vni_of_evpn_is_another_one():
    assert plan({"mode": "evpn"})["evpn"] == {"vni": 5461080}
    assert plan({"mode": "evpn", "vni": 2**24 - 1})["evpn"] == {"vni": 1}
    table = {**plan({"mode": "evpn"}), "name": "n1"}
    assert "@th,96,24 { 5461079, 5461080 } ip saddr != @peers drop" in tables.base_table(table)


def test_encryption_costs_its_bytes():
    assert plan({"encryption": "wireguard"})["mtu"] == 1390
    assert plan({"encryption": "wireguard"}, SIX)["mtu"] == 1370


def test_keys_are_those_that_hosts_tell_now_else_those_others_know():
    table = plan({"encryption": "wireguard"}, keys=KEYS)
    assert {name: entry["public_key"] for name, entry in table["nodes"].items()} == KEYS
    assert all(entry["inner"].endswith(".192") for entry in table["nodes"].values())
    again = plan({"encryption": "wireguard"}, keys={"n1": "not a key\n"}, held={"n2": table})
    assert {name: entry["public_key"] for name, entry in again["nodes"].items()} == KEYS
    assert all(entry["public_key"] == "" for entry in plan({"encryption": "wireguard"})["nodes"].values())


def test_a_copied_key_is_refused():
    with pytest.raises(StowageError) as error:
        plan({"encryption": "wireguard"}, keys={**KEYS, "n3": KEYS["n1"]})
    assert "STW-ENCRYPTION host n3: has the key of host n1" in str(error.value)


def test_plain_vxlan_is_dropped_both_ways():
    text = tables.base_table({**plan({"encryption": "wireguard"}, keys=KEYS), "name": "n1"})
    assert 'iifname != "stwwg0" udp dport 4789 @th,96,24 5461079 counter drop' in text
    assert 'oifname != "stwwg0" udp dport 4789 @th,96,24 5461079 counter drop' in text
    assert "192.0.2." not in text, "only addresses inside are peers"
    assert "stwwg0" not in tables.base_table({**plan({}), "name": "n1"})


def test_health_of_evpn_is_that_of_its_own_family(monkeypatch):
    peer = {"state": "Established", "pfxRcd": 1, "peerUptimeMsec": 5000}
    summary = {"ipv4Unicast": {"peers": {}}, "l2VpnEvpn": {"peers": {"192.0.2.2": peer}}}
    answers = {"show bgp summary json": json.dumps(summary)}
    monkeypatch.setattr(converge, "run", lambda *argv: answers.get(argv[-1], "[]"))
    told = frr_host.bgp_health({**plan({"mode": "evpn"}), "name": "n1"})
    assert told["down"] == ["192.0.2.3"]
