"""Black holes are named with path and size before anything hangs, and the network's view shows what is wrong where."""

from __future__ import annotations

import json
import os
from xml.etree import ElementTree

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
]
HOLE = """nft -f - <<'END'
table inet hole { chain drops { type filter hook prerouting priority -400; ip saddr %s meta length > %d drop; }; }
END"""
CLOSED = """nft -f - <<'END'
table inet hole { chain drops { type filter hook prerouting priority -400; ip saddr %s udp dport 4789 drop; }; }
END"""


@pytest.fixture
def pair(bootstrapped):
    """Two hosts between which something is done, and undone."""
    one, other = bootstrapped.nodes[:2]
    yield one, other
    bootstrapped.shell(other, "nft delete table inet hole", check=False)


def viewed(fleet):
    path = fleet.directory / "network.json"
    run = fleet.play("status", "-e", "view=network", "-e", f"stowage_status_file={path}").ok()
    assert run.changed == 0
    return run.text, json.loads(path.read_text())["network"]


def ways(view):
    return {(way["from"], way["to"]): way["state"] for way in view["ways"]}


def test_a_black_hole_is_named_with_path_and_size(bootstrapped, pair):
    one, other = pair
    fleet = bootstrapped
    assert fleet.play("verify_network", "--check").ok().changed == 0
    fleet.shell(other, HOLE % (fleet.address(one), 1372))
    run = fleet.play("verify_network")
    assert run.rc != 0
    for here, there in ((one, other), (other, one)):
        place = f"STW-MTU {here} to {there} ({fleet.address(there)})"
        assert f"{place}: packets of 1500 bytes are lost, 1372 bytes pass" in " ".join(run.text.split()), run.text
    text, view = viewed(fleet)
    assert ways(view)[one, other] == ways(view)[other, one] == "narrow"
    assert f"way {one} to {other} ({fleet.address(other)}): narrow, 1372 of 1500 bytes pass" in text
    fleet.shell(other, "nft delete table inet hole")
    assert fleet.play("verify_network").ok().changed == 0
    _text, view = viewed(fleet)
    assert set(ways(view).values()) == {"up"}
    assert len(ways(view)) == len(fleet.nodes) * (len(fleet.nodes) - 1)


def test_a_closed_tunnel_is_a_warning_that_says_what_to_allow(bootstrapped, pair):
    one, other = pair
    bootstrapped.shell(other, CLOSED % bootstrapped.address(one))
    run = bootstrapped.play("verify_network").ok()
    assert "allow UDP 4789 there" in " ".join(run.text.split())
    assert ways(viewed(bootstrapped)[1])[one, other] == "closed"


def test_the_view_shows_drift_policy_and_a_picture(bootstrapped, pair):
    one, _other = pair
    fleet = bootstrapped
    fleet.stack(
        "services:\n  web: {image: 'stowage/tools:1', command: [sleep, infinity], ports: ['18080:8080']}\n"
        "  db:\n    image: stowage/tools:1\n    x-stowage: {allow: [{from: web, ports: [5432/tcp]}]}\n"
    )
    fleet.shell(one, "ip link del stwvx0")
    text, view = viewed(fleet)
    assert f"drift on {one}: add device stwvx0" in text
    assert "shop_web -> shop_db: 5432/tcp" in text
    assert "anywhere -> shop_web: 8080/tcp (published)" in text
    assert {host["state"] for host in view["hosts"].values()} == {"ok"}
    words = {node.text for node in ElementTree.fromstring(view["picture"]).iter() if node.text}
    assert {*fleet.nodes, "shop_web", "shop_db (closed)"} <= words
    refused = fleet.play("status", "-e", "view=perhaps")
    assert refused.rc != 0
    assert "STW-OPTION" in refused.text
    fleet.play("verify_network").ok()
    fleet.stack(None)
