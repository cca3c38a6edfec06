"""Issue 6, rows 1 to 3: updates under load lose nothing; the naive order and Swarm's do. make test-rollout"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-rollout runs it (STOWAGE_LONG=1)"),
]

UPDATES = int(os.environ.get("STOWAGE_ROLLOUT_UPDATES", "10"))
REPLICAS, PARALLELISM = 6, 2
RATE = 200
BAR = 1.3  # our wall time over Swarm's
SWARM_PORT, SWARM_LIST = 8087, "docker ps -aq --filter label=com.docker.swarm.service.id"
# An app that takes its time to start and none to end: SIGTERM ends it at once, with whatever it has in flight.
STACK = """
services:
  web:
    image: stowage/app:{version}
    environment: {{START_DELAY: "1.5", ABRUPT: "1"}}
    healthcheck:
      test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"]
      interval: 1s
      timeout: 2s
      retries: 3
    x-stowage: {{drain: {drain}}}
    deploy:
      replicas: {replicas}
      update_config: {{parallelism: {parallelism}, order: start-first, failure_action: {action}}}
      rollback_config: {{parallelism: {parallelism}, order: start-first}}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
"""


class Load:
    """The load generator, in a process of its own while something happens."""

    def __init__(self, fleet, port=80, host="shop.localhost"):
        script = Path(__file__).with_name("load_generator.py")
        self.argv = [sys.executable, str(script), fleet.address(fleet.nodes[0]), str(port), host, str(RATE)]
        self.report = None

    def __enter__(self):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, text=True)
        time.sleep(2)
        return self

    def __exit__(self, *_error):
        time.sleep(2)
        text, _none = self.process.communicate(timeout=60)
        self.report = json.loads(text)


def stack(version, action="pause", drain="3s"):
    sizes = {"replicas": REPLICAS, "parallelism": PARALLELISM}
    return STACK.format(version=version, action=action, drain=drain, **sizes)


def versions(fleet):
    return sorted({c["image"] for c in fleet.containers("shop_web")})


def shown(capsys, name, report, seconds=None):
    with capsys.disabled():
        took = f", each update {min(seconds):.1f} to {max(seconds):.1f} s" if seconds else ""
        counts = f"{report['failed']} failed of {report['requests']} requests at {report['rate']}/s"
        print(f"\n{name}: {counts}, p50 {report['p50']} ms, p99 {report['p99']} ms{took}")
        for failure in report["failures"][:5]:
            print(f"    {failure['at']:7.2f} s {failure['what']}")


@pytest.fixture
def serving(fleet):
    """Six replicas of 1.0 that serve."""
    fleet.stack(stack("1.0"))
    fleet.deploy().ok()
    return fleet


def updated(fleet, version):
    """Update to a version; the seconds that took."""
    fleet.stack(stack(version))
    return fleet.deploy().ok().seconds


def test_ten_updates_and_a_bad_one_lose_no_request(serving, capsys):
    fleet, seconds = serving, []
    with Load(fleet) as load:
        for number in range(UPDATES):
            seconds.append(updated(fleet, "1.0" if number % 2 else "1.1"))
            if number == UPDATES // 2:
                before = fleet.containers("shop_web")
                fleet.stack(stack("broken", action="rollback"))
                run = fleet.deploy()
                assert run.rc != 0
                assert "ROLLED BACK" in run.text or "STOPPED" in run.text
                assert fleet.containers("shop_web") == before, "rolled back by itself"
    shown(capsys, f"Stowage, {UPDATES} updates and a bad image", load.report, seconds)
    assert load.report["failures"] == []
    assert load.report["failed"] == 0
    assert set(load.report["versions"]) == {"1.0", "1.1"}
    assert load.report["requests"] >= 2000 * UPDATES


def test_a_bad_image_in_the_second_wave_is_rolled_back_by_itself(serving, capsys):
    """The first pair becomes healthy and takes traffic before the second one fails."""
    fleet = serving
    before = fleet.containers("shop_web")
    text = stack("1.1", action="rollback").replace("environment: {", 'environment: {SLOT: "{{.Task.Slot}}", ')
    probe = '[CMD, curl, -fsS, "http://127.0.0.1:8080/health"]'
    fleet.stack(text.replace(probe, '[CMD-SHELL, "test $$SLOT -lt 4 && curl -fsS http://127.0.0.1:8080/health"]'))
    with Load(fleet) as load:
        run = fleet.deploy()
    shown(capsys, "Stowage, rolled back in the second wave", load.report)
    assert run.rc != 0
    assert "ROLLED BACK" in run.text, run.text
    assert fleet.containers("shop_web") == before
    assert "1.1" in load.report["versions"], "the new version served for a while"
    assert load.report["failed"] == 0, load.report["failures"]


def test_the_naive_order_fails_under_the_same_load(serving, capsys):
    """Stop the old, start the new, tell the ingress at last: the load can fail."""
    fleet = serving
    with Load(fleet) as load:
        for container in fleet.containers("shop_web"):
            fleet.shell(container["node"], f"docker restart -t 10 {container['id']}")
            time.sleep(3)
    shown(capsys, "naive: stop, start", load.report)
    assert load.report["failed"] > 0
    fleet.stack(stack("1.1", drain="0s"))
    with Load(fleet) as load:
        fleet.deploy().ok()
    shown(capsys, "without a drain", load.report)
    assert load.report["failed"] > 0


class Swarm:
    """The same service on a Swarm of the same hosts, behind a Traefik of its own with Swarm's provider."""

    def __init__(self, fleet):
        self.fleet, (self.manager, *self.workers) = fleet, fleet.nodes

    def __enter__(self):
        fleet, address = self.fleet, self.fleet.address(self.manager)
        # Its own VXLAN port: 4789 is the fleet's.
        fleet.shell(self.manager, f"docker swarm init --advertise-addr {address} --data-path-port 4790")
        token = fleet.shell(self.manager, "docker swarm join-token -q worker")
        for node in self.workers:
            fleet.shell(node, f"docker swarm join --token {token} {address}:2377")
        fleet.shell(self.manager, "docker network create -d overlay shop")
        sock = "type=bind,src=/var/run/docker.sock,dst=/var/run/docker.sock"
        options = "--providers.swarm.endpoint=unix:///var/run/docker.sock --providers.swarm.network=shop"
        self._create(
            f"--name traefik --constraint node.role==manager --network shop --mount {sock} --endpoint-mode dnsrr"
            f" --publish mode=host,published={SWARM_PORT},target=80 traefik:v3 --entrypoints.web.address=:80 {options}"
        )
        labels = {
            "traefik.http.routers.shop.rule": "Host(`shop.localhost`)",
            "traefik.http.services.shop.loadbalancer.server.port": "8080",
        }
        stated = " ".join(f"--label '{key}={value}'" for key, value in labels.items())
        health = "--health-cmd 'curl -fsS http://127.0.0.1:8080/health' --health-interval 1s --health-timeout 2s"
        self._create(
            f"--name web --replicas {REPLICAS} --network shop --endpoint-mode dnsrr {health} --health-retries 3"
            f" -e START_DELAY=1.5 -e ABRUPT=1 --update-order start-first --update-parallelism {PARALLELISM}"
            f" {stated} stowage/app:1.0"
        )
        return self

    def _create(self, text):
        self.fleet.shell(self.manager, f"docker service create -q --no-resolve-image {text}", timeout=120)

    def update(self, version):
        """docker service update, as long as it takes to converge; the seconds that took."""
        began = time.monotonic()
        command = f"docker service update -q --no-resolve-image --image stowage/app:{version} web"
        self.fleet.shell(self.manager, command, timeout=180)
        return time.monotonic() - began

    def __exit__(self, *_error):
        self.fleet.shell(self.manager, "docker service rm web traefik", check=False)
        until = time.monotonic() + 90
        # Leaving before the tasks are gone would make Swarm start them anew on those who stay.
        while any(self.fleet.shell(node, SWARM_LIST) for node in self.fleet.nodes) and time.monotonic() < until:
            time.sleep(1)
        for node in [*self.workers, self.manager]:
            self.fleet.shell(node, "docker swarm leave --force; docker network rm docker_gwbridge", check=False)


def answers(fleet, port):
    """Wait until the ingress of a port serves the shop."""
    until = time.monotonic() + 60
    while True:
        try:
            url = f"http://{fleet.address(fleet.nodes[0])}:{port}/"
            argv = ["curl", "-fsS", "-m", "3", "-H", "Host: shop.localhost", url]
            return json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
        except subprocess.CalledProcessError:
            assert time.monotonic() < until, "Swarm's Traefik does not serve"
            time.sleep(1)


def test_our_wall_time_beside_swarm_s(serving, capsys):
    fleet, ours, theirs = serving, [], []
    rounds = ("1.1", "1.0", "1.1")
    with Load(fleet) as load:
        ours = [updated(fleet, version) for version in rounds]
    shown(capsys, "Stowage", load.report, ours)
    assert load.report["failed"] == 0, load.report["failures"]
    fleet.wipe()
    with Swarm(fleet) as swarm:
        answers(fleet, SWARM_PORT)
        time.sleep(5)
        with Load(fleet, port=SWARM_PORT) as load:
            theirs = [swarm.update(version) for version in rounds]
        shown(capsys, "Swarm", load.report, theirs)
    ours, theirs = sorted(ours)[1], sorted(theirs)[1]
    with capsys.disabled():
        print(f"\nmedian of {len(rounds)}: Stowage {ours:.1f} s, Swarm {theirs:.1f} s, ratio {ours / theirs:.2f}")
    assert ours <= BAR * theirs
