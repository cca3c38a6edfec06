"""Secrets as environment variables: in the process, and nowhere that Docker tells."""

from __future__ import annotations

import json
import os
import secrets

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-secrets runs it")
WEB = """
services:
  web:
    image: stowage/app:1.0
    environment: {SLOT: "{{.Task.Slot}}", "odd.name": kept}
    secrets: [token]
    deploy: {replicas: 2}
    x-stowage: {secret_env: {NAME: token}}
  tiny:
    image: stowage-test/tiny:1
    secrets: [token]
    x-stowage: {secret_env: {TOKEN: token}}
secrets:
  token: {file: ./token.txt}
"""
UNREADABLE = """
services:
  web:
    image: stowage/app:1.0
    user: "1000"
    secrets: [{source: token, mode: 0400}]
    x-stowage: {secret_env: {NAME: token}, ready_timeout: 10s}
secrets:
  token: {file: ./token.txt}
"""
# An image of one static program and nothing else: no shell, no libraries, no users.
TINY = (
    "mkdir -p /tmp/tiny && cp /bin/busybox /tmp/tiny/busybox && tar -C /tmp/tiny -c . | "
    """docker import -c 'ENTRYPOINT ["/busybox", "sleep"]' -c 'CMD ["100000"]' - stowage-test/tiny:1"""
)


@pytest.fixture
def written(fleet):
    """A function that writes the secret's value and returns it."""
    path = fleet.directory / "stacks/token.txt"
    for node in fleet.nodes:
        fleet.shell(node, TINY)

    def write() -> str:
        value = f'it\'s "{secrets.token_hex(8)}" $HOME'
        path.write_text(value + "\n")
        return value

    yield write
    path.unlink()
    for node in fleet.nodes:
        fleet.shell(node, "docker rmi -f stowage-test/tiny:1; rm -rf /tmp/tiny", check=False)


def environment(fleet, container):
    """The environment of a container's process, as the host sees it."""
    pid = fleet.shell(container["node"], f"docker inspect -f '{{{{.State.Pid}}}}' {container['id']}").strip()
    text = fleet.shell(container["node"], f"tr '\\0' '\\n' < /proc/{pid}/environ")
    line = fleet.shell(container["node"], f"tr '\\0' ' ' < /proc/{pid}/cmdline")
    return dict(one.partition("=")[::2] for one in text.splitlines()), line.strip()


def test_a_secret_is_a_variable_of_the_process_and_of_nothing_else(fleet, written):
    first = written()
    fleet.stack(WEB)
    run = fleet.deploy("-vvv", "--diff").ok()
    assert first not in run.text
    for container in fleet.containers("shop_web"):
        found, line = environment(fleet, container)
        assert (found["NAME"], found["odd.name"], found["VERSION"]) == (first, "kept", "1.0")
        assert not {name for name in found if name.startswith(("stowage", "SHLVL"))}
        assert line == "/usr/bin/python3 /app.py"
        told = fleet.shell(container["node"], f"docker inspect {container['id']}")
        assert json.dumps(first)[1:-1] not in told
        assert "odd.name=kept" in told
    (tiny,) = fleet.containers("shop_tiny")
    found, line = environment(fleet, tiny)
    assert (found["TOKEN"], line) == (first, "/busybox sleep 100000")
    assert fleet.deploy().ok().changed == 0

    fleet.shell(tiny["node"], f"docker restart -t 0 {tiny['id']}")
    assert environment(fleet, tiny)[0]["TOKEN"] == first
    second = written()
    fleet.deploy().ok()
    names = {environment(fleet, container)[0]["NAME"] for container in fleet.containers("shop_web")}
    assert names == {second}
    assert environment(fleet, fleet.containers("shop_tiny")[0])[0]["TOKEN"] == second


def test_a_user_who_cannot_read_it_is_told(fleet, written):
    value = written()
    fleet.stack(UNREADABLE)
    run = fleet.deploy()
    assert run.rc != 0
    assert "user 1000 cannot read /run/secrets/token for the variable NAME" in run.text
    assert value not in run.text
    assert fleet.containers("shop_web") == []


def test_a_host_without_the_shim_stops_the_deploy_before_its_first_change(fleet, written):
    written()
    fleet.stack(WEB)
    for node in fleet.nodes:
        fleet.shell(node, "mv /usr/local/lib/stowage/shim /usr/local/lib/stowage/shim.away")
    try:
        run = fleet.deploy()
        assert run.rc != 0
        assert "STW-SHIM" in run.text
        assert fleet.containers(everything=True) == []
    finally:
        for node in fleet.nodes:
            fleet.shell(node, "mv /usr/local/lib/stowage/shim.away /usr/local/lib/stowage/shim")
    fleet.deploy().ok()
