"""Mode bgp on lab hosts: a host joins through a route reflector, and nothing is changed on the others for it."""

from __future__ import annotations

import os
import re

import pytest
import yaml
from routed import Traffic, established, network, play, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
]

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
