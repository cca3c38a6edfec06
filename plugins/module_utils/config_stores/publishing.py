# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What publishing an inventory's values to a store would change, and the change itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import consul, etcd, vault, zookeeper
from .base import Access, StoreError

WRITERS: dict[str, Any] = {"consul": consul, "etcd": etcd, "vault": vault, "zookeeper": zookeeper}
Versions = Mapping[str, tuple[bytes, int]]


class Changes(NamedTuple):
    """What is written: {name: content}; names that are new, that change, and that are removed, sorted."""

    puts: dict[str, bytes]
    added: list[str]
    changed: list[str]
    removed: list[str]

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.puts or self.removed)


def difference(now: Versions, wanted: Mapping[str, bytes], prune: bool) -> Changes:
    """What makes a store hold `wanted`. now: {name: (content, version)}. prune: other names go."""
    puts = {name: content for name, content in sorted(wanted.items()) if now.get(name, (None,))[0] != content}
    return Changes(
        puts,
        [name for name in puts if name not in now],
        [name for name in puts if name in now],
        sorted(name for name in now if name not in wanted) if prune else [],
    )


def lines(changes: Changes, now: Versions, hidden: Iterable[str]) -> tuple[str, str]:
    """(before, after) as texts for --diff: one line per key; of hidden names and of what is no text, sizes alone."""
    secret, before, after = set(hidden), [], []
    for name in sorted({*changes.puts, *changes.removed}):
        if name in now:
            before.append(f"{name}: {_shown(now[name][0], name in secret)}")
        if name in changes.puts:
            after.append(f"{name}: {_shown(changes.puts[name], name in secret)}")
    return tuple("".join(f"{line}\n" for line in found) for found in (before, after))  # type: ignore[return-value]


def _shown(content: bytes, secret: bool) -> str:
    if secret:
        return f"({len(content)} bytes, not shown)"
    try:
        return ascii(content.decode())
    except UnicodeDecodeError:
        return f"({len(content)} bytes)"


def read(access: Access) -> dict[str, tuple[bytes, int]]:
    """{name: (content, version)} of what is below a access's prefix; {} if that is nothing. Raises StoreError."""
    found: dict[str, tuple[bytes, int]] = WRITERS[access.source["type"]].versions(access)
    return found


def write(access: Access, now: Versions, changes: Changes) -> None:
    """Carry the changes out, each only if the key is still as `now` says.

    They are one transaction, or several where the store takes only so many keys at once; one that fails changes nothing
    of its own. Raises StoreError; its `retry` is False if somebody else has changed a key meanwhile.
    """
    WRITERS[access.source["type"]].write(access, now, changes)


__all__ = ["Access", "Changes", "StoreError", "difference", "lines", "read", "write"]
