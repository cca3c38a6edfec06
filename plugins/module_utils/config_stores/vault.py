# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A secret of OpenBao or HashiCorp Vault (KV version 2): its keys are the files.

The prefix is mount/path. A credential is a token, or role_id:secret_id of AppRole; such a secret_id must be good for
many logins. The revision is made of the secret's version, so that it can be known without reading a value.
"""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from .base import Access, Pulled, Refused, StoreError, checked, conflict, request

APPROLE = "auth/approle/login"


def read(access: Access) -> Pulled:
    """The secret's keys. Raises StoreError."""

    def ask(endpoint: str) -> Pulled:
        token = login(endpoint, access)
        mount, path = parted(access.source["prefix"])
        answer = _get(f"{endpoint}/v1/{mount}/data/{path}", token, access)
        files = {str(key): _text(value).encode() for key, value in (answer.get("data") or {}).items()}
        told = answer.get("metadata") or {}
        return checked(files)._replace(revision=version(access.source["prefix"], told.get("version"), told))

    return access.first(ask)


def peek(access: Access) -> str:
    """The revision, by the secret's metadata alone. Raises StoreError."""

    def ask(endpoint: str) -> str:
        token = login(endpoint, access)
        mount, path = parted(access.source["prefix"])
        answer = _get(f"{endpoint}/v1/{mount}/metadata/{path}", token, access)
        number = answer.get("current_version")
        return version(access.source["prefix"], number, (answer.get("versions") or {}).get(str(number)) or {})

    return access.first(ask)


def login(endpoint: str, access: Access) -> str:
    """A token. Raises StoreError."""
    role, colon, secret = (access.credential or "").partition(":")
    if not colon:
        return role
    sent = json.dumps({"role_id": role, "secret_id": secret}).encode()
    answer = _object(request(f"{endpoint}/v1/{APPROLE}", access, sent))
    return str((answer.get("auth") or {}).get("client_token", ""))


def parted(prefix: str) -> tuple[str, str]:
    """(mount, path) of a prefix, as they stand in a URL."""
    mount, _slash, path = prefix.strip("/").partition("/")
    return urllib.parse.quote(mount), urllib.parse.quote(path)


def version(prefix: str, number: Any, told: Mapping[str, Any]) -> str:
    """The revision of one version of a secret, 32 hex digits. told: with created_time."""
    text = json.dumps([prefix.strip("/"), number, told.get("created_time")])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _get(url: str, token: str, access: Access) -> dict[str, Any]:
    found = _object(request(url, access, headers={"X-Vault-Token": token} if token else {}))
    return found.get("data") or {}


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        raise StoreError("answers what is no JSON: is this OpenBao or Vault?", retry=False) from None
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def versions(access: Access) -> dict[str, tuple[bytes, int]]:
    """{key: (content, version of the secret)}. Raises StoreError."""

    def ask(endpoint: str) -> dict[str, tuple[bytes, int]]:
        mount, path = parted(access.source["prefix"])
        try:
            answer = _get(f"{endpoint}/v1/{mount}/data/{path}", login(endpoint, access), access)
        except Refused as error:
            if error.status == 404:
                return {}
            raise
        number = int((answer.get("metadata") or {}).get("version", 0))
        return {str(key): (_text(value).encode(), number) for key, value in (answer.get("data") or {}).items()}

    return access.first(ask)


def write(access: Access, now: Mapping[str, Any], changes: Any) -> None:
    """A new version of the secret, if the one that was read is still the newest. Raises StoreError."""
    kept = {name: content for name, (content, _number) in now.items() if name not in changes.removed}
    data = {name: content.decode("utf-8", "replace") for name, content in {**kept, **changes.puts}.items()}
    seen = next(iter(now.values()))[1] if now else 0
    body = json.dumps({"options": {"cas": seen}, "data": data}).encode()

    def ask(endpoint: str) -> bytes:
        mount, path = parted(access.source["prefix"])
        token = login(endpoint, access)
        headers = {"X-Vault-Token": token} if token else {}
        return request(f"{endpoint}/v1/{mount}/data/{path}", access, body, headers)

    try:
        access.first(ask)
    except Refused as error:
        if error.status == 400 and "check-and-set" in error.reason:
            raise conflict() from None
        raise
