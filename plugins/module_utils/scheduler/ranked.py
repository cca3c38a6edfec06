# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts in the order of their load, over a whole run: a sorted list that is used up from its end, and a heap of those
that got something since. An entry is one integer, load << BITS | position; every host has just one. The load is the
dominant share and a little more on small hosts: what a replica of the size that is placed at the time weighs there.

Only the host's own load is in an entry, never what a service asks, so an entry goes wrong only when others put
something on the host; it is entered anew when it comes up.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from operator import add

BITS = 17  # positions: reading.MOST_NODES
LOW = (1 << BITS) - 1


class Ranked:
    """Some hosts, the least loaded first."""

    __slots__ = ("base", "heap", "lean", "loads", "members")

    def __init__(self, loads: list[int], members: list[int]) -> None:
        """loads: share << BITS | position of all hosts, kept right by others. members: positions of these hosts."""
        self.loads, self.members = loads, members
        self.base: list[int] = []  # descending
        self.heap: list[int] = []
        self.lean: list[int] = []

    def sort(self, lean: list[int]) -> None:
        """Sort all anew; nothing may be taken at this time. lean: per host, what is added to its load << BITS."""
        self.lean, members = lean, self.members
        self.base = list(map(add, map(self.loads.__getitem__, members), map(lean.__getitem__, members)))
        self.base.sort(reverse=True)
        self.heap.clear()

    def take(self, most: int) -> list[int]:
        """About so many entries, the lowest; some may be wrong. Each host must be given back, or entered anew."""
        base, heap = self.base, self.heap
        chunk = base[-most:]
        del base[-most:]
        if not chunk:
            return [heappop(heap) for _each in range(min(most, len(heap)))]
        limit = chunk[0]
        while heap and heap[0] < limit:
            chunk.append(heappop(heap))
        return chunk

    def enter(self, positions: Iterable[int]) -> None:
        """Enter hosts anew that were taken."""
        heap, loads, lean = self.heap, self.loads, self.lean
        for at in positions:
            heappush(heap, loads[at] + lean[at])

    def back(self, entries: list[int], found: Iterable[int]) -> None:
        """Enter hosts again that were taken and got nothing. found: anything that has their positions in it."""
        loads, lean, base = self.loads, self.lean, self.base
        again = entries + [loads[at] + lean[at] for one in found for at in [one & LOW]]
        again.sort(reverse=True)
        last = base[-1] if base else 0
        base += again
        if again and last and last < again[0]:
            base.sort(reverse=True)
