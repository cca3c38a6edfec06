"""WireGuard under VXLAN on lab hosts: what the wire shows, plain VXLAN refused, keys that stay at home, rotation."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from routed import Traffic, network, until

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
# What a wiretap on the underlay sees of the fleet: packets of VXLAN, and of WireGuard.
TAP = """nft -f - <<'EOF'
table netdev tap {
  chain inward {
    type filter hook ingress device "eth0" priority -400; udp dport 4789 counter; udp dport 51840 counter
  }
}
EOF"""
COUNTERS = "nft list table netdev tap | awk '/counter/ {print $6}'"
# A VXLAN packet of the fleet's VNI, as anybody on the wire could send it.
FORGED = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
    " s.sendto(bytes([8, 0, 0, 0]) + (5461079).to_bytes(3, 'big') + bytes(60), ('{address}', 4789))"
)


@pytest.fixture(scope="module")
def encrypted(bootstrapped):
    """The fleet with WireGuard under VXLAN, and a task on every host. At the end as it was."""
    bootstrapped.wipe()
    try:
        network(bootstrapped, mode="vxlan", encryption="wireguard")
        bootstrapped.stack(STACK)
        bootstrapped.deploy().ok()
        yield bootstrapped
    finally:
        bootstrapped.wipe()
        network(bootstrapped, mode="vxlan")
        for node in bootstrapped.nodes:
            assert bootstrapped.shell(node, "ip -br link show stwwg0", check=False) == ""


def fingers(fleet):
    """{node: public key that its peers are told of}."""
    return {node: fleet.shell(node, "wg pubkey < /etc/stowage/wireguard.key") for node in fleet.nodes}


def test_the_wire_shows_no_vxlan(encrypted):
    here, there = encrypted.containers("shop_web")[:2]
    inside = f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {here['name']}) -n"
    encrypted.shell(there["node"], TAP)
    try:
        encrypted.shell(here["node"], f"{inside} ping -c 50 -i 0.02 -W 2 {there['ip']}")
        plain, sealed = map(int, encrypted.shell(there["node"], COUNTERS).split())
        assert plain == 0
        assert sealed >= 50
    finally:
        encrypted.shell(there["node"], "nft delete table netdev tap")
    mtu = int(encrypted.shell(here["node"], f"{inside} ip -o link show eth0 | grep -o 'mtu [0-9]*' | cut -c5-"))
    assert mtu == int(encrypted.shell(here["node"], "cat /sys/class/net/eth0/mtu")) - 110
    encrypted.shell(here["node"], f"{inside} ping -c 2 -M do -s {mtu - 28} -W 2 {there['ip']}")
    assert encrypted.play("verify_network").ok().changed == 0


def test_plain_vxlan_is_dropped(encrypted):
    here, there = encrypted.nodes[:2]
    sealing = "nft list chain inet stowage sealing | grep counter"
    rule = "nft list chain inet stowage guard | grep 'iifname != \"stwwg0\" udp'"
    forged = FORGED.format(address=encrypted.address(there))
    subprocess.run([sys.executable, "-c", forged], check=True)
    assert until(lambda: "packets 0 " not in encrypted.shell(there, rule), 5), encrypted.shell(there, rule)
    # Nor does a host send it, whatever sends it there.
    encrypted.shell(here, f'python3 -c "{forged}" || true')
    assert "packets 0 " not in encrypted.shell(here, sealing)


def test_private_keys_stay_where_they_are(encrypted):
    for node in encrypted.nodes:
        assert encrypted.shell(node, "stat -c '%a %U' /etc/stowage/wireguard.key") == "600 root"
        key = encrypted.shell(node, "cat /etc/stowage/wireguard.key")
        for other in encrypted.nodes:
            everywhere = f"grep -rlF '{key}' /etc/stowage /var/lib/stowage /usr/local/lib/stowage /run/stowage"
            found = encrypted.shell(other, f"{everywhere} || true")
            assert found == ("/etc/stowage/wireguard.key" if other == node else "")
        told = encrypted.play("verify_network", "-vvv").ok().text if node == encrypted.nodes[0] else ""
        assert key not in told


def test_keys_are_rotated_and_drift_is_repaired(encrypted, capsys):
    before = fingers(encrypted)
    here, there = encrypted.containers("shop_web")[:2]
    with Traffic(encrypted, here["node"], there["ip"], here["name"]) as traffic:
        encrypted.play("verify_network", "-e", "stowage_wireguard_rotate=true").ok()
        assert until(lambda: "0% packet loss" in encrypted.shell(here["node"], f"ping -c 1 -W 1 {there['ip']}"), 60)
    after = fingers(encrypted)
    assert not set(before.values()) & set(after.values())
    with capsys.disabled():
        print(f"\nwireguard, all keys rotated: longest gap {traffic.gap:.2f} s")
    node = encrypted.nodes[1]
    encrypted.shell(node, "wg set stwwg0 peer $(wg show stwwg0 peers | head -1) remove")
    assert "set peer" in encrypted.play("verify_network").ok().text
    assert encrypted.play("verify_network").ok().changed == 0
