"""stowage.fleet.verify_network: what differs is named; in check mode only named, else repaired; then nothing is."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.lab

HARMS = {
    "ip route del {block} dev stwvx0": "add route {block}",
    "nft delete table inet stowage": "table inet stowage",
    "sysctl -qw net.ipv4.conf.stw0.rp_filter=1": "net.ipv4.conf.stw0.rp_filter",
    "echo '# by hand' >> /etc/stowage/base.nft": "/etc/stowage/base.nft",
}


def test_drift_is_named_and_repaired(bootstrapped):
    fleet = bootstrapped
    assert fleet.play("verify_network", "--check").ok().changed == 0
    node = fleet.nodes[1]
    block = fleet.shell(node, "ip route show dev stwvx0 proto 83 | awk '$1 ~ /24$/ {print $1; exit}'")
    for harm in HARMS:
        fleet.shell(node, harm.format(block=block))
    named = fleet.play("verify_network", "--check").ok()
    assert [words for words in HARMS.values() if words.format(block=block) not in named.text] == [], named.text
    assert {host for host, counts in named.recap.items() if counts["changed"]} == {node}
    assert "table inet stowage" not in fleet.shell(node, "nft list tables").splitlines(), "check mode repairs nothing"
    repaired = fleet.play("verify_network").ok()
    assert [words for words in HARMS.values() if words.format(block=block) not in repaired.text] == [], repaired.text
    assert fleet.play("verify_network").ok().changed == 0
    assert fleet.shell(node, "/usr/local/lib/stowage/stowage-net --check") == ""
