"""Secrets on lab hosts: how containers see them, what a new value does, and what a reboot does."""

from __future__ import annotations

import os
import subprocess

import pytest
from conftest import Load

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-secrets runs it")

WEB = """
services:
  web:
    image: stowage/app:1.0
    user: "1000:1000"
    healthcheck:
      test: [CMD, sh, -c, "curl -fsS http://127.0.0.1:8080/health && ! grep -q bad /run/secrets/token"]
      interval: 1s
      timeout: 3s
      retries: 3
    secrets:
      - token
      - {source: token, target: own, uid: "1000", gid: "1000", mode: 0400}
      - {source: token, target: others, uid: "1001", mode: 0400}
      - {source: token, target: /etc/app/key}
    deploy:
      replicas: 3
      update_config: {parallelism: 1, order: start-first, failure_action: rollback}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
secrets:
  token: {file: ./token.txt}
"""
LIVE = """
services:
  proxy:
    image: stowage/app:1.0
    entrypoint: [sh, -c]
    command: ['trap "cat /run/secrets/token /etc/key > /tmp/loaded" HUP; while :; do sleep 0.2; done']
    stop_grace_period: 1s
    deploy: {replicas: 2, update_config: {parallelism: 1, monitor: 1s}}
    secrets: [token, {source: token, target: /etc/key}]
    x-stowage: {on_change: "signal:HUP"}
secrets:
  token: {file: ./token.txt}
"""


@pytest.fixture
def token(fleet):
    """Writes the secret's value; the file is gone at the end."""
    path = fleet.directory / "stacks/token.txt"
    yield path.write_text
    path.unlink(missing_ok=True)


def running(fleet, service="shop_web"):
    return [c for c in fleet.containers(service) if c["state"] == "running"]


def inside(fleet, container, command):
    return fleet.shell(container["node"], f"docker exec {container['name']} sh -c '{command}' 2>&1", check=False)


def values(fleet, path="/run/secrets/token", service="shop_web"):
    return [inside(fleet, container, f"cat {path}") for container in running(fleet, service)]


def kept(fleet):
    """{node: sets on the host}."""
    return {
        node: fleet.shell(node, "ls /run/stowage/secrets/sets/* 2>/dev/null", check=False).split()
        for node in fleet.nodes
    }


def test_a_set_is_mounted_read_only_from_memory_and_rolls_under_load(fleet, token):
    token("first-value")
    fleet.stack(WEB)
    fleet.deploy().ok()
    one = running(fleet)[0]
    assert values(fleet) == ["first-value"] * 3
    assert [inside(fleet, one, f"cat {path}") for path in ("/run/secrets/own", "/etc/app/key")] == ["first-value"] * 2
    assert "Permission denied" in inside(fleet, one, "cat /run/secrets/others")
    listed = "docker exec -u 0 {} stat -c '%n %u %g %a' /run/secrets/own /run/secrets/others /run/secrets/token"
    told = fleet.shell(one["node"], listed.format(one["name"])).splitlines()
    assert told == ["/run/secrets/own 1000 1000 400", "/run/secrets/others 1001 0 400", "/run/secrets/token 0 0 444"]
    refused = fleet.shell(
        one["node"], f"docker exec -u 0 {one['name']} sh -c 'echo x > /run/secrets/new' 2>&1", check=False
    )
    assert "Read-only file system" in refused
    mounts = fleet.shell(one["node"], "grep ' /run/stowage/secrets ' /proc/mounts")
    assert mounts.startswith(
        ("stowage-secrets /run/stowage/secrets tmpfs", "stowage-secrets /run/stowage/secrets ramfs")
    )
    assert "tmpfs" not in mounts or "noswap" in mounts
    assert fleet.shell(one["node"], "stat -c %a /run/stowage/secrets") == "700"
    assert fleet.deploy().ok().changed == 0
    before = {container["id"] for container in running(fleet)}
    token("second-value")
    with Load(fleet) as load:
        fleet.deploy().ok()
    assert load.bad == []
    assert load.good > 50
    assert values(fleet) == ["second-value"] * 3
    assert before.isdisjoint(container["id"] for container in running(fleet))
    assert {node: len(names) for node, names in kept(fleet).items()} == dict.fromkeys(fleet.nodes, 1)
    after = {container["id"] for container in running(fleet)}
    token("bad-value")
    with Load(fleet) as load:
        assert fleet.deploy().rc != 0
    assert load.bad == []
    assert values(fleet) == ["second-value"] * 3
    assert {container["id"] for container in running(fleet)} == after
    fleet.stack("services: {other: {image: stowage/app:1.0}}")
    fleet.deploy().ok()
    assert kept(fleet) == {node: [] for node in fleet.nodes}
    for node in fleet.nodes:
        assert fleet.shell(node, "ls /var/lib/stowage/secrets") == ""


def reboot(fleet, node):
    """Restart the host as its owner would: everything in memory is gone."""
    subprocess.run(["docker", "restart", "-t", "10", fleet.outer(node)], check=True, capture_output=True)
    fleet.wait_for(node)


def test_a_reboot_brings_secrets_back_before_docker_or_leaves_their_users_waiting(fleet, token):
    token("kept-value")
    fleet.stack(WEB)
    fleet.deploy().ok()
    one = running(fleet)[0]
    node = one["node"]
    assert (
        fleet.shell(node, "grep -rl kept-value /var/lib/stowage /etc/systemd /usr/local/lib/stowage", check=False) == ""
    )
    reboot(fleet, node)
    assert fleet.shell(node, "systemctl is-active stowage-secrets.service") == "active"
    (again,) = [c for c in running(fleet) if c["node"] == node]
    assert again["id"] == one["id"]
    assert inside(fleet, again, "cat /run/secrets/own /etc/app/key") == "kept-value" * 2
    assert fleet.deploy().ok().changed == 0
    fleet.shell(node, "rm -f /var/lib/stowage/secrets/*")
    reboot(fleet, node)
    assert [c for c in running(fleet) if c["node"] == node] == []
    assert fleet.shell(node, "ls -A /run/stowage/secrets") == ""
    assert "1 waiting for secrets" in fleet.play("status").ok().text
    assert "waits for its secrets" in fleet.play("plan").ok().text
    fleet.deploy().ok()
    assert values(fleet) == ["kept-value"] * 3
    (again,) = [c for c in running(fleet) if c["node"] == node]
    assert again["id"] == one["id"]
    assert fleet.deploy().ok().changed == 0


def test_without_a_copy_nothing_is_kept_on_a_disk(fleet, token):
    token("memory-only")
    fleet.stack(WEB)
    fleet.deploy("-e", "stowage_secrets_persist=none").ok()
    for node in fleet.nodes:
        assert fleet.shell(node, "ls /var/lib/stowage/secrets 2>/dev/null", check=False) == ""
    token("more")
    refused = fleet.deploy("-e", "stowage_secrets_persist=always")
    assert refused.rc != 0
    assert "stowage_secrets_persist: 'always' is unknown" in refused.text
    assert set(values(fleet)) == {"memory-only"}


def test_a_signal_brings_a_new_value_into_running_containers(fleet, token):
    token("one")
    fleet.stack(LIVE)
    fleet.deploy().ok()
    before = {container["id"] for container in running(fleet, "shop_proxy")}
    assert values(fleet, service="shop_proxy") == ["one", "one"]
    assert fleet.deploy().ok().changed == 0
    token("number-two")
    checked = fleet.deploy("--check", "--diff").ok()
    assert "its secrets changed (signal HUP)" in checked.text
    assert "number-two" not in checked.text
    assert values(fleet, service="shop_proxy") == ["one", "one"]
    fleet.deploy().ok()
    assert {container["id"] for container in running(fleet, "shop_proxy")} == before
    assert values(fleet, "/tmp/loaded", "shop_proxy") == ["number-twonumber-two"] * 2
    assert fleet.deploy().ok().changed == 0
    node = running(fleet, "shop_proxy")[0]["node"]
    reboot(fleet, node)
    assert values(fleet, service="shop_proxy") == ["number-two"] * 2
    assert fleet.deploy().ok().changed == 0
