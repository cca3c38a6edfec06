"""Published ports of services on real hosts: a lone task meets itself, addresses hold, conflicts are refused."""

from __future__ import annotations

import json
import os
import socket
import time

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
]
STACK = """
services:
  web:
    image: stowage/tools:1
    command: [python3, -u, -m, http.server, "8080"]
    stop_grace_period: 0s
    ports: ["18080:8080", "{bind}:18081:8080"]
    deploy: {{placement: {{constraints: [node.hostname == {node}]}}}}
"""
OTHER = """
services:
  rival:
    image: stowage/tools:1
    command: [sleep, infinity]
    ports: [{port}]
"""
# Answers on 8080 with the address that it saw.
SEEN = """
services:
  web:
    image: stowage/tools:1
    command:
      - python3
      - -uc
      - |
        import socket
        listener = socket.create_server(("0.0.0.0", 8080))
        while True:
            link, peer = listener.accept()
            with link:
                link.sendall(peer[0].encode())
    stop_grace_period: 0s
    ports: ["18080:8080"]
    networks: [shared]
    deploy: {{placement: {{constraints: [node.hostname == {node}]}}}}
  client:
    image: stowage/tools:1
    command: [sleep, infinity]
    stop_grace_period: 0s
    networks: [shared]
    deploy: {{mode: global}}
networks: {{shared: {{}}}}
"""
LOOK = "import socket; print(socket.create_connection(('{address}', 18080), 3).recv(99).decode())"


def ask(fleet, node, url, inside=""):
    """The status that a node, or a container of it, gets from a URL."""
    curl = f"curl -sm3 -o /dev/null -w '%{{http_code}}' {url}"
    return fleet.shell(node, f"docker exec {inside} {curl}" if inside else curl, check=False)


def test_a_lone_task_meets_itself_and_keeps_to_its_bind_address(fleet):
    node, other = fleet.nodes[:2]
    fleet.stack(STACK.format(bind=fleet.address(node), node=node))
    fleet.deploy().ok()
    (one,) = fleet.containers("shop_web")
    for address in (fleet.address(node), fleet.address(other)):
        assert ask(fleet, node, f"http://{address}:18080/", one["name"]) == "200"
    assert ask(fleet, node, "http://127.0.0.1:18080/") == "200"
    assert ask(fleet, other, f"http://{fleet.address(node)}:18081/") == "200"
    assert ask(fleet, node, "http://127.0.0.1:18081/") == "000", "only where it is bound"
    # Restarted by hand: its new link gives packets back as well.
    fleet.shell(node, f"docker restart -t 0 {one['name']}")
    end = time.monotonic() + 30
    while ask(fleet, node, f"http://{fleet.address(node)}:18080/", one["name"]) != "200":
        assert time.monotonic() < end
        time.sleep(0.5)
    assert fleet.deploy("--check").ok().changed == 0


def test_conflicts_are_refused_before_anything_is_done(fleet):
    node = fleet.nodes[0]
    fleet.stack(STACK.format(bind=fleet.address(node), node=node))
    fleet.deploy().ok()
    before = [one["id"] for one in fleet.containers(everything=True)]
    try:
        for port, words in (
            ('"18080:80"', "publishes 18080/tcp, as"),
            ("{target: 80, published: 18080, mode: host}", "on its own hosts, and shop_web has it on every host"),
            ('"80:8080"', "but host"),
        ):
            fleet.stack(OTHER.format(port=port), "rival")
            run = fleet.deploy()
            assert run.rc != 0, run.text
            assert "STW-PORT" in run.text
            assert words in " ".join(run.text.split()), run.text
        assert [one["id"] for one in fleet.containers(everything=True)] == before
    finally:
        fleet.stack(None, "rival")


def test_which_ways_keep_the_clients_address(fleet):
    """The table in docs/network.md, section Published ports; the task is on the host `near` only."""
    near, far = fleet.nodes[:2]
    fleet.stack(SEEN.format(node=near))
    fleet.deploy().ok()
    clients = {one["node"]: one for one in fleet.containers("shop_client")}
    table = json.loads(fleet.shell(near, "cat /etc/stowage/network.json"))["table"]["nodes"]
    vtep, gateway = table[far]["vtep"], table[near]["gateway"]

    def outside(node):
        with socket.create_connection((fleet.address(node), 18080), 3) as link:
            return link.recv(99).decode(), link.getsockname()[0]

    def from_host(node, address):
        return fleet.shell(node, f'python3 -c "{LOOK.format(address=address)}"')

    def from_container(node, address):
        return fleet.shell(node, f'docker exec {clients[node]["name"]} python3 -c "{LOOK.format(address=address)}"')

    seen, me = outside(near)
    assert seen == me, "from outside, by the host that has the task: the client itself"
    seen, me = outside(far)
    assert seen == vtep != me, "from outside, by a host without it: that host"
    assert from_host(near, fleet.address(near)) == fleet.address(near)
    assert from_host(far, fleet.address(near)) == fleet.address(far)
    assert from_host(far, fleet.address(far)) == vtep
    assert from_container(far, fleet.address(far)) == clients[far]["ip"], "a container by its own host: itself"
    assert from_container(near, fleet.address(near)) == gateway, "but where the task is there too"
    assert from_container(far, fleet.address(near)) == fleet.address(far), "by another host: its own host"
    assert from_container(near, fleet.address(far)) == vtep
