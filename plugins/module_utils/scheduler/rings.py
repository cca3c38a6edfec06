# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rings: hosts sorted by the shape of what is free of them, so that the ones that suit a replica are found at once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence

from .model import SHARE, Node, Service
from .pools import BITS, LOW

Measure = Callable[[Node], int]
SHAPE = -1  # by the part that cpus are of what is free
MANY = SHARE << 10


class Sizes:
    """Amounts of cpus and memory as shares of the mean host, and how replicas and hosts compare."""

    def __init__(self, means: Sequence[int]) -> None:
        """The mean host's capacity, by dimension; the first two are cpus and memory."""
        self.means = means

    def aim(self, service: Service) -> tuple[int, int]:
        """By what its hosts are compared (SHAPE, or the one dimension that it needs), and the best value."""
        amounts = dict(service.demands)
        cpus, memory = amounts.get(0, 0), amounts.get(1, 0)
        if cpus and memory:
            return SHAPE, self.shape(cpus, memory)
        kind = 1 if memory else 0
        return kind, (memory or cpus) * SHARE // self.means[kind]

    def shape(self, cpus: int, memory: int) -> int:
        """The part of cpus in both, of SHARE."""
        cpus, memory = cpus * SHARE // self.means[0], memory * SHARE // self.means[1]
        return cpus * SHARE // (cpus + memory + 1)

    def measure(self, kind: int) -> Measure:
        """The value of hosts. kind: SHAPE, or a dimension: how much is free of it."""
        first, second = self.means[0], self.means[1]

        def shape(node: Node) -> int:
            free = node.free
            cpus, memory = free[0] * SHARE // first, free[1] * SHARE // second
            if cpus <= 0:
                return 0
            return cpus * SHARE // (cpus + memory + 1) if memory > 0 else SHARE

        def amount(node: Node) -> int:
            return min(max(node.free[kind], 0) * SHARE // self.means[kind], MANY)

        return shape if kind == SHAPE else amount

    def volume(self, cpus: int, memory: int) -> int:
        """Both together, as shares."""
        return cpus * SHARE // self.means[0] + memory * SHARE // self.means[1]


class Ring:
    """Hosts by a measure of what is free. An entry is one integer, value << BITS | position; wrong ones are mended
    when they are met."""

    __slots__ = ("entries", "measure", "nodes", "where")

    def __init__(self, nodes: Sequence[Node], members: Iterable[Node], measure: Measure) -> None:
        """nodes: all of the fleet, by position."""
        self.nodes, self.measure = nodes, measure
        self.where = {node.index: measure(node) << BITS | node.index for node in members}
        self.entries = sorted(self.where.values())

    def add(self, node: Node) -> None:
        """One more host."""
        entry = self.measure(node) << BITS | node.index
        self.where[node.index] = entry
        insort(self.entries, entry)

    def moved(self, node: Node) -> bool:
        """Put a host where it belongs. True if it was elsewhere."""
        entry, before = self.measure(node) << BITS | node.index, self.where[node.index]
        if entry == before:
            return False
        del self.entries[bisect_left(self.entries, before)]
        insort(self.entries, entry)
        self.where[node.index] = entry
        return True

    def nearest(self, want: int, fits: Callable[[Node], bool], most: int) -> list[Node]:
        """At most so many hosts that fit, those with a value next to the wanted one first."""
        entries, nodes, aim = self.entries, self.nodes, want << BITS
        high = bisect_left(entries, aim)
        low, end = high - 1, len(entries)
        met: list[Node] = []
        found: list[Node] = []
        while len(found) < most and (low >= 0 or high < end):
            if low < 0 or (high < end and entries[high] - aim <= aim - entries[low]):
                node = nodes[entries[high] & LOW]
                high += 1
            else:
                node = nodes[entries[low] & LOW]
                low -= 1
            met.append(node)
            if fits(node):
                found.append(node)
        for node in met:
            self.moved(node)
        return found
