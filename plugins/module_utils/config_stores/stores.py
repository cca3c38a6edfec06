# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which module speaks to a source's store."""

from __future__ import annotations

from typing import Any

from . import consul, etcd, vault, web, zookeeper
from .base import Access, Pulled, checked

_KEYED: dict[str, Any] = {"consul": consul, "etcd": etcd, "zookeeper": zookeeper}


def read(access: Access) -> Pulled:
    """What is below a source's prefix now, and its revision: other parts of the store do not change that.

    Raises StoreError.
    """
    kind = access.source["type"]
    if kind in _KEYED:
        return checked({name: content for name, (content, _version) in _KEYED[kind].versions(access).items()})
    return web.read(access) if kind == "http" else vault.read(access)


def peek(access: Access) -> tuple[str, list[str] | None]:
    """(revision, names below the prefix) for a plan. Of a store of secrets no value is read: its names are None."""
    if access.source["type"] == "vault":
        return vault.peek(access), None
    found = read(access)
    return found.revision, sorted(found.files)
