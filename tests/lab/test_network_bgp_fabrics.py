"""Mode bgp on lab hosts: two fabrics and the silence of one, a killed bgpd, a host that joins through a reflector."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
import yaml
from routed import SPEAK, Traffic, established, health, network, play, silence, until

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
LEAVE = """
- hosts: {joiner}
  gather_facts: false
  tasks:
    - stowage.fleet.host_frr: {{state: absent}}
    - stowage.fleet.host_network: {{state: absent}}
"""
# What a bootstrap does, on the new host only. The others are asked, as always, and not touched.
JOIN = """
- hosts: stowage_nodes
  gather_facts: false
  tasks:
    - stowage.fleet.host_network: {{state: observed, address: "{{{{ ansible_host }}}}"}}
      register: observed
    - stowage.fleet.network_plan: {{observed: observed}}
      run_once: true
      register: planned
    - stowage.fleet.host_network: {{name: "{{{{ inventory_hostname }}}}", table: "{{{{ planned.table }}}}"}}
      when: inventory_hostname == '{joiner}'
    - stowage.fleet.host_frr: {{name: "{{{{ inventory_hostname }}}}", table: "{{{{ planned.table }}}}"}}
      when: inventory_hostname == '{joiner}'
"""
KEPT = (
    "sha256sum /etc/frr/frr.conf /etc/frr/daemons /etc/stowage/network.json /etc/stowage/base.nft;"
    " cat /run/frr/zebra.pid /run/frr/bgpd.pid /run/frr/bfdd.pid"
)


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


def members(fleet, nodes, reflectors):
    """Make these hosts the fleet, in the inventory and in its settings."""
    hosts = yaml.safe_load(yaml.safe_dump(fleet.hosts))
    group = hosts["all"]["children"]["stowage_nodes"]
    group["hosts"] = {name: value for name, value in group["hosts"].items() if name in nodes}
    hosts["all"]["children"]["stowage_reflectors"] = {"hosts": dict.fromkeys(reflectors)}
    (fleet.directory / "hosts.yml").write_text(yaml.safe_dump(hosts))
    path = fleet.directory / "group_vars/all/fleet.yml"
    path.write_text(re.sub(r"nodes: \[[^]]*\]", f"nodes: [{', '.join(nodes)}]", path.read_text()))


def test_a_new_host_joins_through_a_reflector(bootstrapped, capsys):
    fleet = bootstrapped
    fleet.wipe()
    *old, joiner = fleet.nodes
    client, settings = old[-1], {"mode": "bgp", "bgp": {"topology": "reflectors"}}
    table = yaml.safe_load(fleet.shell(joiner, "cat /etc/stowage/network.json"))["table"]
    vtep, source = (table["nodes"][name]["vtep"] for name in (joiner, client))
    try:
        play(fleet, LEAVE.format(joiner=joiner))
        members(fleet, old, old[:1])
        network(fleet, **settings)
        established(fleet, {node: 1 if node != old[0] else len(old) - 1 for node in old})
        before = {node: fleet.shell(node, KEPT) for node in old}
        members(fleet, fleet.nodes, old[:1])
        with Traffic(fleet, client, vtep, source=source) as traffic:
            play(fleet, JOIN.format(joiner=joiner))
            assert until(lambda: fleet.shell(client, f"ip route show {vtep[:-2]}.0/24 proto bgp"))
        took = traffic.answers[0] - float(fleet.shell(joiner, "stat -c %.9Y /run/frr/zebra.pid"))
        with capsys.disabled():
            print(f"\nbgp, a new host behind a reflector: reachable {took:.2f} s after its FRR began (bar: 5 s)")
        assert 0 < took < 15
        assert {node: fleet.shell(node, KEPT) for node in old} == before, "nothing changed elsewhere"
        established(fleet, {joiner: 1, client: 1, old[0]: len(old)})
        assert fleet.play("verify_network").ok().changed > 0  # the others learn of it: the table, VXLAN underneath
        assert fleet.play("verify_network").ok().changed == 0
    finally:
        members(fleet, fleet.nodes, [])
        network(fleet, mode="vxlan")
