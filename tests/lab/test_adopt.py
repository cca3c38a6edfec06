# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Containers that Debian's docker-compose started become tasks while they run; stowage.fleet.adopt, on real hosts."""

from __future__ import annotations

import json
import os
import re

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-stacks runs it (STOWAGE_LONG=1)"),
]

COMPOSE = """
version: "3.8"
services:
  web:
    image: stowage/app:1.0
    environment: {NAME: shop}
    healthcheck: {test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"], interval: 1s, timeout: 2s, retries: 3}
    restart: always
    ports: ["8088:8080"]
  cache:
    image: redis:7
    restart: always
    command: redis-server --appendonly yes
    volumes: [data:/data]
volumes:
  data: {}
"""
# The same, as a stack file: one more limit, and a route.
STACK = """
services:
  web:
    image: stowage/app:1.0
    environment: {NAME: shop}
    healthcheck: {test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"], interval: 1s, timeout: 2s, retries: 3}
    restart: always
    ports: ["8088:8080"]
    deploy:
      resources: {limits: {cpus: "0.5"}}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
  cache:
    image: redis:7
    restart: always
    command: redis-server --appendonly yes
    volumes: [data:/data]
volumes:
  data: {}
"""
INSTALL = (
    "command -v docker-compose || (apt-get update -qq && apt-get install -y -qq --no-install-recommends docker-compose)"
)
LIFE = "{{.Id}} {{.State.StartedAt}} {{.State.Pid}} {{.RestartCount}}"
TASKS = "for id in $(docker ps -q -f label=com.docker.compose.project=shop); do docker inspect -f '%s' $id; done | sort"


class Project:
    """The Compose project shop on n1."""

    def __init__(self, fleet):
        self.fleet, self.node = fleet, fleet.nodes[0]

    def compose(self, arguments, text=COMPOSE):
        self.fleet.shell(self.node, f"mkdir -p /srv/shop; cat > /srv/shop/docker-compose.yml <<'EOF'{text}EOF")
        return self.fleet.shell(self.node, f"cd /srv/shop && docker-compose {arguments} 2>&1", timeout=180)

    def lives(self):
        """{id: (start time, pid, restarts)} of the project's containers."""
        lines = self.fleet.shell(self.node, TASKS % LIFE).splitlines()
        return {line.split()[0]: tuple(line.split()[1:4]) for line in lines}

    def adopt(self, *arguments):
        return self.fleet.play("adopt", "-e", "stack=shop", *arguments)

    def redis(self, words):
        name = self.fleet.shell(self.node, "docker ps --format '{{.Names}}' | grep cache")
        return self.fleet.shell(self.node, f"docker exec {name} redis-cli {words}")

    def address(self, service):
        records = json.loads(self.fleet.shell(self.node, "cat /var/lib/stowage/adopted.json"))["containers"].values()
        return next(one["labels"]["stowage.ip"] for one in records if one["labels"]["stowage.service"] == service)


@pytest.fixture
def project(fleet):
    node = fleet.nodes[0]
    try:
        fleet.shell(node, INSTALL, timeout=300)
    except AssertionError as error:
        pytest.skip(f"docker-compose cannot be installed on the lab's host: {str(error)[-200:]}")
    made = Project(fleet)
    made.compose("down -v --remove-orphans")
    fleet.shell(node, "rm -f /var/lib/stowage/adopted.json")
    made.compose("up -d")
    yield made
    fleet.wipe()
    made.compose("down -v --remove-orphans")
    fleet.shell(node, "rm -f /var/lib/stowage/adopted.json")


def run_in(fleet, node, command):
    """Run a command in a container of the fleet's network on a node, with the fleet's names."""
    options = "--network stowage --dns $(ip -4 -br addr show stw0 | tr -s ' ' | cut -d' ' -f3 | cut -d/ -f1)"
    names = "--dns-search shop.svc.fleet"
    return fleet.shell(node, f"docker run --rm {options} {names} stowage/tools:1 {command}", check=False)


def test_a_running_project_is_taken_over_and_lives_on(project):
    fleet, (here, there) = project.fleet, project.fleet.nodes[:2]
    fleet.stack(STACK)
    project.redis("set word kept")
    before = project.lives()
    assert len(before) == 2

    shown = project.adopt().ok()
    assert shown.changed == 0
    assert "changed now, without a restart: cpu limit: none, wanted 0.5" in shown.text
    assert "2 to take over as they run" in shown.text
    assert "after that the plan is empty" in shown.text
    checked = project.adopt("-e", "confirm=shop", "--check").ok()
    assert checked.changed == 1
    assert fleet.shell(here, "cat /var/lib/stowage/adopted.json 2>&1", check=False).endswith(
        "No such file or directory"
    )
    assert fleet.shell(here, "docker ps --format '{{.Names}}' | grep shop_ | sort").split() == [
        "shop_cache_1",
        "shop_web_1",
    ]

    taken = project.adopt("-e", "confirm=shop").ok()
    assert taken.changed == 1
    assert "PROVED  the plan for shop is empty: 2 tasks stay as they run" in taken.text
    assert project.lives() == before
    names = fleet.shell(here, "docker ps --format '{{.Names}}' | grep shop_ | sort").split()
    assert [re.sub("[0-9a-f]{8}$", "", name) for name in names] == ["shop_cache.1.", "shop_web.1."]

    again = project.adopt("-e", "confirm=shop").ok()
    assert (again.changed, "nothing to do" in again.text) == (0, True)
    planned = fleet.play("plan").ok()
    assert "Plan: 2 unchanged." in planned.text
    assert "wave" not in planned.text
    fleet.deploy().ok()
    assert fleet.deploy().ok().changed == 0
    assert project.lives() == before

    # From another host: by address, by name, through the ingress, and by the port that every host publishes.
    for url in (f"http://{project.address('shop_web')}:8080/", "http://web:8080/"):
        assert json.loads(run_in(fleet, there, f"curl -s -m 5 {url}"))["name"] == "shop"
    assert fleet.get()["version"] == "1.0"
    assert json.loads(fleet.shell(there, "curl -s -m 5 http://127.0.0.1:8088/"))["name"] == "shop"


def test_it_is_a_task_like_any_other(project):
    fleet, (here, there) = project.fleet, project.fleet.nodes[:2]
    fleet.stack(STACK)
    project.redis("set word kept")
    project.adopt("-e", "confirm=shop").ok()
    fleet.deploy().ok()

    # Docker restarts it: its address, and the way back to other hosts, are there again.
    web = fleet.shell(here, "docker ps --format '{{.Names}}' | grep shop_web")
    fleet.shell(here, f"docker restart -t 1 {web} && sleep 2")
    assert (
        json.loads(run_in(fleet, there, f"curl -s -m 5 http://{project.address('shop_web')}:8080/"))["name"] == "shop"
    )
    assert "Plan: 2 unchanged." in fleet.play("plan").ok().text

    # A new image rolls it; a changed command, the one with the volume, too, and the data stays.
    fleet.stack(STACK.replace("app:1.0", "app:1.1").replace("--appendonly yes", "--appendonly yes --loglevel warning"))
    rolled = fleet.deploy().ok()
    assert "2 to replace" in rolled.text
    assert fleet.get()["version"] == "1.1"
    assert project.redis("get word") == "kept"
    assert json.loads(fleet.shell(here, "cat /var/lib/stowage/adopted.json"))["containers"] == {}
    assert "shop_data" in fleet.shell(here, "cat /var/lib/stowage/volumes.json")


def test_taken_down_by_hand_it_is_noticed_and_a_service_that_left_the_file_is_removed(project):
    fleet, here = project.fleet, project.fleet.nodes[0]
    fleet.stack(STACK)
    project.adopt("-e", "confirm=shop").ok()
    fleet.stack(STACK.partition("  cache:")[0])
    assert "1 to remove" in fleet.deploy().ok().text
    assert "cache" not in fleet.shell(here, "docker ps -a --format '{{.Names}}'")
    project.compose("down")
    planned = fleet.play("plan").ok()
    assert re.search(r"\+ shop_web\.1 +create", planned.text)


def test_what_does_not_match_is_shown_and_not_touched(project):
    fleet, here = project.fleet, project.fleet.nodes[0]
    fleet.stack(STACK.replace("NAME: shop", "NAME: other, MORE: geheim"))
    before = project.lives()
    shown = project.adopt().ok()
    assert "environment: lacks MORE; has other values of NAME" in shown.text
    assert "geheim" not in shown.text
    refused = project.adopt("-e", "confirm=shop")
    assert refused.rc != 0
    assert "STW-ADOPT-DIFFERS container shop_web_1 on n1: would be replaced" in refused.text
    assert project.lives() == before
    assert "shop_web_1" in fleet.shell(here, "docker ps --format '{{.Names}}'")

    part = project.adopt("-e", "confirm=shop", "-e", "partial=true").ok()
    assert "1 tasks stay as they run; the next deploy will still" in part.text
    assert "+ shop_web.1" in part.text
    assert project.lives() == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["-e", "stack=shup"], "STW-ADOPT-STACK"),
        (["-e", "confirm=shup"], "STW-ADOPT-CONFIRM"),
        (["-e", "project=other"], "STW-ADOPT-PROJECT project 'other': no container of it on"),
        (["-e", "confirm=shop"], "STW-ADOPT-STOPPED container shop_web_1 on n1: it is exited"),
    ],
)
def test_bad_input(project, arguments, code):
    project.fleet.stack(STACK)
    project.compose("stop web")
    run = project.adopt(*arguments)
    assert run.rc != 0
    assert code in run.text
    assert "Traceback" not in run.text


def test_killed_in_the_middle_the_next_run_gets_there(project):
    """The module is killed after the container was connected and renamed, before it was recorded."""
    fleet, here = project.fleet, project.fleet.nodes[0]
    fleet.stack(STACK)
    before = project.lives()
    # The record cannot be written: the state in which a kill just before it leaves the host.
    fleet.shell(here, "mkdir -p /var/lib/stowage/adopted.json/in-the-way")
    broken = project.adopt("-e", "confirm=shop")
    assert broken.rc != 0
    assert "STW-HOST" in broken.text
    assert "shop_cache.1." in fleet.shell(here, "docker ps --format '{{.Names}}'")
    fleet.shell(here, "rm -r /var/lib/stowage/adopted.json")
    assert "2 to take over" in project.adopt().ok().text
    done = project.adopt("-e", "confirm=shop").ok()
    assert "PROVED" in done.text
    assert project.lives() == before


def test_swarm_s_tasks_are_shown_and_left_alone(project):
    fleet, there = project.fleet, project.fleet.nodes[1]
    project.compose("down -v")
    fleet.stack(STACK)
    address = fleet.address(there)
    try:
        fleet.shell(there, f"docker swarm init --advertise-addr {address} && docker pull -q redis:7", timeout=120)
        labels = "--container-label com.docker.stack.namespace=shop"
        fleet.shell(there, f"docker service create -q {labels} --name shop_cache redis:7 && sleep 3", timeout=120)
        before = fleet.shell(there, "docker ps -q --no-trunc -f label=com.docker.swarm.task.id")
        shown = project.adopt().ok()
        assert "1 Swarm's." in shown.text
        assert "docker stack rm" in shown.text
        refused = project.adopt("-e", "confirm=shop")
        assert (refused.rc != 0, "STW-ADOPT-SWARM" in refused.text) == (True, True)
        assert fleet.shell(there, "docker ps -q --no-trunc -f label=com.docker.swarm.task.id") == before
    finally:
        fleet.shell(there, "docker swarm leave --force; sleep 1", check=False)
        left = fleet.shell(there, "docker ps -aq -f label=com.docker.swarm.task.id")
        fleet.shell(there, "docker network rm docker_gwbridge", check=False)
    # Why they cannot be taken over: with its node, Swarm takes its containers away.
    assert left == ""
