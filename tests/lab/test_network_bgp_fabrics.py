"""Mode bgp on lab hosts: two fabrics and the silence of one, a killed bgpd."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import yaml
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


def docker(*arguments):
    """The lab's own engine."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.fixture(scope="module")
def fabrics(bootstrapped):
    """Hosts in mode bgp with two fabrics: the lab's network, and a second one made for this."""
    fleet = bootstrapped
    lab = fleet.variables[fleet.nodes[0]]["stowage_lab_name"]
    name = f"stowage-{lab}-second"
    fleet.wipe()
    fleet.stack(STACK)
    fleet.deploy().ok()
    docker("network", "create", "--label", f"stowage.lab={lab}", name)
    try:
        for node in fleet.nodes:
            docker("network", "connect", name, fleet.outer(node))
            form = f'{{{{(index .NetworkSettings.Networks "{name}").IPAddress}}}}'
            second = docker("inspect", "-f", form, fleet.outer(node)).strip()
            own = {"stowage_fabrics": {"a": fleet.address(node), "b": second}}
            path = fleet.directory / "host_vars" / f"{node}.yml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(yaml.safe_dump(own))
        network(fleet, mode="bgp")
        established(fleet, dict.fromkeys(fleet.nodes, 2 * (len(fleet.nodes) - 1)))
        yield fleet
    finally:
        for node in fleet.nodes:
            (fleet.directory / "host_vars" / f"{node}.yml").unlink(missing_ok=True)
        network(fleet, mode="vxlan")
        for node in fleet.nodes:
            docker("network", "disconnect", name, fleet.outer(node))
        docker("network", "rm", name)


def test_one_of_two_fabrics_falls_silent(fabrics, capsys):
    here, there = fabrics.containers("shop_web")[:2]
    way = fabrics.shell(here["node"], f"ip route get {there['ip']} from {here['ip']} iif stw0")
    device = re.search(r" dev (\S+)", way).group(1)
    try:
        with Traffic(fabrics, here["node"], there["ip"], here["name"]) as traffic:
            fabrics.shell(there["node"], silence(device))
            assert until(lambda: f" dev {device}" not in fabrics.shell(here["node"], f"ip route get {there['ip']}"))
        with capsys.disabled():
            print(f"\nbgp, {device} of two fabrics silent: longest gap {traffic.gap:.2f} s (bar: 1.5 s)")
        assert 0.2 < traffic.gap < 3, traffic.text
        told = health(fabrics)[here["node"]]
        fallen = [one for one in told["sessions"] if one["peer"] in told["down"]]
        assert {one["host"] for one in fallen} == {there["node"]}, told
        assert all(one["bfd"] == "up" for one in told["sessions"] if one not in fallen), told
    finally:
        fabrics.shell(there["node"], SPEAK)
    established(fabrics, dict.fromkeys(fabrics.nodes, 2 * (len(fabrics.nodes) - 1)))
    assert until(lambda: all(one["down"] == [] for one in health(fabrics).values()))


def test_a_killed_bgpd_loses_nothing(fabrics, capsys):
    here, there = fabrics.containers("shop_web")[:2]
    with Traffic(fabrics, here["node"], there["ip"], here["name"]) as traffic:
        fabrics.shell(there["node"], "kill -9 $(cat /run/frr/bgpd.pid)")
        assert until(lambda: fabrics.shell(there["node"], "kill -0 $(cat /run/frr/bgpd.pid) && echo up", check=False))
        established(fabrics, dict.fromkeys(fabrics.nodes, 2 * (len(fabrics.nodes) - 1)))
    with capsys.disabled():
        print(f"\nbgp, bgpd killed: {traffic.lost} of {traffic.sent} packets lost")
    assert traffic.sent > 100
    assert traffic.lost == 0, traffic.text
    assert fabrics.play("verify_network").ok().changed == 0
