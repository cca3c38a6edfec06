"""What keeps a task's address: its container restarted, its host's Docker Engine, its host."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest
from routed import until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
]

TASKS = 30
STACK = f"""
services:
  web:
    image: stowage/tools:1
    command: [sleep, infinity]
    init: true
    deploy: {{replicas: {TASKS}}}
"""
FORM = "{{.Name}} {{.NetworkSettings.Networks.stowage.IPAddress}}"
REAL = f"docker ps -q -f label=stowage.fleet | xargs -r docker inspect -f '{FORM}'"


@pytest.fixture(scope="module")
def tasks(bootstrapped):
    """A fleet with 30 tasks, and {container: address} as Docker tells it."""
    fleet = bootstrapped
    fleet.wipe()
    try:
        fleet.stack(STACK)
        fleet.deploy().ok()
        before = addresses(fleet)
        assert len(before) == TASKS
        assert len(set(before.values())) == TASKS
        assert before == {f"/{one['name']}": one["ip"] for one in fleet.containers()}
        yield fleet, before
    finally:
        fleet.wipe()


def addresses(fleet):
    """{container that runs: the address it really has}."""
    found = {}
    for node in fleet.nodes:
        found.update(line.split() for line in fleet.shell(node, REAL).splitlines() if len(line.split()) == 2)
    return found


def connected(fleet):
    """Whether one container of each host reaches one of every other."""
    ends = [next(one for one in fleet.containers() if one["node"] == node) for node in fleet.nodes]
    return all(
        " 0% packet loss" in fleet.shell(here["node"], f"{inside(here)} ping -c 1 -W 2 {there['ip']}", check=False)
        for here in ends
        for there in ends
        if here is not there
    )


def inside(task):
    """What runs a command in a task's network."""
    return f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {task['name']}) -n"


def together(fleet, command):
    """A command on all hosts at once."""
    threads = [threading.Thread(target=fleet.shell, args=(node, command), daemon=True) for node in fleet.nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)


def test_thirty_containers_restarted_keep_their_addresses(tasks):
    fleet, before = tasks
    # All at once and in an order of chance: whoever comes first could take an address that is free for a moment.
    together(fleet, "docker ps -q -f label=stowage.fleet | shuf | xargs -P 8 -n 1 docker restart -t 1 >/dev/null")
    assert addresses(fleet) == before
    assert until(lambda: connected(fleet))


def test_engines_restarted_keep_addresses(tasks):
    """As an upgrade of the package does it: the daemon ends and begins, containers end with it."""
    fleet, before = tasks
    together(fleet, "systemctl restart docker")
    assert until(lambda: addresses(fleet) == before, 60), addresses(fleet)
    assert until(lambda: connected(fleet))


def test_hosts_rebooted_keep_addresses(tasks):
    fleet, before = tasks
    for node in fleet.nodes[1:]:
        subprocess.run(["docker", "restart", "-t", "20", fleet.outer(node)], check=True, capture_output=True)
    for node in fleet.nodes[1:]:
        fleet.wait_for(node, 120)
    assert until(lambda: addresses(fleet) == before, 60), addresses(fleet)
    assert until(lambda: connected(fleet), 60), "no controller took part"
    assert fleet.play("verify_network").ok().changed == 0
    assert fleet.deploy("--check").ok().changed == 0
