# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts in the order of their load, over a whole run: a sorted list that is used up from its end, and a heap of those
that got something since. An entry is one integer, load << BITS | position; every host has just one. The load is the
dominant share and a little more on small hosts: what a replica of the size that is placed at the time weighs there.

Only the host's own load is in an entry, never what a service asks, so an entry goes wrong only when others put
something on the host; it is mended when it comes up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from .model import Node

BITS = 17  # positions: reading.MOST_NODES
LOW = (1 << BITS) - 1


class Ranked:
    """Some hosts, the least loaded first."""

    __slots__ = ("base", "heap", "lean", "members", "nodes")

    def __init__(self, nodes: Sequence[Node], members: list[Node]) -> None:
        """nodes: all of the fleet, by position."""
        self.nodes, self.members = nodes, members
        self.base: list[int] = []  # descending
        self.heap: list[int] = []
        self.lean: list[int] = []

    def sort(self, lean: list[int]) -> None:
        """Sort all anew; nothing may be taken at this time. lean: per host, what is added to its load << BITS."""
        self.lean = lean
        self.base = [(node.share << BITS | node.index) + lean[node.index] for node in self.members]
        self.base.sort(reverse=True)
        self.heap.clear()

    def take(self, most: int) -> list[int]:
        """About so many entries, the lowest; some may be wrong: mend() them. Others must be given back."""
        base, heap = self.base, self.heap
        chunk = base[-most:]
        del base[-most:]
        if not chunk:
            return [heappop(heap) for _each in range(min(most, len(heap)))]
        limit = chunk[0]
        while heap and heap[0] < limit:
            chunk.append(heappop(heap))
        return chunk

    def mend(self, node: Node) -> None:
        """Enter a host anew that was taken."""
        heappush(self.heap, (node.share << BITS | node.index) + self.lean[node.index])

    def back(self, entries: list[int], nodes: Iterable[Node]) -> None:
        """Enter hosts again that were taken and got nothing."""
        lean = self.lean
        found = entries + [(node.share << BITS | node.index) + lean[node.index] for node in nodes]
        found.sort(reverse=True)
        base = self.base
        last = base[-1] if base else 0
        base += found
        if found and last and last < found[0]:
            base.sort(reverse=True)
