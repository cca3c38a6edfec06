# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Domains: the hosts that have the same value under a key (a zone, a rack; under node.hostname each host is one)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .constraints import column
from .model import Node

DIGITS = bytes.maketrans(b"01", b"\0\1")
BITS = bytes.maketrans(b"\0\1", b"01")
NONE = -1  # the host lacks the key: it is in no domain


class Domains:
    """The domains of each key that anybody asked for, numbered from 0 by value."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """Of these hosts."""
        self.nodes = nodes
        self._texts: dict[str, list[str | None]] = {}
        self._known: dict[str, tuple[list[int], list[str]]] = {}
        self._masks: dict[str, list[int]] = {}

    def of(self, key: str) -> list[int]:
        """Per host, the number of its domain; NONE if it lacks the key."""
        return self._known[key][0] if key in self._known else self._read(key)[0]

    def names(self, key: str) -> list[str]:
        """The values of a key, sorted, in lower case: they compare as in a constraint."""
        return self._known[key][1] if key in self._known else self._read(key)[1]

    def _read(self, key: str) -> tuple[list[int], list[str]]:
        found = self.texts(key)
        folded = {text: text.casefold() for text in set(found) if text is not None}
        names = sorted(set(folded.values()))
        number = {name: at for at, name in enumerate(names)}
        ids: dict[str | None, int] = {text: number[name] for text, name in folded.items()}
        ids[None] = NONE
        self._known[key] = [*map(ids.__getitem__, found)], names
        return self._known[key]

    def texts(self, key: str) -> list[str | None]:
        """Per host, what it has under a key as it is written; None if nothing."""
        if key not in self._texts:
            self._texts[key] = column(key, self.nodes)
        return self._texts[key]

    def masks(self, key: str) -> list[int]:
        """Per domain, its hosts as bits."""
        if key not in self._masks:
            members: list[list[int]] = [[] for _name in self.names(key)]
            for at, domain in enumerate(self.of(key)):
                if domain != NONE:
                    members[domain].append(at)
            self._masks[key] = [mask_of(hosts) for hosts in members]
        return self._masks[key]

    def around(self, key: str, hosts: Iterable[int]) -> int:
        """All hosts of the domains of some hosts, as bits."""
        ids, masks = self.of(key), self.masks(key)
        found = 0
        for domain in {ids[at] for at in hosts} - {NONE}:
            found |= masks[domain]
        return found

    def tally(self, key: str, counts: Mapping[int, int]) -> dict[int, int]:
        """{domain: number} from {host: number}."""
        ids = self.of(key)
        found: dict[int, int] = {}
        for at, count in counts.items():
            if ids[at] != NONE:
                found[ids[at]] = found.get(ids[at], 0) + count
        return found


def mask_of(hosts: Iterable[int]) -> int:
    """Positions as bits."""
    positions = list(hosts)
    found = bytearray(max(positions, default=-1) // 8 + 1)
    for at in positions:
        found[at >> 3] |= 1 << (at & 7)
    return int.from_bytes(found, "little")


def flags(mask: int, length: int) -> bytes:
    """A mask as one byte per position, 0 or 1: quick to ask."""
    return f"{mask:0{length}b}".encode()[::-1].translate(DIGITS) if length else b""


def packed(found: Iterable[bool]) -> int:
    """One truth value per position as a mask: what flags() takes apart."""
    return int(bytes(found)[::-1].translate(BITS) or b"0", 2)
