"""x-stowage.allow, .policy and .sources as Service values; the inventory's policy for a stack."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import Options, compile_services, load, stacks

STACK = """
services:
  web: {image: web:1}
  db:
    image: db:1
    x-stowage:
      allow:
        - {from: [web, blog_page], ports: [5432, 9000-9010/udp]}
        - {from: web, ports: [80/tcp]}
        - {from: "*", ports: ["9100"]}
  open: {image: web:1, x-stowage: {policy: open, allow: [{from: blog_page}]}}
  edge: {image: web:1, ports: ["8080:80"], x-stowage: {sources: [192.0.2.0/24, 198.51.100.7]}}
"""


def services(tmp_path, options=None):
    path = tmp_path / "stack.yml"
    path.write_text(STACK)
    made = compile_services("shop", load(path, {}, *([options] if options else [])), str(tmp_path))
    return {
        one["short"]: {key: one[key] for key in ("closed", "allow", "sources") if key in one}
        for one in made["services"]
    }


def test_what_a_service_says(tmp_path):
    pg, agents = ["tcp", 5432, 5432], ["udp", 9000, 9010]
    assert services(tmp_path) == {
        "web": {},
        "db": {
            "closed": True,
            "allow": [
                {"from": "*", "ports": [["tcp", 9100, 9100]]},
                {"from": "blog_page", "ports": [pg, agents]},
                {"from": "shop_web", "ports": [["tcp", 80, 80], pg, agents]},
            ],
        },
        "open": {"allow": [{"from": "blog_page", "ports": []}]},
        "edge": {"sources": ["192.0.2.0/24", "198.51.100.7/32"]},
    }


def test_the_inventory_closes_a_stack_where_it_says_nothing_else(tmp_path):
    found = services(tmp_path, stacks({"shop": {"files": ["x"], "policy": "closed"}})["shop"].options)
    assert {name for name, one in found.items() if one.get("closed")} == {"web", "db", "edge"}
    assert services(tmp_path, Options()) == services(tmp_path)


def test_the_inventory_knows_two_policies():
    with pytest.raises(StowageError, match=r"stowage_stacks\.shop\.policy.*is no policy"):
        stacks({"shop": {"files": ["x"], "policy": "shut"}})
