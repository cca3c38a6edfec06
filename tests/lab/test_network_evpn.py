"""Mode evpn on lab hosts: a change of mode under traffic, there and back, a lost host, a killed bgpd, drift."""

from __future__ import annotations

import os

import pytest
from routed import SPEAK, Traffic, established, health, network, silence, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
]

STACK = """
services:
  web:
    image: stowage/app:1.0
    deploy: {mode: global}
"""
FAMILY = "l2vpn evpn"
HARMS = {
    "ip link set stwx0 nomaster": "make stwx0 a port of stwl3",
    "sysctl -qw net.ipv4.conf.stwl3.rp_filter=1": "net.ipv4.conf.stwl3.rp_filter",
}


def enter(fleet, address):
    """A command that runs in a container's network namespace, by its address."""
    container = next(c for c in fleet.containers() if c["ip"] == address)
    return container["node"], f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {container['name']}) -n"


def mesh(fleet):
    """All sessions are there, and every host knows every other's block by them."""
    others = len(fleet.nodes) - 1
    established(fleet, dict.fromkeys(fleet.nodes, others), FAMILY)
    assert until(lambda: all(len(routes(fleet, node)) == others for node in fleet.nodes))


def routes(fleet, node):
    """What FRR has put into the kernel's table over its tunnel."""
    return fleet.shell(node, "ip route show proto bgp dev stwl3").splitlines()


@pytest.fixture(scope="module")
def evpn(bootstrapped):
    """The fleet in mode evpn with a task on every host; `gap`: the longest of the change. At the end vxlan."""
    bootstrapped.wipe()
    bootstrapped.stack(STACK)
    bootstrapped.deploy().ok()
    here, there = bootstrapped.containers("shop_web")[:2]
    try:
        with Traffic(bootstrapped, here["node"], there["ip"], here["name"]) as traffic:
            network(bootstrapped, mode="evpn")
            mesh(bootstrapped)
        bootstrapped.gap = traffic.gap
        assert traffic.got > 50, traffic.text
        yield bootstrapped
    finally:
        network(bootstrapped, mode="vxlan")


def test_containers_of_all_hosts_reach_each_other(evpn):
    tasks = evpn.containers("shop_web")
    assert len({task["node"] for task in tasks}) == len(evpn.nodes)
    for task in tasks:
        node, inside = enter(evpn, task["ip"])
        before = int(evpn.shell(node, "cat /sys/class/net/stwx0/statistics/tx_packets"))
        for other in tasks:
            evpn.shell(node, f"{inside} ping -c 3 -i 0.05 -W 2 {other['ip']}")
            if other["node"] != node:
                assert " dev stwl3" in evpn.shell(node, f"ip route get {other['ip']}")
        assert int(evpn.shell(node, "cat /sys/class/net/stwx0/statistics/tx_packets")) >= before + 3 * (len(tasks) - 1)
    assert evpn.play("verify_network").ok().changed == 0
    told = health(evpn)
    assert all(one["down"] == [] and len(one["sessions"]) == len(evpn.nodes) - 1 for one in told.values()), told


def test_a_lost_host_is_withdrawn(evpn):
    lost, *others = reversed(evpn.nodes)
    evpn.shell(lost, silence("eth0"))
    try:
        expected = len(evpn.nodes) - 2
        assert until(lambda: all(len(routes(evpn, node)) == expected for node in others), 30)
    finally:
        evpn.shell(lost, SPEAK)
    mesh(evpn)


def test_a_killed_bgpd(evpn, capsys):
    here, there = evpn.containers("shop_web")[:2]
    with Traffic(evpn, here["node"], there["ip"], here["name"]) as traffic:
        evpn.shell(there["node"], "kill -9 $(cat /run/frr/bgpd.pid)")
        answers = "vtysh -c 'show bgp l2vpn evpn summary' >/dev/null && echo up"
        assert until(lambda: evpn.shell(there["node"], answers, check=False) == "up", 60)
        mesh(evpn)
    with capsys.disabled():
        print(f"\nevpn, bgpd killed: {traffic.lost} of {traffic.sent} packets lost, longest gap {traffic.gap:.2f} s")
    assert traffic.gap < 3


def test_drift_is_named_and_repaired(evpn):
    node = evpn.nodes[1]
    for harm in HARMS:
        evpn.shell(node, harm)
    named = evpn.play("verify_network", "--check").ok()
    assert [words for words in HARMS.values() if words not in named.text] == [], named.text
    assert {host for host, counts in named.recap.items() if counts["changed"]} == {node}
    evpn.play("verify_network").ok()
    assert evpn.play("verify_network").ok().changed == 0
    mesh(evpn)


def test_back_to_vxlan_under_traffic(evpn, capsys):
    here, there = evpn.containers("shop_web")[:2]
    with Traffic(evpn, here["node"], there["ip"], here["name"]) as traffic:
        network(evpn, mode="vxlan")
    with capsys.disabled():
        print(f"\nlongest gap of a change to evpn {evpn.gap:.2f} s, back to vxlan {traffic.gap:.2f} s")
    assert traffic.got > 50, traffic.text
    assert max(evpn.gap, traffic.gap) <= 1.0
    for node in evpn.nodes:
        assert evpn.shell(node, "ip -br link | grep -E 'stwl3|stwx0'", check=False) == ""
        assert evpn.shell(node, "ip route show proto bgp") == ""
