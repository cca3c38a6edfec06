# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rings: hosts sorted by the shape of what is free of them, so that the ones that suit a replica are found at once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

from .model import SHARE, Node, Service
from .pools import BITS, LOW

Measure = Callable[[Node], int]
SHAPE = -1  # by the part that cpus are of what is free
MANY = SHARE << 10
NEAR = 3  # hosts that are compared
FAR = 12  # hosts without room that are passed over for one more that has some
LARGE = 0.2  # what taking all that is free counts, where a part of one resource more than of the other counts 1


class Sizes:
    """Amounts of cpus and memory as shares of the mean host, and how replicas and hosts compare."""

    def __init__(self, means: Sequence[int]) -> None:
        """The mean host's capacity, by dimension; the first two are cpus and memory."""
        self.means = means
        self.scale = means[1] / means[0]  # bytes that one unit of cpus is worth

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
        part = cpus * self.scale
        return int(part * SHARE / (part + memory + 1))

    def measure(self, kind: int) -> Measure:
        """The value of hosts. kind: SHAPE, or a dimension: how much is free of it."""
        scale = self.scale

        def shape(node: Node) -> int:
            cpus, memory = node.free[0] * scale, node.free[1]
            if cpus <= 0:
                return 0
            return int(cpus * SHARE / (cpus + memory + 1)) if memory > 0 else SHARE

        def amount(node: Node) -> int:
            return min(max(node.free[kind], 0) * SHARE // self.means[kind], MANY)

        return shape if kind == SHAPE else amount

    def volume(self, cpus: int, memory: int) -> int:
        """Both together, as shares."""
        return cpus * SHARE // self.means[0] + memory * SHARE // self.means[1]


def misfit(node: Node, cpus: int, memory: int) -> int:
    """How badly a replica that has room would leave a host, of SHARE: 0 if it takes all of both that is free.

    It should take about the same part of the free cpus as of the free memory, and rather a large part.
    """
    free = node.free
    one, other = cpus / (free[0] or 1), memory / (free[1] or 1)
    return int(SHARE * (LARGE + (one - other - LARGE * one if one > other else other - one - LARGE * other)))


class Ring:
    """Hosts by a measure of what is free. An entry is one integer, value << BITS | position; wrong ones are mended
    when they are met. Hosts too full for what comes now sleep apart until something small enough comes."""

    __slots__ = ("asleep", "entries", "measure", "nodes", "scale", "where")

    def __init__(self, nodes: Sequence[Node], members: Iterable[Node], sizes: Sizes, kind: int) -> None:
        """nodes: all of the fleet, by position. kind: see Sizes.measure."""
        self.nodes, self.measure, self.scale = nodes, sizes.measure(kind), sizes.scale
        self.where = {node.index: self.measure(node) << BITS | node.index for node in members}
        self.entries = sorted(self.where.values())
        self.asleep: list[tuple[float, int]] = []  # (less their room, position)

    def add(self, node: Node) -> None:
        """One more host."""
        entry = self.measure(node) << BITS | node.index
        self.where[node.index] = entry
        insort(self.entries, entry)

    def moved(self, node: Node) -> bool:
        """Put a host where it belongs. True if it was elsewhere."""
        before = self.where.get(node.index)
        if before is None:  # asleep
            return False
        entry = self.measure(node) << BITS | node.index
        if entry == before:
            return False
        del self.entries[bisect_left(self.entries, before)]
        insort(self.entries, entry)
        self.where[node.index] = entry
        return True

    def room(self, node: Node) -> float:
        """What is free in all, as memory."""
        return max(node.free[0], 0) * self.scale + max(node.free[1], 0)

    def wake(self, room: float = 0.0) -> None:
        """Let hosts with at least so much room be found again."""
        while self.asleep and -self.asleep[0][0] >= room:
            self.add(self.nodes[heappop(self.asleep)[1]])

    def _sleep(self, found: Iterable[Node]) -> None:
        for node in found:
            del self.entries[bisect_left(self.entries, self.where.pop(node.index))]
            heappush(self.asleep, (-self.room(node), node.index))

    def best(self, want: int, cpus: int, memory: int) -> tuple[Node | None, str]:
        """Of the hosts with room whose value is next to the wanted one, the one that suits best; and the second best.

        That is where a replica takes about the same part of the free cpus as of the free memory, rather a large one:
        what stays free keeps its shape.
        """
        room = cpus * self.scale + memory
        if self.asleep:
            self.wake(room)
        while True:
            found, full = self._some(want << BITS, cpus, memory, room)
            if full:
                self._sleep(full)
            if not found:
                return None, ""
            ranked = []
            for node in found:  # as misfit(), without a call for each
                one, other = cpus / (node.free[0] or 1), memory / (node.free[1] or 1)
                rest = one - other - LARGE * one if one > other else other - one - LARGE * other
                ranked.append((int(SHARE * (LARGE + rest)), node.index, node))
            ranked.sort()
            if not self.moved(ranked[0][2]):
                return ranked[0][2], ranked[1][2].name if len(ranked) > 1 else ""

    def _some(self, aim: int, cpus: int, memory: int, room: float) -> tuple[list[Node], list[Node]]:
        """A few hosts with room next to an entry; and those on the way that have not even room enough in all."""
        nodes, entries, scale, far = self.nodes, self.entries, self.scale, FAR
        high = bisect_left(entries, aim)
        low, end = high - 1, len(entries)
        found: list[Node] = []
        full: list[Node] = []
        while far and (low >= 0 or high < end):
            if low < 0 or (high < end and entries[high] - aim <= aim - entries[low]):
                node = nodes[entries[high] & LOW]
                high += 1
            else:
                node = nodes[entries[low] & LOW]
                low -= 1
            free = node.free
            if free[0] >= cpus and free[1] >= memory:
                found.append(node)
                if len(found) == NEAR:
                    break
            elif found:
                far -= 1
            if free[0] * scale + free[1] < room and self.room(node) < room:
                full.append(node)
        return found, full

    def nearest(self, want: int, fits: Callable[[Node], bool], most: int) -> list[Node]:
        """At most so many hosts that fit, those with a value next to the wanted one first."""
        self.wake()
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
