"""Secrets are where they belong and nowhere else, whatever a run is told."""

from __future__ import annotations

import os
import secrets
import subprocess

import pytest

WEB = """
services:
  web:
    image: stowage/app:1.0
    secrets: [token]
    deploy: {replicas: 2}
secrets:
  token: {file: ./token.txt}
"""
PLACES = "/etc /root /tmp /var/tmp /var/log /var/lib/stowage /var/lib/docker/containers"


@pytest.fixture
def canary(fleet):
    """A fleet's stack with one secret; its value."""
    value = f"canary-{secrets.token_hex(8)}"
    path = fleet.directory / "stacks/token.txt"
    path.write_text(value)
    fleet.stack(WEB)
    yield value
    path.unlink()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (("ANSIBLE_SSH_PIPELINING", "0"), "without pipelining"),
        (("ANSIBLE_KEEP_REMOTE_FILES", "1"), "ANSIBLE_KEEP_REMOTE_FILES"),
        (("ANSIBLE_DEBUG", "1"), "ANSIBLE_DEBUG"),
    ],
)
def test_a_run_that_would_write_values_down_is_refused_before_any_change(fleet, canary, monkeypatch, setting, words):
    monkeypatch.setenv(*setting)
    run = fleet.deploy()
    assert run.rc != 0
    refused = [line for line in run.text.splitlines() if line.strip().startswith("STW-DELIVERY")]
    assert len(refused) >= 1, run.text[-2000:]
    assert [line for line in refused if words not in line] == []
    assert fleet.containers(everything=True) == []
    assert canary not in run.text
    home = os.path.expanduser("~/.ansible")
    assert subprocess.run(["grep", "-rl", canary, home], capture_output=True, text=True, check=False).stdout == ""
    for node in fleet.nodes:
        assert fleet.shell(node, f"grep -rl {canary} {PLACES} /run", check=False) == ""
        assert fleet.shell(node, "cat /run/stowage/lock.json", check=False) in ("", "cat: /run/stowage/lock.json")
        fleet.shell(node, "rm -rf /root/.ansible/tmp")


def test_a_file_of_ansible_vault_is_opened_in_memory_only(fleet, canary):
    password = fleet.directory / "password"
    password.write_text("of the test")
    vault = ("--vault-password-file", str(password))
    binary = os.path.join(os.path.dirname(os.sys.executable), "ansible-vault")
    subprocess.run([binary, "encrypt", *vault, str(fleet.directory / "stacks/token.txt")], check=True)
    refused = fleet.deploy()
    assert refused.rc != 0
    assert "STW-SECRET" in refused.text
    run = fleet.deploy("-vvv", "--diff", *vault).ok()
    assert canary not in run.text
    for container in fleet.containers("shop_web"):
        assert fleet.shell(container["node"], f"docker exec {container['id']} cat /run/secrets/token") == canary
    found = subprocess.run(["grep", "-rl", canary, str(fleet.directory)], capture_output=True, text=True, check=False)
    assert found.stdout == ""
    assert fleet.deploy(*vault).ok().changed == 0
