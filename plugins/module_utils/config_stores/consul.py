# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Consul's key/value store, by its HTTP API. A credential is an ACL token."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

from .base import Access, Refused, StoreError, conflict, request

MOST_AT_ONCE = 64


def keys(endpoint: str, access: Access) -> dict[str, tuple[bytes, int]]:
    """{name below the prefix: (content, ModifyIndex)}. Raises StoreError."""
    first = f"{access.source['prefix'].strip('/')}/"
    where = f"{endpoint}/v1/kv/{urllib.parse.quote(first)}?recurse=true"
    try:
        listed: Any = json.loads(request(where, access, headers=authorization(access.credential)))
    except Refused as error:
        if error.status == 404:
            return {}
        raise
    except ValueError:
        raise StoreError("answers what is no JSON: is this Consul?", retry=False) from None
    found = {}
    for one in listed:
        name = str(one["Key"])[len(first) :]
        if name and not name.endswith("/"):  # a key that ends so is what Consul's own page makes as a folder
            found[name] = (base64.b64decode(one.get("Value") or ""), int(one["ModifyIndex"]))
    return found


def authorization(credential: str | None) -> dict[str, str]:
    """The header of a token."""
    return {"X-Consul-Token": credential} if credential else {}


def versions(access: Access) -> dict[str, tuple[bytes, int]]:
    """{name: (content, ModifyIndex)}. Raises StoreError."""
    return access.first(lambda one: keys(one, access))


def write(access: Access, now: Mapping[str, Any], changes: Any) -> None:
    """Transactions of at most MOST_AT_ONCE keys, Consul's limit. Raises StoreError."""
    names = [*changes.puts, *changes.removed]
    first = f"{access.source['prefix'].strip('/')}/"
    for at in range(0, len(names), MOST_AT_ONCE):
        body = json.dumps([_change(first, name, now, changes.puts) for name in names[at : at + MOST_AT_ONCE]]).encode()

        def ask(endpoint: str, body: bytes = body) -> bytes:
            return request(f"{endpoint}/v1/txn", access, body, authorization(access.credential), method="PUT")

        try:
            access.first(ask)
        except Refused as error:
            if error.status == 409:
                raise conflict() from None
            raise


def _change(first: str, name: str, now: Mapping[str, Any], puts: Mapping[str, bytes]) -> dict[str, Any]:
    """One operation: only if the key still has the index that was read, 0 if it was not there."""
    told: dict[str, Any] = {"Key": first + name, "Index": now[name][1] if name in now else 0}
    if name not in puts:
        return {"KV": {"Verb": "delete-cas", **told}}
    return {"KV": {"Verb": "cas", **told, "Value": base64.b64encode(puts[name]).decode()}}
