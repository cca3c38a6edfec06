"""Fixed addresses of stack files on real hosts: exactly these, reachable on every host, and moving

with their service."""

from __future__ import annotations

import json
import os
import time

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="make test-network runs it"),
]
SERVE = "[python3, -u, -m, http.server, '8080']"
STACK = f"""
services:
  web:
    image: stowage/tools:1
    command: {SERVE}
    networks: {{app: {{ipv4_address: 10.5.0.10, aliases: [www]}}}}
    ports: [{{target: 8080, published: 18095}}]
    deploy: {{placement: {{constraints: [node.hostname == WEB]}}}}
  near:
    image: stowage/tools:1
    command: {SERVE}
    networks: {{app: {{ipv4_address: 10.5.0.12}}}}
    deploy: {{placement: {{constraints: [node.hostname == ONE]}}}}
  far:
    image: stowage/tools:1
    command: {SERVE}
    networks: {{app: {{ipv4_address: 10.5.0.11}}}}
    deploy: {{placement: {{constraints: [node.hostname == TWO]}}}}
  every:
    image: stowage/tools:1
    command: {SERVE}
    networks: [app]
    deploy: {{mode: global}}
networks:
  app: {{ipam: {{config: [{{subnet: 10.5.0.0/24}}]}}}}
"""
OTHER = f"""
services:
  stranger:
    image: stowage/tools:1
    command: {SERVE}
    deploy: {{mode: global}}
"""
WEB, FAR, NEAR = "10.5.0.10", "10.5.0.11", "10.5.0.12"


class Fixed:
    """The stack on its hosts."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.here, self.there, self.third = fleet.nodes[:3]

    def deploy(self, web):
        """Deploy with web on a host; {(service, node): container}."""
        text = STACK.replace("WEB", web).replace("ONE", self.here).replace("TWO", self.there)
        self.fleet.stack(text)
        run = self.fleet.deploy().ok()
        self.tasks = {(c["service"].partition("_")[2], c["node"]): c for c in self.fleet.containers()}
        return run

    def inside(self, service, node, command, check=True):
        """Output of a command in a task."""
        return self.fleet.shell(node, f"docker exec {self.tasks[(service, node)]['id']} {command}", check=check)

    def reaches(self, service, node, target):
        """Whether a task is answered."""
        return self.inside(service, node, f"curl -sm3 -o /dev/null -w %{{http_code}} {target}", check=False) == "200"

    def seen(self, service, node, ip):
        """Whether a task's server saw a client of this address."""
        return f"{ip} - - " in self.fleet.shell(node, f"docker logs {self.tasks[(service, node)]['id']} 2>&1")

    def whole(self, web):
        """Everything that must work, wherever web is."""
        found = json.loads(self.fleet.shell(web, f"docker inspect {self.tasks[('web', web)]['id']}"))[0]
        networks = found["NetworkSettings"]["Networks"]
        assert [entry["IPAddress"] for entry in networks.values()] == [WEB]
        assert f"{WEB}/24" in self.inside("web", web, "ip -4 -o addr show dev eth0")
        wrong = []
        for client in [("near", self.here), ("far", self.there), *(("every", node) for node in self.fleet.nodes)]:
            targets = [ip for ip in (WEB, NEAR, FAR) if ip != self.tasks[client]["ip"]]
            wrong += [(client, ip) for ip in targets if not self.reaches(*client, f"{ip}:8080")]
            wrong += [(client, "name") for name in ("www", "web") if not self.reaches(*client, f"{name}:8080")]
        for node in self.fleet.nodes:
            for ip in (WEB, NEAR, FAR, f"{self.fleet.address(self.third)}:18095"):
                url = ip if ":" in ip else f"{ip}:8080"
                if self.fleet.shell(node, f"curl -sm3 -o /dev/null {url}; echo $?", check=False) != "0":
                    wrong.append((node, url))
            if self.reaches("stranger", node, f"{FAR}:8080"):
                wrong.append(("stranger", node))
            every = self.tasks[("every", node)]["ip"]
            if not self.reaches("web", web, f"{every}:8080") or not self.seen("every", node, WEB):
                wrong.append(("web", every))
        assert wrong == []
        for ip in (NEAR, FAR):
            assert self.reaches("web", web, f"{ip}:8080")
        assert self.seen("far", self.there, WEB)
        assert self.seen("near", self.here, WEB)
        outside = f"{self.fleet.address(self.fleet.nodes[1])}:22"
        assert "SSH" in self.inside("web", web, f"curl -sm3 --http0.9 telnet://{outside}", check=False)


@pytest.fixture(scope="module")
def fixed(bootstrapped):
    bootstrapped.wipe()
    bootstrapped.stack(OTHER, "blog")
    made = Fixed(bootstrapped)
    made.deploy(made.here)
    yield made
    bootstrapped.stack(None, "blog")
    bootstrapped.wipe()


def test_they_are_exactly_these_and_reached_from_everywhere(fixed):
    fixed.whole(fixed.here)


def test_again_changes_nothing(fixed):
    assert fixed.fleet.deploy().ok().changed == 0
    for node in fixed.fleet.nodes:
        assert fixed.fleet.shell(node, "/usr/local/lib/stowage/stowage-net --check") == ""


def test_outside_reaches_none_and_none_poses_as_another(fixed):
    here, there = fixed.here, fixed.there
    try:
        fixed.fleet.shell(there, f"ip route replace {NEAR}/32 via {fixed.fleet.address(here)} metric 1")
        source = f"--interface {fixed.fleet.address(there)}"
        assert fixed.fleet.shell(there, f"curl -sm2 {source} {NEAR}:8080; echo $?", check=False) != "0"
    finally:
        fixed.fleet.shell(there, f"ip route del {NEAR}/32 via {fixed.fleet.address(here)} metric 1")
    assert fixed.reaches("far", there, f"{NEAR}:8080")


def test_it_moves_with_its_service(fixed):
    for web in (fixed.there, fixed.third, fixed.here):
        run = fixed.deploy(web)
        assert run.changed
        fixed.whole(web)
        assert fixed.fleet.deploy().ok().changed == 0


def test_it_outlives_docker_and_drift(fixed):
    here = fixed.here
    fixed.fleet.shell(here, "systemctl restart docker", timeout=120)
    time.sleep(5)
    fixed.whole(here)
    bridge = fixed.fleet.shell(here, "ip -o -4 addr show | awk '/10.5.0.1\\/24/ {print $2}'")
    harms = [
        f"ip route del {FAR}",
        f"sysctl -qw net.ipv4.conf.{bridge}.proxy_arp=0",
        f"ip link set {bridge} type bridge nf_call_iptables 0",
    ]
    for harm in harms:
        fixed.fleet.shell(here, harm)
        assert "endpoints" in fixed.fleet.play("plan").ok().text, harm
        assert fixed.fleet.shell(here, "/usr/local/lib/stowage/stowage-net") != ""
    fixed.whole(here)


def test_a_network_of_the_host_in_the_way_is_refused(fixed):
    text = STACK.replace("10.5.0", "10.66.0").replace("ONE", fixed.here).replace("TWO", fixed.there)
    fixed.fleet.shell(
        fixed.third, "ip link add stray type bridge; ip addr add 10.66.0.77/25 dev stray; ip link set stray up"
    )
    try:
        fixed.fleet.stack(text.replace("WEB", fixed.here))
        run = fixed.fleet.deploy()
        assert run.rc != 0
        assert "STW-CIDR-OVERLAP" in run.text
        assert "stray" in run.text
    finally:
        fixed.fleet.shell(fixed.third, "ip link del stray")
        fixed.deploy(fixed.here)


def test_nothing_is_left(fixed):
    fixed.fleet.stack(
        STACK.split("  near:", maxsplit=1)[0]
        .replace("WEB", fixed.here)
        .replace("{ipv4_address: 10.5.0.10, aliases: [www]}", "")
        + "networks: {app: {}}\n"
    )
    fixed.fleet.deploy().ok()
    for node in fixed.fleet.nodes:
        left = fixed.fleet.shell(node, "ip -o addr; ip route; docker network ls")
        assert "10.5.0" not in left, node
        assert "10.5.0.0/24" not in fixed.fleet.shell(node, "nft list ruleset"), node
        assert "stowage-10" not in left
