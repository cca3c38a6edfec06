"""Canaries: random values of every source, and where they are found after deploys that tell all they can."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from stores import BAO, SOPS, Bao, Files

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-secrets runs it")

STACK = """
services:
  web:
    image: stowage/app:1.0
    healthcheck:
      test: [CMD, sh, -c, "curl -fsS http://127.0.0.1:8080/health && ! grep -q bad- /run/secrets/plain"]
      interval: 1s
      timeout: 3s
      retries: 2
    secrets: [plain, vaulted, given, stored, sops, whole, {source: plain, target: /key, uid: "1000", mode: 0400}]
    deploy:
      replicas: 3
      update_config: {parallelism: 1, order: start-first, failure_action: rollback}
    x-stowage: {secret_env: {GIVEN: given}}
  live:
    image: stowage/app:1.0
    stop_grace_period: 1s
    secrets: [plain]
    deploy: {replicas: 2}
    x-stowage: {on_change: "signal:WINCH"}
secrets:
  plain: {file: ./plain.txt}
  vaulted: {file: ./vaulted.txt}
  given: {external: true}
  stored: {x-stowage: {from: "vault:shop/canary#value"}}
  sops: {file: ./canary.enc.yaml, x-stowage: {key: of/the/test}}
  whole: {file: ./whole.enc}
"""
NAMES = ("plain", "vaulted", "given", "stored", "sops", "whole")
RUNNER = os.environ.get("STOWAGE_ANSIBLE_RUNNER", "")


class Canary:
    """A value with characters that encodings change, around halves that they do not."""

    def __init__(self, name, prefix=""):
        self.name, self.halves = name, (secrets.token_hex(12), secrets.token_hex(12))
        self.value = f'{prefix}{self.halves[0]} "&=é/{self.halves[1]}'

    def patterns(self):
        """Texts of which one is in whatever holds the value: plain, in JSON or a URL, in base64, in hex, reversed."""
        found = [*self.halves, *(half[::-1] for half in self.halves), *(half.encode().hex() for half in self.halves)]
        for half in self.halves:
            for shift in range(3):
                # The characters in the middle of base64 do not depend on what stands before or after.
                text = base64.b64encode(b"\0" * shift + half.encode() + b"\0" * 3).decode()
                found.append(text[4 : 4 + 24])
        return found


class Watch:
    """The command lines of every process of this machine, lab hosts included, while something happens."""

    def __init__(self, patterns):
        self.patterns, self.found, self.samples = [p.encode() for p in patterns], set(), 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look)

    def _look(self):
        while not self.done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_bytes()
                except OSError:
                    continue
                if any(pattern in text for pattern in self.patterns):
                    self.found.add(text[:200])
            self.samples += 1
            time.sleep(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_error):
        self.done.set()
        self.thread.join()


@pytest.fixture
def store(tmp_path_factory):
    """An OpenBao with a canary, and the file of a token that may read it."""
    made = Canary("stored")
    with Bao(tmp_path_factory.mktemp("bao")) as bao:
        bao.write(path="shop/canary", value=made.value)
        token = bao.token("deploy")
        path = tmp_path_factory.mktemp("token") / "token"
        path.write_text(token)
        yield made, token, {"address": bao.address, "auth": {"method": "token", "token_file": str(path)}}


@pytest.fixture
def nest(fleet, store, tmp_path, monkeypatch):
    """A fleet with a canary of every source; the sources lie outside of what is searched."""
    stacks, password = fleet.directory / "stacks", tmp_path / "password"
    password.write_text("of the test")
    made = {name: Canary(name) for name in (*NAMES, "key")}
    made["stored"] = store[0]
    files = Files(fleet, tmp_path)
    monkeypatch.setenv("PATH", f"{os.path.dirname(files.program)}:{os.environ['PATH']}")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", files.key)
    files.write("canary.enc.yaml", json.dumps({"of": {"the": {"test": made["sops"].value}}}))
    files.write("whole.enc", made["whole"].value)
    (stacks / "plain.txt").write_text(made["plain"].value)
    (stacks / "vaulted.txt").write_text(made["vaulted"].value)
    binary = os.path.join(os.path.dirname(sys.executable), "ansible-vault")
    vault = ("--vault-password-file", str(password))
    subprocess.run([binary, "encrypt", *vault, str(stacks / "vaulted.txt")], check=True, capture_output=True)
    (fleet.directory / "given.txt").write_text(made["given"].value)
    inventory = fleet.directory / "group_vars/all/canary.yml"
    inventory.write_text(
        json.dumps(
            {
                "stowage_stacks": {"shop": {"files": "stacks/shop.yml", "secrets": {"given": "given.txt"}}},
                "stowage_secrets_key": made["key"].value,
                "stowage_vault": store[2],
            }
        )
    )
    subprocess.run([binary, "encrypt", *vault, str(inventory)], check=True, capture_output=True)
    fleet.stack(STACK)
    yield made, vault
    written = [stacks / name for name in ("plain.txt", "vaulted.txt", "canary.enc.yaml", "whole.enc")]
    for path in (*written, fleet.directory / "given.txt", inventory):
        path.unlink(missing_ok=True)


def run(fleet, private, playbook, *arguments):
    """A playbook through ansible-runner, telling all that it can; its return code."""
    environment = {
        **fleet.environment(),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "PYTHONPATH": RUNNER,
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(private / "facts"),
        "ANSIBLE_GATHERING": "implicit",
        "ANSIBLE_LOG_PATH": str(private / "ansible.log"),
        "ANSIBLE_RETRY_FILES_ENABLED": "1",
        "ANSIBLE_RETRY_FILES_SAVE_PATH": str(private / "retry"),
    }
    words = ["-i", str(fleet.directory / "hosts.yml"), "-vvvvv", "--diff", *arguments]
    argv = [sys.executable, "-m", "ansible_runner", "run", str(private), "-p", f"stowage.fleet.{playbook}"]
    argv += ["--project-dir", str(fleet.directory), f"--cmdline={' '.join(words)}"]
    done = subprocess.run(argv, env=environment, cwd=fleet.directory, capture_output=True, check=False, timeout=400)
    with (private / "stdout").open("ab") as file:
        file.write(done.stdout + done.stderr)
    return done.returncode


def holders(patterns, *places):
    """Files of this machine, below places, that hold one of the patterns."""
    argv = ["grep", "-rlaF", *(word for pattern in patterns for word in ("-e", pattern)), *map(str, places)]
    return set(subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines())


def on_host(fleet, node, patterns):
    """Files on all disks and in memory of a host that hold a pattern, and how often its journal and Engine tell one."""
    fleet.shell(
        node, f"umask 077; mkdir -p /dev/shm/canaries; printf '%s\\n' {' '.join(patterns)} > /dev/shm/canaries/patterns"
    )
    look = "grep -rlaF --devices=skip -f /dev/shm/canaries/patterns"
    skipped = " ".join(f"--exclude-dir={name}" for name in ("proc", "sys", "canaries"))
    found = set(fleet.shell(node, f"{look} {skipped} / 2>/dev/null", check=False, timeout=300).splitlines())
    told = (
        "docker ps -aq | xargs -r docker inspect; docker images -q | xargs -r docker inspect; journalctl -a --no-pager"
    )
    heard = fleet.shell(node, f"({told}) | grep -caF -f /dev/shm/canaries/patterns", check=False, timeout=120)
    fleet.shell(node, "rm -r /dev/shm/canaries")
    return found, heard


@pytest.mark.skipif(not (RUNNER and BAO and SOPS), reason="make test-secrets says where ansible-runner and stores are")
def test_canaries_are_in_memory_and_in_the_process_and_nowhere_else(fleet, nest, store, tmp_path):
    made, vault = nest
    bad = Canary("bad", "bad-")
    patterns = [pattern for one in (*made.values(), bad) for pattern in one.patterns()]
    patterns.append(store[1])
    private = tmp_path / "runner"
    (private / "env").mkdir(parents=True)
    with Watch(patterns) as watch:
        assert run(fleet, private, "plan", *vault, "-e", f"stowage_plan_file={private}/plan.json") == 0
        assert run(fleet, private, "deploy", *vault, "-e", f"stowage_saved_plan={private}/plan.json") == 0
        (fleet.directory / "stacks/plain.txt").write_text(bad.value)
        assert run(fleet, private, "deploy", *vault) != 0
        assert run(fleet, private, "status", *vault) == 0
    assert watch.samples > 100
    assert watch.found == set()
    stdout = (private / "stdout").read_text(errors="replace")
    assert "rolled back" in stdout.lower() or "rollback" in stdout.lower()
    assert (private / "artifacts").is_dir()
    assert (private / "ansible.log").stat().st_size > 10000
    sources = {str(fleet.directory / "stacks/plain.txt"), str(fleet.directory / "given.txt")}
    places = (private, fleet.directory, Path("~/.ansible").expanduser())
    assert holders(patterns, *places) - sources == set()
    for node in fleet.nodes:
        found, heard = on_host(fleet, node, patterns)
        assert {path for path in found if not path.startswith("/run/stowage/secrets/")} == set()
        assert heard == "0"
        assert found, "the canaries that the host shall hold are found by the same search"
    for container in fleet.containers("shop_web"):
        read = f"cat {' '.join(f'/run/secrets/{name}' for name in NAMES)}"
        text = fleet.shell(container["node"], f"docker exec {container['name']} {read}")
        assert text == "".join(made[name].value for name in NAMES)
        process = f"docker inspect -f '{{{{.State.Pid}}}}' {container['name']}"
        variables = fleet.shell(container["node"], f"tr '\\0' '\\n' < /proc/$({process})/environ")
        assert f"GIVEN={made['given'].value}" in variables.splitlines()
    assert not re.search("|".join(patterns), json.dumps(fleet.containers(everything=True)))
