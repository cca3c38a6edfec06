# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who can leave which host, and where there is room: what every search for better places asks.

What was found out is kept until something is moved for good (settled()). A search may lift and put replicas meanwhile,
if it puts them back: other hosts only lose room by that, so a host that had none has none.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .followers import Followers
from .gates import Gates, Rules
from .model import Eviction, Key, Node, Service, Slot
from .state import Facts, State
from .strategies import binpack

ALL_STEPS = 4000  # for all of a plan: looking for a home among UNIT hosts is one step
UNIT = 50
Resident = tuple[Service, Slot]


class Mover:
    """Takes replicas from one host to another within a finished placement."""

    def __init__(self, state: State, rules: Rules) -> None:
        """Over the state after all placing."""
        self.state, self.rules, self.steps = state, rules, ALL_STEPS
        self.followers = Followers(state, rules)
        self.on: dict[int, dict[Key, None]] = {node.index: {} for node in state.nodes}
        for name, places in state.places.items():
            for slot, node in places.items():
                self.on[node.index][(name, slot)] = None
        self.settled()

    def settled(self) -> None:
        """Something is elsewhere for good: forget where there was room."""
        self._roomy: dict[tuple[int, tuple[tuple[int, int], ...]], list[Node]] = {}
        self._movable: dict[int, list[Resident]] = {}
        self._displaceable: dict[int, list[Resident]] = {}
        self._spare: dict[int, list[int]] = {}
        self._freest: list[tuple[int, int, int]] | None = None
        self._left: list[int] = []

    def put(self, service: Service, slot: Slot, node: Node) -> None:
        """Place one replica."""
        self.state.place(service, slot, node)
        self.on[node.index][(service.name, slot)] = None

    def lift(self, service: Service, slot: Slot) -> Node:
        """Take one replica off its host."""
        node = self.state.remove(service, slot)
        del self.on[node.index][(service.name, slot)]
        return node

    def runs(self, key: Key) -> bool:
        """True if it runs where it is: it would be a move."""
        return key not in self.state.facts

    def free_to_go(self, node: Node) -> list[Resident]:
        """What is on a host and may leave it."""
        found, kept, services = [], self.state.kept, self.state.services
        allow = self.state.request.options.allow_moves
        for key in self.on[node.index]:
            service = services[key[0]]
            if not (service.everywhere or service.volumes or key in kept) and (allow or not self.runs(key)):
                found.append((service, key[1]))
        return found

    def movable(self, node: Node) -> list[Resident]:
        """What is on a host and may leave it, the cheapest first."""
        if node.index not in self._movable:
            self._movable[node.index] = self._by_cost(self.free_to_go(node), node)
        return self._movable[node.index]

    def displaceable(self, node: Node) -> list[Resident]:
        """What may leave a host and finds room elsewhere as things are, the cheapest first."""
        if node.index not in self._displaceable:
            found = [one for one in self.free_to_go(node) if self._may_fit(one[0], node) and self._leaves(one[0], node)]
            self._displaceable[node.index] = self._by_cost(found, node)
        return self._displaceable[node.index]

    def spare(self, node: Node) -> list[int]:
        """What a host would have free, by dimension, without all that is displaceable."""
        if node.index not in self._spare:
            free = [*node.free]
            for service, _slot in self.displaceable(node):
                for at, part in service.demands:
                    free[at] += part
            self._spare[node.index] = free
        return self._spare[node.index]

    def whole(self, service: Service) -> bool:
        """True if all hosts together have free what it needs: else no moves whatsoever make room."""
        if not self._left:
            nodes = self.rules.filters.nodes(self.rules.filters.known)
            every = range(len(self.state.request.dimensions))
            self._left = [sum([max(0, node.free[at]) for node in nodes]) for at in every]
        return all(self._left[at] >= part for at, part in service.demands)

    def able(self, service: Service, node: Node) -> bool:
        """True if it would find room enough on a host if all went that can."""
        free = node.free
        for at, part in service.demands:  # noqa: SIM110  (half the time of all())
            if free[at] < part and self.spare(node)[at] < part:
                return False
        return True

    def _by_cost(self, found: list[Resident], node: Node) -> list[Resident]:
        def cost(one: Resident) -> tuple[Any, ...]:
            service, slot = one
            return (self.runs((service.name, slot)), service.stateful, _size(service, node), service.name, str(slot))

        return sorted(found, key=cost) if len(found) > 1 else found

    def _may_fit(self, service: Service, but: Node) -> bool:
        """False if some resource is so short that no other host has enough of it: most residents of a full fleet."""
        if self._freest is None:
            self._freest = [_two_largest(at, self.state.nodes) for at in range(len(self.state.request.dimensions))]
        at_most = self._freest
        for at, part in service.demands:
            most, where, second = at_most[at]
            if part > (second if where == but.index else most):
                return False
        return True

    def _leaves(self, service: Service, node: Node) -> bool:
        roomy = self.roomy(service)
        return len(roomy) > 1 or (len(roomy) == 1 and roomy[0] is not node)

    def roomy(self, service: Service) -> list[Node]:
        """The hosts that may run it and have as much free as it needs, as things were when last settled."""
        key = (self.rules.filters.open(service), service.demands)
        if key not in self._roomy:
            found = self.rules.filters.nodes(key[0])
            for at, part in service.demands:
                found = [node for node in found if node.free[at] >= part]
            self._roomy[key] = found
        return self._roomy[key]

    def home(self, service: Service, but: Node, also: Collection[Node] = ()) -> Node | None:
        """The best host for one more replica, other than one. also: hosts that others left meanwhile."""
        roomy = self.roomy(service)
        if also:
            roomy = [*roomy, *(node for node in also if node not in roomy)]
        if not roomy:
            return None
        self.steps -= 1 + len(roomy) // UNIT
        rank, fits = binpack(self.state, service), self.rules.gates(service).fits
        return min([node for node in roomy if node is not but and fits(node)], key=rank, default=None)

    def near(self, service: Service, slot: Slot, gates: Gates) -> list[Node]:
        """The hosts on which only room is missing, the nearest miss first."""
        if service.everywhere:
            return [self.state.by_name[str(slot)]]
        found, demands, reach = [], service.demands, self.rules.filters.flags(gates.reach)
        for node in self.rules.filters.nodes(self.rules.filters.open(service)):
            if reach[node.index] and all(counter.passes(node) for counter in gates.counters):
                free, capacity, miss = node.free, node.capacity, 0
                for at, part in demands:
                    if part > free[at]:
                        if part > capacity[at]:
                            break
                        miss += (part - free[at]) * 1000 // (capacity[at] or 1)
                else:
                    found.append((miss, node.index, node))
        return [node for _miss, _index, node in sorted(found)]

    def moved(self, service: Service, slot: Slot, before: Node, cause: str, why: str) -> None:
        """Note that a replica left a host, if it ran there."""
        key, node = (service.name, slot), self.state.at((service.name, slot))
        if self.runs(key):
            self.state.evicted[key] = Eviction(before.name, cause, why)
        if node is not None:
            here = self.state.counts[service.name][node.index] - 1
            self.state.facts[key] = Facts(1, False, "", here, node.share)
        else:
            self.state.facts.pop(key, None)
        self.followers.note(service)
        self.settled()


def _size(service: Service, node: Node) -> int:
    return max((amount * 1000 // (node.capacity[at] or 1) for at, amount in service.demands), default=0)


def _two_largest(at: int, nodes: Collection[Node]) -> tuple[int, int, int]:
    """(the most that any host has free of a dimension, that host, the most that any other one has)."""
    most, where, second = -1, -1, -1
    for node in nodes:
        free = node.free[at]
        if free > most:
            most, where, second = free, node.index, most
        elif free > second:
            second = free
    return most, where, second
