"""A range of published ports, from the stack file to the Engine's binding."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.engine.payload import _bindings
from ansible_collections.stowage.fleet.plugins.module_utils.rollout.placing import scheduled
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

STACK = """
services:
  media:
    image: media:1
    deploy: {replicas: 4}
    ports: [{target: 80, published: "8000-8002", mode: host}]
"""


def test_each_replica_gets_a_free_port_of_the_range(tmp_path):
    path = tmp_path / "stack.yml"
    path.write_text(STACK, encoding="utf-8")
    service = compile_services("shop", load(path), str(tmp_path))["services"][0]
    nodes = [{"name": "n1", "ports": [8001]}, {"name": "n2", "ports": [{"port": 8000, "protocol": "tcp", "ip": ""}]}]
    result = schedule(nodes, [scheduled(service)], [], {})
    taken = {(one["node"], one["ports"]["8000-8002/tcp"]) for one in result["placements"]}
    assert taken == {("n1", 8000), ("n1", 8002), ("n2", 8001), ("n2", 8002)}
    chosen = result["placements"][0]["ports"]
    bound = _bindings(service["template"]["ports"], chosen)
    assert bound == {"80/tcp": [{"HostIp": "", "HostPort": str(chosen["8000-8002/tcp"])}]}
    assert schedule(nodes, [scheduled(service)], result["placements"], {})["placements"] == result["placements"]


def test_a_full_range_is_told(tmp_path):
    path = tmp_path / "stack.yml"
    path.write_text(STACK, encoding="utf-8")
    service = compile_services("shop", load(path), str(tmp_path))["services"][0]
    (homeless,) = schedule([{"name": "n1"}], [scheduled(service)], [], {})["unplaced"]
    assert homeless["why"] == "shop_media on n1: has no port of 8000-8002/tcp free"
