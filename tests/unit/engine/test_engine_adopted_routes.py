# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an adopted container's network namespace lacks, from what `ip -j` says; and that the program runs alone."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import adopted_routes as routes

NETWORK = {"cidr": "10.128.0.0/12", "block": "10.128.1.0/24", "gateway": "10.128.1.1"}
IP = "10.128.1.2"
ADDR = [
    {"ifname": "eth0", "addr_info": [{"local": "172.18.0.2"}]},
    {"ifname": "eth1", "addr_info": [{"local": IP}]},
    {},
]
FULL = {
    "addr": [link for link in ADDR if link],
    "rule": [{"priority": 0, "src": "all", "table": "local"}, {"priority": 5377, "src": IP, "table": "5377"}],
    "table": [{"dst": "default", "dev": "eth1"}, {"dst": NETWORK["block"], "dev": "eth1"}],
    "main": [{"dst": "default", "dev": "eth0"}, {"dst": NETWORK["cidr"], "dev": "eth1"}],
}
RULE = f"rule add from {IP} lookup 5377 priority 5377"
BLOCK = f"route replace 10.128.1.0/24 dev eth1 src {IP} scope link table 5377"
DEFAULT = f"route replace default via 10.128.1.1 dev eth1 src {IP} table 5377"
FLEET = f"route replace 10.128.0.0/12 via 10.128.1.1 dev eth1 src {IP}"


@pytest.mark.parametrize(
    ("lacking", "wanted"),
    [
        ({}, []),
        ({"rule": []}, [RULE]),
        ({"table": []}, [BLOCK, DEFAULT]),
        ({"main": [{"dst": "default", "dev": "eth0"}]}, [FLEET]),
        ({"rule": [], "table": [], "main": []}, [RULE, BLOCK, DEFAULT, FLEET]),
        ({"main": [{"dst": NETWORK["cidr"], "dev": "eth7"}]}, [FLEET]),
        ({"addr": ADDR[:1], "rule": []}, []),
    ],
)
def test_only_what_is_missing_is_put(lacking, wanted):
    assert routes.missing(NETWORK, IP, {**FULL, **lacking}) == wanted


def test_addresses_and_network_come_from_the_host_s_files(tmp_path, monkeypatch):
    for name, value in (
        ("ADOPTED", {"containers": {"a": {"labels": {"stowage.ip": IP}}}}),
        ("STATE", {"node": "n1", "table": {"cidr": NETWORK["cidr"], "nodes": {"n1": {**NETWORK, "index": 1}}}}),
    ):
        path = tmp_path / name
        monkeypatch.setattr(routes, name, str(path))
        assert (routes.wanted(), routes.own()) in (({}, {}), ({"a": IP}, {}))
        path.write_text(json.dumps(value))
    assert (routes.wanted(), routes.own()) == ({"a": IP}, NETWORK)


def test_it_needs_nothing_but_the_standard_library():
    """Its text is put on hosts as a program."""
    tree = ast.parse(Path(routes.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in imports if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    assert not [node for node in imports if isinstance(node, ast.ImportFrom) and node.level]
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)
