# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Seating whole services: where every replica may stay, all of them are placed at once, without a look at each.

This is most of every plan that changes little. The same rules are asked as for a single replica (gates.py), but once
for a service and the set of its hosts; a service with anything to object to is left to staying.py.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from .cliques import Clique, Cliques
from .counting import BALANCE
from .gates import Rules
from .model import SHARE, Group, Node, Service
from .state import State, share_of

WIDTH = 128  # bits of one amount in a sum of several: capacities have 83, and there are 2**20 replicas at most
COUNT = 32
KIND, BALANCED = attrgetter("kind"), frozenset(BALANCE)
LOW = (1 << COUNT) - 1
FIELD = (1 << WIDTH) - 1
MEMORY, OTHERS = COUNT + WIDTH, COUNT + 2 * WIDTH  # where the second amount, and those after it, begin


class Seats:
    """Places whole services over one run; what they use of their hosts is told by use()."""

    def __init__(self, state: State, rules: Rules) -> None:
        """None placed yet."""
        self.state, self.rules, self.filters = state, rules, rules.filters
        self.index = {node.name: node.index for node in state.nodes}
        self.used = [0] * len(state.nodes)  # by host: replicas, and above them each dimension's amount
        self.shifts = [COUNT + WIDTH * at for at in range(len(state.request.dimensions))]
        self.involved = rules.relations.involved
        self.cliques = Cliques(rules.relations)

    def whole(self, service: Service, group: Group) -> bool:
        """Place all entries of a service; False if any is not plainly legal where it is, then none is placed."""
        if self._whole(service, group):
            return True
        if service.name in self.involved:
            clique = self.cliques.of(service)
            if clique is not None:
                clique.loose.append(service.name)
        return False

    def _whole(self, service: Service, group: Group) -> bool:
        if not group.distinct or not self.wanted(service, group):
            return False
        try:
            positions = [*map(self.index.__getitem__, group.hosts)]
        except KeyError:  # a host left the fleet
            return False
        legal = self.filters.legal(service)
        if legal != self.filters.all and not self._all(legal, positions):
            return False
        if not self._passes(service, positions):
            return False
        self.state.places.seat(service.name, group, positions)
        self.state.counts.pop(service.name, None)
        used, weight, shifts = self.used, 1, self.shifts
        for dimension, part in service.demands:
            weight += part << shifts[dimension]
        for at in positions:
            used[at] += weight
        return True

    def wanted(self, service: Service, group: Group) -> bool:
        """True if every slot is one that the service has. Slots are sorted, numbers first."""
        if service.everywhere:
            return group.slots == group.hosts
        first, last = group.slots[0], group.slots[-1]
        return isinstance(first, int) and isinstance(last, int) and first > 0 and last <= service.replicas

    def _all(self, mask: int, positions: list[int]) -> bool:
        return all(map(self.filters.flags(mask).__getitem__, positions))

    def _passes(self, service: Service, positions: list[int]) -> bool:
        """True if nothing but amounts could keep any replica from its host; ports are bound then."""
        if service.ranges or service.classes or (self.rules.parts and self.rules.generic(service)):
            return False
        if service.max_per_node or service.ports:
            most = max(Counter(positions).values()) if len(set(positions)) < len(positions) else 1
            if most > (1 if service.ports else service.max_per_node) or most > (service.max_per_node or most):
                return False
        if service.name in self.involved or (service.rules and not BALANCED.issuperset(map(KIND, service.rules))):
            clique = self.cliques.of(service)
            if clique is not None:
                return self._join(service, clique, positions)
            gates = self.rules.gates(service, staying=True)
            if gates.reach != self.filters.all and not self._all(gates.reach, positions):
                return False
            if not all(counter.takes(positions) for counter in gates.counters):
                return False
        return not service.ports or self._bind(service, positions)

    def _join(self, service: Service, clique: Clique, positions: list[int]) -> bool:
        """Take the place of a clique's member, if no other one is near; ports are bound then."""
        found = self.cliques.apart(service, clique, positions)
        if found is None or (service.ports and not self._bind(service, positions)):
            return False
        for taken, mine in found:
            taken.update(mine)
        return True

    def _bind(self, service: Service, positions: list[int]) -> bool:
        """Bind the service's ports on the hosts, if they are free on each."""
        bound = [self.state.nodes[at].ports for at in positions]
        for ports in bound:
            for port in service.ports:
                if ports.takes(port):
                    return False
        for ports in bound:
            for port in service.ports:
                ports.add(port)
        return True

    def use(self) -> set[str]:
        """Take from the hosts what all that was placed uses. Returns those that do not have as much."""
        dimensions = range(2, len(self.state.request.dimensions))
        short: set[str] = set()
        for node, used in zip(self.state.nodes, self.used):
            free = node.free
            if used:
                node.count += used & LOW
                free[0] -= used >> COUNT & FIELD
                free[1] -= used >> MEMORY & FIELD
                left = used >> OTHERS
                if left:
                    for at in dimensions:
                        free[at] -= left & FIELD
                        left >>= WIDTH
            if node.count:
                node.share = _share(node)
                if min(free) < 0:
                    short.add(node.name)
        return short


def _share(node: Node) -> int:
    """share_of(), written out where only cpus and memory are used."""
    free, capacity = node.free, node.capacity
    if free[2:] != capacity[2:]:
        return share_of(node)
    one, other = capacity[0], capacity[1]
    first, second = (one - free[0]) * SHARE // (one or 1), (other - free[1]) * SHARE // (other or 1)
    return first if first > second else second
