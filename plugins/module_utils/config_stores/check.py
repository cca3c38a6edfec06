# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mistakes in what a source says of its store. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import show

TYPES = ("consul", "etcd", "http", "vault", "zookeeper")
MOST_ENDPOINTS = 16
LONGEST_PREFIX = 500
_URL = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[!-~]*)?")
_PLACE = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
Mistake = tuple[str, str, str]


def mistakes(source: Mapping[str, Any]) -> list[Mistake]:
    """[(key, reason, fix)] of all that is wrong with type, endpoints, prefix and tls of a source."""
    kind = source.get("type")
    found: list[Mistake] = []
    if kind not in TYPES:
        reason = f"{show(kind)} is no store" if kind else "names no kind of store"
        found.append(("type", reason, f"write one of {', '.join(TYPES)}"))
    return [*found, *_endpoints(source, str(kind)), *_prefix(source, str(kind))]


def _endpoints(source: Mapping[str, Any], kind: str) -> Iterator[Mistake]:
    stated = source.get("endpoints") or []
    plain = kind == "zookeeper"
    form = "host:port" if plain else "https://host:port"
    if not 1 <= len(stated) <= MOST_ENDPOINTS:
        yield "endpoints", f"names {len(stated)} endpoints", f"name 1 to {MOST_ENDPOINTS} as {form}"
    for endpoint in stated:
        if "@" in endpoint:
            yield "endpoints", "a credential stands in an address", "take it out, and name a secret in auth"
        elif not (_PLACE if plain else _URL).fullmatch(endpoint):
            yield "endpoints", f"{show(endpoint)} is no address", f"write {form}"
        elif (source.get("tls") or {}).get("ca") and endpoint.startswith("http:"):
            yield "endpoints", f"{show(endpoint)} is not encrypted, and tls is stated", "write https, or remove tls"


def _prefix(source: Mapping[str, Any], kind: str) -> Iterator[Mistake]:
    prefix = str(source.get("prefix") or "")
    parts = prefix.strip("/").split("/") if prefix.strip("/") else []
    if not parts and kind != "http":
        yield "prefix", "is not stated: the whole store would be pulled", "write prefix: /cfg/prod/shop/web"
    elif kind == "vault" and len(parts) == 1:
        yield "prefix", f"{show(prefix)} has no path below its mount", "write prefix: mount/path"
    strange = not prefix.isprintable() or len(prefix) > LONGEST_PREFIX or any(letter in prefix for letter in "?#")
    if strange or {"", ".", ".."} & set(parts):
        yield "prefix", f"{show(prefix)} cannot be a path", "write names between single /"
