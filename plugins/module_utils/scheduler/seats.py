# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Seating whole services: where every replica may stay, all of them are placed at once, without a look at each.

This is most of every plan that changes little. The same rules are asked as for a single replica (gates.py), but once
for a service and the set of its hosts; a service with anything to object to is left to staying.py.
"""

from __future__ import annotations

from collections import Counter
from operator import attrgetter

from .counting import BALANCE
from .gates import Rules
from .model import Group, Service
from .state import State

WIDTH = 128  # bits of one amount in a sum of several: capacities have 83, and there are 2**20 replicas at most
COUNT = 32
KIND, BALANCED = attrgetter("kind"), frozenset(BALANCE)
LOW = (1 << COUNT) - 1
FIELD = (1 << WIDTH) - 1


class Seats:
    """Places whole services over one run; what they use of their hosts is told by use()."""

    def __init__(self, state: State, rules: Rules) -> None:
        """None placed yet."""
        self.state, self.rules, self.filters = state, rules, rules.filters
        self.index = {node.name: node.index for node in state.nodes}
        self.used = [0] * len(state.nodes)  # by host: replicas, and above them each dimension's amount
        self.involved = rules.relations.involved

    def whole(self, service: Service, group: Group) -> bool:
        """Place all entries of a service; False if any is not plainly legal where it is, then none is placed."""
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
        self.state.places.seat(service.name, group)
        self.state.counts.pop(service.name, None)
        used = self.used
        weight = sum([part << (COUNT + WIDTH * at) for at, part in service.demands], 1)
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
        if service.name in self.involved or not BALANCED.issuperset(map(KIND, service.rules)):
            gates = self.rules.gates(service, staying=True)
            if gates.reach != self.filters.all and not self._all(gates.reach, positions):
                return False
            if not all(counter.takes(positions) for counter in gates.counters):
                return False
        return not service.ports or self._bind(service, positions)

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

    def use(self) -> None:
        """Take from the hosts what all that was placed uses."""
        dimensions = range(len(self.state.request.dimensions))
        for node, used in zip(self.state.nodes, self.used):
            if used:
                node.count += used & LOW
                free, left = node.free, used >> COUNT
                for at in dimensions:
                    free[at] -= left & FIELD
                    left >>= WIDTH
