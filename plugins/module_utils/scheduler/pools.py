# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pools: many hosts in the order of their load, kept over a whole run, so that no service has to look at all of them.

An entry is one integer, load << BITS | position. The load does not depend on the service that asks, so placing a
replica makes only its own host's entries wrong, one in each pool; they are mended when they come up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heapify, heappop, heappush

from .model import Node

BITS = 17  # positions: reading.MOST_NODES
LOW = (1 << BITS) - 1
RENEW = 16  # one entry in so many was wrong: so are most others
Load = Callable[[Node], int]


class Pool:
    """Hosts, the least loaded first."""

    __slots__ = ("front", "heap", "load", "nodes")

    def __init__(self, nodes: Sequence[Node], members: Iterable[Node], load: Load) -> None:
        """nodes: all of the fleet, by position. load: at least 0."""
        self.nodes, self.load = nodes, load
        self.heap = [load(node) << BITS | node.index for node in members]
        heapify(self.heap)
        self.front: list[int] = []  # taken off the heap and found right, ascending

    def add(self, node: Node) -> None:
        """One more host."""
        heappush(self.heap, self.load(node) << BITS | node.index)

    def least(self, most: int, fits: Callable[[Node], bool]) -> list[Node]:
        """At most so many hosts that fit, the least loaded first."""
        found: list[Node] = []
        heap, front, nodes, load = self.heap, self.front, self.nodes, self.load
        right: list[int] = []
        at, end, wrong = 0, len(front), 0
        while len(found) < most:
            if at < end and not (heap and heap[0] < front[at]):
                entry = front[at]
                at += 1
            elif heap:
                entry = heappop(heap)
            else:
                break
            node = nodes[entry & LOW]
            now = load(node) << BITS | node.index
            if now != entry:
                heappush(heap, now)
                wrong += 1
                if wrong * RENEW > len(heap):
                    self._renew()
                    wrong = 0
                continue
            right.append(entry)
            if fits(node):
                found.append(node)
        right += front[at:]
        self.front = right
        return found

    def _renew(self) -> None:
        """Mend all entries at once: where many are wrong, that is quicker than one by one as they come up."""
        nodes, load = self.nodes, self.load
        self.heap[:] = [load(node) << BITS | node.index for node in [nodes[entry & LOW] for entry in self.heap]]
        heapify(self.heap)


def by_share(node: Node) -> int:
    """The dominant share."""
    return node.share


def by_count(node: Node) -> int:
    """The number of replicas, for services that demand nothing."""
    return node.count
