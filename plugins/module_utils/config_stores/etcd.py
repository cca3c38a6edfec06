# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""etcd, by the JSON gateway of its API v3. A credential is user:password."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from .base import MOST, Access, StoreError, conflict, request

MOST_AT_ONCE = 100


class Member:
    """One endpoint, logged in to if there is a credential."""

    def __init__(self, endpoint: str, access: Access) -> None:
        """Log in. Raises StoreError."""
        self._endpoint, self._access = endpoint, access
        self._headers: dict[str, str] = {}
        if access.credential:
            user, colon, password = access.credential.partition(":")
            if not colon:
                raise StoreError("takes a secret of the form user:password", retry=False)
            answer = self.call("auth/authenticate", {"name": user, "password": password})
            self._headers = {"Authorization": str(answer.get("token", ""))}

    def call(self, method: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One request of the API. Raises StoreError."""
        sent = json.dumps(body).encode()
        data = request(f"{self._endpoint}/v3/{method}", self._access, sent, self._headers)
        try:
            found = json.loads(data)
        except ValueError:
            raise StoreError("answers what is no JSON: is this etcd?", retry=False) from None
        return found if isinstance(found, dict) else {}


def keys(member: Member, prefix: str) -> dict[str, tuple[bytes, int]]:
    """{name below the prefix: (content, revision of its last change)}. Raises StoreError."""
    first, end = span(prefix)
    asked = {"key": encoded(first), "range_end": encoded(end), "limit": MOST + 1}
    found = {}
    for one in member.call("kv/range", asked).get("kvs") or ():
        name = base64.b64decode(one["key"]).decode("utf-8", "replace")[len(first.decode()) :]
        found[name] = (base64.b64decode(one.get("value", "")), int(one["mod_revision"]))
    return found


def span(prefix: str) -> tuple[bytes, bytes]:
    """The first key below a prefix, and the first one after all of them."""
    first = f"{prefix.rstrip('/')}/".encode()
    return first, first[:-1] + bytes([first[-1] + 1])


def encoded(key: bytes) -> str:
    """Bytes as the gateway takes them."""
    return base64.b64encode(key).decode()


def versions(access: Access) -> dict[str, tuple[bytes, int]]:
    """{name: (content, revision of its last change)}. Raises StoreError."""
    return access.first(lambda one: keys(Member(one, access), access.source["prefix"]))


def write(access: Access, now: Mapping[str, Any], changes: Any) -> None:
    """Transactions of at most MOST_AT_ONCE keys, which is what etcd takes if not told otherwise. Raises StoreError."""
    member = access.first(lambda one: Member(one, access))
    names = [*changes.puts, *changes.removed]
    first = span(access.source["prefix"])[0]
    for at in range(0, len(names), MOST_AT_ONCE):
        some = names[at : at + MOST_AT_ONCE]
        answer = member.call("kv/txn", transaction(first, some, now, changes.puts))
        if not answer.get("succeeded"):
            raise conflict()


def transaction(first: bytes, names: list[str], now: Mapping[str, Any], puts: Mapping[str, bytes]) -> dict[str, Any]:
    """The body of one transaction: each key must still have the revision that was read, 0 if it was not there."""
    compare, success = [], []
    for name in names:
        key = encoded(first + name.encode())
        seen = now[name][1] if name in now else 0
        compare.append({"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": str(seen)})
        change = {"request_put": {"key": key, "value": encoded(puts[name])}} if name in puts else None
        success.append(change or {"request_delete_range": {"key": key}})
    return {"compare": compare, "success": success}
