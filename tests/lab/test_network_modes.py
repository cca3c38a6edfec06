# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mode bgp on lab hosts: real FRR, sessions between all hosts, and a change of mode under traffic, there and back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time

import pytest
from routed import Traffic, network
from routed import established as meshed

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it")

STACK = """
services:
  web:
    image: stowage/app:1.0
    deploy: {mode: global}
"""
INTERVAL = 0.02  # seconds between two pings


def mode(fleet, name):
    """Write the fleet's mode and bootstrap; the run."""
    path = fleet.directory / "group_vars/all/fleet.yml"
    path.write_text(re.sub(r"mode: \w+", f"mode: {name}", path.read_text()))
    return fleet.play("bootstrap").ok()


def sessions(fleet, node):
    """{neighbor: state} as bgpd tells it."""
    told = json.loads(fleet.shell(node, "vtysh -c 'show bgp ipv4 unicast summary json'"))
    return {peer: entry["state"] for peer, entry in told.get("peers", {}).items()}


def established(fleet):
    """Wait until every host has a session with every other."""
    others, deadline = len(fleet.nodes) - 1, time.monotonic() + 60
    while time.monotonic() < deadline:
        if all(list(sessions(fleet, node).values()) == ["Established"] * others for node in fleet.nodes):
            return True
        time.sleep(1)
    return False


def test_a_change_of_mode_under_traffic_and_back(fleet, capsys):
    fleet.stack(STACK)
    fleet.deploy().ok()
    here, there = fleet.containers("shop_web")[:2]
    host = fleet.variables[here["node"]]
    ssh = ["ssh", "-i", host["ansible_ssh_private_key_file"], *host.get("ansible_ssh_common_args", "").split()]
    inside = (
        f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {here['name']}) -n ping -i {INTERVAL} -W 2 {there['ip']}"
    )
    lost = {}
    try:
        for name in ("bgp", "vxlan"):
            argv = [*ssh, f"root@{host['ansible_host']}", f"timeout -s INT 300 {inside} & echo $! > /run/ping; wait $!"]
            with subprocess.Popen(argv, text=True, stdout=subprocess.PIPE) as ping:
                time.sleep(1)
                mode(fleet, name)
                if name == "bgp":
                    assert established(fleet)
                time.sleep(2)
                fleet.shell(here["node"], "pkill -INT -f 'ping -i'", check=False)
                text, _none = ping.communicate(timeout=30)
            sent, got = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", text).groups())
            lost[name] = (sent - got) * INTERVAL
            assert sent > 50
            if name == "bgp":
                route = fleet.shell(here["node"], f"ip route get {there['ip']}")
                assert "stwvx0" not in route, route
                assert fleet.play("bootstrap").ok().changed == 0
    finally:
        mode(fleet, "vxlan")
    with capsys.disabled():
        print(f"\nlost in a change to bgp {lost['bgp']:.2f} s, back to vxlan {lost['vxlan']:.2f} s")
    assert max(lost.values()) <= 1.0


def test_a_change_between_bgp_and_evpn_under_traffic(fleet, capsys):
    """Sessions of one mode end before those of the other begin: the static VXLAN carries meanwhile."""
    fleet.stack(STACK)
    fleet.deploy().ok()
    here, there = fleet.containers("shop_web")[:2]
    others = dict.fromkeys(fleet.nodes, len(fleet.nodes) - 1)
    families, gaps = {"bgp": "ipv4 unicast", "evpn": "l2vpn evpn"}, {}
    try:
        network(fleet, mode="bgp")
        meshed(fleet, others)
        for name in ("evpn", "bgp"):
            with Traffic(fleet, here["node"], there["ip"], here["name"]) as traffic:
                network(fleet, mode=name)
                meshed(fleet, others, families[name])
                time.sleep(2)
            assert traffic.got > 50, traffic.text
            gaps[name] = (traffic.gap, traffic.lost)
            way = fleet.shell(here["node"], f"ip route get {there['ip']}")
            assert ("stwl3" in way) == (name == "evpn"), way
            assert "stwvx0" not in way
    finally:
        mode(fleet, "vxlan")
    with capsys.disabled():
        said = [f"to {name} {gap:.2f} s ({lost} pings lost)" for name, (gap, lost) in gaps.items()]
        print(f"\nlongest gap of a change from bgp {said[0]}, back {said[1]}")
    assert max(gap for gap, _lost in gaps.values()) <= 1.0
