"""Issue 6, ingress hosts: a thousand services, a restart behind a balancer, a floating address. make test-ingress"""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from edge import EDGE, SHOP, settings, started, status, within
from test_rollout import Load, shown

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-ingress runs it (STOWAGE_LONG=1)"),
]

SERVICES, ENDPOINTS = 1000, 10
RENDER_SECONDS, LIVE_SECONDS = 0.5, 4.0
SWITCH = """
import http.client, os, time
began = time.monotonic()
os.rename("/var/lib/stowage/traefik/stage/big.yml", "/var/lib/stowage/traefik/dynamic/stowage.yml")
while True:
    link = http.client.HTTPConnection("127.0.0.1", 8090, timeout=5)
    link.request("GET", "/.stowage/gen/{generation}")
    if link.getresponse().status == 200:
        break
    assert time.monotonic() - began < 60
    time.sleep(0.02)
print(time.monotonic() - began)
"""


def many():
    """A thousand services of ten replicas, as the planner has them."""
    services, tasks = [], []
    for number in range(SERVICES):
        name = f"big_s{number}"
        labels = {
            "traefik.enable": "true",
            f"traefik.http.routers.s{number}.rule": f"Host(`s{number}.example`)",
            f"traefik.http.services.s{number}.loadbalancer.server.port": "8080",
        }
        services.append(
            {"name": name, "stack": "big", "short": f"s{number}", "labels": labels, "ports": [], "template": {}}
        )
        for slot in range(ENDPOINTS):
            at = number * ENDPOINTS + slot
            ip = f"127.1.{at // 250}.{at % 250 + 2}"  # refused at once, whatever network the lab is in
            tasks.append({"service": name, "slot": str(slot + 1), "node": "n1", "ip": ip})
    return services, tasks


def test_a_thousand_services_are_live_in_four_seconds(edge, capsys):
    fleet, node = edge, edge.nodes[1]
    services, tasks = many()
    options = discovery.ingress_options(EDGE, ingress_nodes=2)
    began = time.process_time()
    made = discovery.traefik_file(services, tasks, options)
    rendering = time.process_time() - began
    stage = "/var/lib/stowage/traefik/stage"
    command = [*fleet.ssh(node), f"mkdir -p {stage} && cat > {stage}/big.yml"]
    subprocess.run(command, input=made["text"], text=True, check=True, timeout=60)
    script = SWITCH.format(generation=made["generation"])
    live = float(subprocess.run([*fleet.ssh(node), "python3 -"], input=script, text=True, check=True, stdout=-1).stdout)
    with capsys.disabled():
        size = len(made["text"]) // 1024
        print(f"\n{SERVICES} services x {ENDPOINTS}, {size} KiB: {rendering:.2f} s CPU, live after {live:.2f} s")
    assert status(f"http://{fleet.address(node)}/", "s999.example", timeout=30) in (502, 503, 504), (
        "known, and nobody serves"
    )
    assert fleet.deploy().ok().changed > 0, "the next deploy puts the routes back"
    assert status(f"http://{fleet.address(node)}/", "shop.localhost") == 200
    assert rendering < RENDER_SECONDS
    assert live < LIVE_SECONDS


HAPROXY = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend shop
    bind :8088
    default_backend ingress
backend ingress
    option httpchk GET /.stowage/ready
    default-server check inter 500ms fall 2 rise 2
    server n1 {n1}:80
    server n2 {n2}:80
"""
DRAINED = {**EDGE, "ready_entrypoints": ["web"], "drain": 12, "access_log": False}


class ThroughBalancer(Load):
    """The same requests through the balancer on the third host."""

    def __init__(self, fleet):
        super().__init__(fleet, port=8088)
        self.argv[2] = fleet.address(fleet.nodes[2])


@pytest.fixture
def balanced(edge):
    """HAProxy on the third host before two ingress hosts that drain."""
    fleet, where = edge, edge.nodes[2]
    settings(fleet, stowage_ingress=DRAINED)
    fleet.stack(SHOP)
    fleet.play("bootstrap").ok()
    fleet.deploy().ok()
    text = HAPROXY.format(**{node: fleet.address(node) for node in fleet.nodes[:2]})
    fleet.shell(where, f"mkdir -p /etc/edge; cat > /etc/edge/haproxy.cfg <<'END'\n{text}\nEND")
    mounts = "-v /etc/edge:/etc/edge:ro"
    fleet.shell(where, f"docker run -d --name edge-balancer --network host {mounts} stowage/edge:1", timeout=180)
    yield fleet
    fleet.shell(where, "docker rm -f edge-balancer")


def test_ingress_hosts_are_restarted_and_upgraded_behind_a_balancer(balanced, capsys):
    fleet, ingress = balanced, balanced.nodes[:2]
    for node in ingress:
        fleet.shell(node, "docker tag traefik:v3 traefik:next")
    since = [started(fleet, node) for node in ingress]
    settings(fleet, stowage_ingress={**DRAINED, "image": "traefik:next", "access_log": True})
    with ThroughBalancer(fleet) as load:
        run = fleet.play("bootstrap").ok()
    shown(capsys, f"both ingress hosts upgraded in {run.seconds:.0f} s", load.report)
    again = [started(fleet, node) for node in ingress]
    assert all(one != other for one, other in zip(since, again, strict=True))
    assert load.report["failed"] == 0, load.report["failures"]
    assert fleet.play("bootstrap").ok().changed == 0
    # The same without any care: the load can fail.
    with ThroughBalancer(fleet) as load:
        for node in ingress:
            fleet.shell(node, "docker restart -t 0 stowage-ingress")
            time.sleep(4)
    shown(capsys, "restarted at once", load.report)
    assert load.report["failed"] > 0


def holders(fleet, address):
    """Which ingress hosts have the floating address now."""
    return [n for n in fleet.nodes[:2] if f" {address}/" in fleet.shell(n, "ip -4 address", check=False)]


def moved(fleet, address, since):
    """Seconds until the floating address answers again, and how long it did not."""
    while time.monotonic() - since < 60:
        if status(f"http://{address}/", "shop.localhost") == 200:
            return time.monotonic() - since
        time.sleep(0.05)
    raise AssertionError(f"{address} does not answer")


def test_the_floating_address_leaves_a_host_that_dies_or_does_not_serve(edge, capsys):
    fleet = edge
    address = fleet.address(fleet.nodes[0]).rpartition(".")[0] + ".100"
    settings(fleet, "floating", stowage_ingress_address=f"{address}/24")
    settings(fleet, stowage_ingress=EDGE)
    fleet.stack(SHOP)
    fleet.play("bootstrap").ok()
    fleet.deploy().ok()
    assert fleet.play("bootstrap").ok().changed == 0
    within(20, lambda: len(holders(fleet, address)) == 1)
    assert status(f"http://{address}/", "shop.localhost") == 200

    (first,) = holders(fleet, address)
    other = next(node for node in fleet.nodes[:2] if node != first)
    fleet.shell(first, "docker stop -t 0 stowage-ingress")
    stopped = moved(fleet, address, time.monotonic())
    within(10, lambda: holders(fleet, address) == [other])
    fleet.shell(first, "docker start stowage-ingress")
    time.sleep(6)
    assert holders(fleet, address) == [other], "it does not move back"

    subprocess.run(["docker", "kill", fleet.outer(other)], check=True, stdout=subprocess.DEVNULL)
    since = time.monotonic()
    try:
        killed = moved(fleet, address, since)
        assert first in holders(fleet, address)
    finally:
        subprocess.run(["docker", "start", fleet.outer(other)], check=True, stdout=subprocess.DEVNULL)
        fleet.wait_for(other, 120)
    with capsys.disabled():
        print(
            f"\nfloating address: answers {stopped:.1f} s after Traefik ended, {killed:.1f} s after its host was killed"
        )
    within(30, lambda: len(holders(fleet, address)) == 1)
    assert max(stopped, killed) < 10
    settings(fleet, "floating", stowage_ingress_address="")
    fleet.play("bootstrap").ok()
    assert holders(fleet, address) == []
