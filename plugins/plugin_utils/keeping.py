# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet's own OpenBao seen from the controller: initialized, opened, given its policies, asked for a way in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible.parsing.vault import VaultLib, is_encrypted
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import server, settings, vault
from ansible_collections.stowage.fleet.plugins.plugin_utils import vaulted

PATIENCE = 60.0  # seconds that a store which was just started may take to answer
GLANCE = 0.5
LONGEST = 300.0  # seconds that a store may take to initialize: its answer is the only copy of the keys
WRAPPED = "600s"
LOGIN = "approle"


class Keeper:
    """One store, asked with the root token of the keys file, or with a token of the environment."""

    def __init__(self, stated: Any, keys: Path, templar: Any) -> None:
        """stated: stowage_vault; keys: the file of the key shares on the controller. Raises StowageError."""
        given = {**stated, "auth": {"method": "token"}} if isinstance(stated, Mapping) else stated
        self.settings, self.path, self._templar = settings.read(given), keys, templar
        self._client = vault.connection(self.settings)

    def asked(self, ask: Callable[[Any], Any]) -> Any:
        """What the store answers. Raises StowageError (STW-VAULT)."""
        try:
            return vault.answer(lambda: ask(self._client))
        except vault.StoreError as error:
            raise StowageError(Problem("STW-VAULT", self.settings.address, error.reason, error.fix)) from None

    def patient(self) -> Any:
        """A client that asks once and waits: a second request to initialize would be refused, and the keys be lost."""
        return vault.connection(self.settings._replace(timeout=LONGEST), again=0)

    def state(self, patience: float = PATIENCE) -> dict[str, Any]:
        """{initialized, sealed}; waits for a store that was just started. Raises StowageError (STW-VAULT)."""
        until = time.monotonic() + patience
        while True:
            try:
                found = self.asked(lambda client: client.sys.read_seal_status())
                return {"initialized": bool(found["initialized"]), "sealed": bool(found["sealed"])}
            except StowageError as error:
                if "does not answer" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(GLANCE)

    def initialize(self, made: int, needed: int) -> None:
        """Initialize the store, with its key shares and root token in the keys file, which must be new (mode 0600)."""
        self._sealed_text(b"{}")  # what cannot be encrypted must show before there are keys
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            reason = "is there already, and the store is not initialized: its keys are of another store"
            raise _refused(str(self.path), reason, "move it away, or name another: stowage_vault_keys_file") from None
        except OSError as error:
            reason = f"cannot be written ({error.strerror})"
            raise _refused(str(self.path), reason, "name another: stowage_vault_keys_file") from None
        with os.fdopen(file, "wb") as keys:
            try:
                found = vault.answer(lambda: self.patient().sys.initialize(made, needed))
            except vault.StoreError as error:
                self.path.unlink()
                raise _refused(self.settings.address, error.reason, error.fix) from None
            kept = {"threshold": needed, "shares": found["keys_base64"], "root_token": found["root_token"]}
            keys.write(self._sealed_text(json.dumps(kept, indent=1).encode() + b"\n"))
            keys.flush()
            os.fsync(keys.fileno())

    def unseal(self) -> None:
        """Open the store by as many shares of the keys file as it takes. Raises StowageError (STW-VAULT)."""
        told: dict[str, Any] = {}
        for share in self._keys()["shares"]:
            told = self.asked(lambda client, share=share: client.sys.submit_unseal_key(share))
            if not told["sealed"]:
                return
        reason = f"is still sealed: it has {told.get('progress', 0)} of {told.get('t', '?')} key shares"
        raise _refused(self.settings.address, reason, "the holders of the others run stowage.fleet.unseal as well")

    def log_in(self, variables: Mapping[str, str]) -> None:
        """Take the environment's token, else the root token of the keys file."""
        token = next((variables[name] for name in vault.TOKEN_VARIABLES if variables.get(name)), "")
        self._client.token = token or self._keys().get("root_token", "")
        if not self._client.token:
            raise _refused("this run", "has no token to change the store with", "set BAO_TOKEN")

    def found(self, policies: Mapping[str, Any], roles: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What the store has of what is wanted, as server.changes() compares it."""
        engines = self.asked(lambda client: client.sys.list_mounted_secrets_engines())["data"]
        logins = self.asked(lambda client: client.sys.list_auth_methods())["data"]
        mounted = engines.get(f"{self.settings.mount}/") or {}
        version = str((mounted.get("options") or {}).get("version", "1"))
        have = set(self.asked(lambda client: client.sys.list_policies())["data"]["policies"])
        texts = {
            name: self.asked(lambda client, name=name: client.sys.read_policy(name))["data"]["rules"]
            for name in policies
            if name in have
        }
        known = {name: self._role(name) for name in roles} if f"{LOGIN}/" in logins else {}
        return {
            "engine": {self.settings.mount: f"{mounted['type']} version {version}"} if mounted else {},
            "login": {LOGIN: LOGIN} if f"{LOGIN}/" in logins else {},
            "policy": texts,
            "role": {name: role for name, role in known.items() if role},
        }

    def _role(self, name: str) -> dict[str, Any] | None:
        try:
            return dict(vault.answer(lambda: self._client.auth.approle.read_role(name))["data"])
        except vault.StoreError as error:
            if error.kind == vault.MISSING:
                return None
            raise _refused(self.settings.address, error.reason, error.fix) from None

    def wanted(self, policies: Mapping[str, Any], roles: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What the store shall hold, as server.changes() compares it."""
        engine = {self.settings.mount: f"kv version {self.settings.version}"}
        return {"engine": engine, "login": {LOGIN: LOGIN}, "policy": dict(policies), "role": dict(roles)}

    def carry_out(self, change: server.Change, wanted: Mapping[str, Mapping[str, Any]]) -> None:
        """Make one change. Raises StowageError (STW-VAULT)."""
        name, value = change.name, wanted[change.kind][change.name]
        if change.kind == "engine":
            if change.before:
                reason = f"is {change.before.strip()} there, and stowage_vault says {value}"
                raise _refused(f"mount {name}", reason, "name another mount, or state its version")
            options = {"version": str(self.settings.version)}
            self.asked(lambda client: client.sys.enable_secrets_engine("kv", path=name, options=options))
        elif change.kind == "login":
            self.asked(lambda client: client.sys.enable_auth_method(name))
        elif change.kind == "policy":
            self.asked(lambda client: client.sys.create_or_update_policy(name, value))
        else:
            self.asked(lambda client: client.auth.approle.create_or_update_approle(name, **value))

    def way_in(self, role: str) -> tuple[str, str]:
        """(role id, wrapper of a new secret id): one login, within ten minutes."""
        identity = self.asked(lambda client: client.auth.approle.read_role_id(role))["data"]["role_id"]
        made = self.asked(lambda client: client.auth.approle.generate_secret_id(role, wrap_ttl=WRAPPED))
        return identity, made["wrap_info"]["token"]

    def _sealed_text(self, text: bytes) -> bytes:
        """Encrypted by Ansible Vault, if this run has a password for it."""
        known = vaulted.passwords(self._templar)
        return VaultLib(known).encrypt(text) if known else text

    def _keys(self) -> dict[str, Any]:
        try:
            content = self.path.read_bytes()
            if is_encrypted(content):
                content = vaulted.opener(self._templar)("of the store's keys file", content)
            return dict(json.loads(content))
        except (OSError, ValueError):
            fix = "name it: stowage_vault_keys_file; to change the store, BAO_TOKEN does as well"
            raise _refused(str(self.path), "is no file with the store's keys that can be read", fix) from None


def check(files: Mapping[str, Path], hosts: list[str]) -> None:
    """Refuse what the role cannot do. files: {variable: path}. Raises StowageError (STW-VAULT)."""
    problems = [
        Problem("STW-VAULT", name, f"{path} is no file on the controller", "give the path of one")
        for name, path in files.items()
        if not path.is_file()
    ]
    if len(hosts) != 1:
        reason = f"has {len(hosts)} hosts, and the role runs one OpenBao"
        problems.append(Problem("STW-VAULT", "group stowage_vault", reason, "put one host into it"))
    raise_all(problems)


def _refused(place: str, reason: str, fix: str) -> StowageError:
    return StowageError(Problem("STW-VAULT", place, reason, fix))


def put(path: Path, text: str) -> None:
    """Write a file that its owner alone reads, in one step. Raises StowageError (STW-VAULT)."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text + "\n")
        draft.replace(path)
    except OSError as error:
        raise _refused(str(path), f"cannot be written ({error.strerror})", "name a file that can be") from None
