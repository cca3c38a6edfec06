# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the fleet's OpenBao or HashiCorp Vault is, and how a run proves who it is: variable stowage_vault."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import Problem, raise_all, show

PLACE = "stowage_vault"
KEYS = ("address", "namespace", "ca_file", "mount", "version", "timeout", "auth")
# {method: (keys one of which is needed, further keys)}; `<key>_file` names a file with the value.
METHODS = {
    "token": (("token",), ()),
    "approle": (("secret_id", "wrapped_secret_id"), ("mount", "role", "role_id")),
    "jwt": (("jwt",), ("mount", "role")),
}
SECRET = ("token", "secret_id", "wrapped_secret_id", "jwt")


class Settings(NamedTuple):
    """Read stowage_vault. auth: {method, mount, role, role_id, one secret or <secret>_file}; timeout: seconds."""

    address: str
    namespace: str
    ca_file: str
    mount: str
    version: int
    timeout: float
    auth: Mapping[str, str]


def read(stated: Any) -> Settings:
    """The settings. Raises one StowageError (STW-VAULT) with every mistake; no secret is shown."""
    if not isinstance(stated, Mapping):
        reason = "is not stated, and secrets refer to it" if stated is None else "is no mapping"
        raise_all([Problem("STW-VAULT", PLACE, reason, "write {address: https://..., auth: {...}}")])
    auth = stated.get("auth") or {"method": "token"}
    problems = [_unknown(PLACE, str(key), KEYS) for key in stated if key not in KEYS]
    problems += _address(stated.get("address"))
    problems += _plain(stated)
    problems += _auth(auth) if isinstance(auth, Mapping) else [_wrong("auth", "is no mapping", "write {method: ...}")]
    raise_all(problems)
    texts = {key: str(stated.get(key) or "") for key in ("address", "namespace", "ca_file")}
    return Settings(
        **texts,
        mount=str(stated.get("mount") or "secret"),
        version=int(stated.get("version") or 2),
        timeout=float(stated.get("timeout") or 10),
        auth={str(key): str(value) for key, value in auth.items()},
    )


def _wrong(key: str, reason: str, fix: str) -> Problem:
    return Problem("STW-VAULT", f"{PLACE}.{key}", reason, fix)


def _unknown(place: str, key: str, known: tuple[str, ...]) -> Problem:
    return Problem("STW-VAULT", place, f"unknown key {show(key)}", f"known here: {', '.join(known)}")


def _address(value: Any) -> list[Problem]:
    try:
        parts = urlsplit(str(value or ""))
        host = parts.hostname or ""
    except ValueError:
        return [_wrong("address", f"{show(value)} is no URL", "write https://bao.example:8200")]
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.fragment:
        return [_wrong("address", f"{show(value)} is no address of a server", "write https://bao.example:8200")]
    if parts.scheme == "http" and not _loopback(host):
        return [_wrong("address", "secrets do not go over plain HTTP", "write https://, and ca_file for an own CA")]
    return []


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(stated: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for key in ("namespace", "ca_file", "mount"):
        value = stated.get(key, "")
        if not isinstance(value, str) or ".." in value.split("/") or any(ch < " " for ch in value):
            problems.append(_wrong(key, f"{show(value)} is not usable", "write a plain text"))
    if stated.get("version", 2) not in (1, 2):
        reason = f"{show(stated['version'])} is no version of the key/value store"
        problems.append(_wrong("version", reason, "write 1 or 2"))
    timeout = stated.get("timeout", 10)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= 300:
        problems.append(_wrong("timeout", f"{show(timeout)} is no number of seconds up to 300", "write 10"))
    return problems


def _auth(auth: Mapping[str, Any]) -> list[Problem]:
    method = auth.get("method", "token")
    if method not in METHODS:
        return [_wrong("auth.method", f"{show(method)} is unknown", f"write one of {', '.join(METHODS)}")]
    secrets, more = METHODS[method]
    known = ("method", *more, *secrets, *(f"{key}_file" for key in secrets))
    problems = [_unknown(f"{PLACE}.auth", str(key), known) for key in auth if key not in known]
    given = [key for key in known[1 + len(more) :] if auth.get(key)]
    if len(given) > 1 or (not given and method != "token"):
        reason = f"has {' and '.join(given) or 'nothing that proves who it is'}"
        problems.append(_wrong("auth", reason, f"give one of {', '.join(known[1 + len(more) :])}"))
    needed = [key for key in ("role_id" if method == "approle" else "role",) if method != "token"]
    problems += [_wrong("auth", f"{key} is missing", f"give {key}") for key in needed if not auth.get(key)]
    return problems
