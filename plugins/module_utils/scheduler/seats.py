# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Seating whole services: where every replica may stay, all of them are placed at once, without a look at each.

This is most of every plan that changes little. The same rules are asked as for a single replica (gates.py), but once
for a service and the set of its hosts; a service with anything to object to is left to staying.py.
"""

from __future__ import annotations

from collections import Counter

from .affinity import HOST
from .cliques import Cliques, Taking
from .counting import BALANCE
from .counting import Counter as Counted
from .domains import mask_of
from .gates import Rules
from .grants import Grant, free_devices, free_ports
from .model import NOTHING, SHARE, CountRule, Group, Held, Key, Node, Service, Slot
from .ports import Port
from .state import State, share_of

WIDTH = 128  # bits of one amount in a sum of several: capacities have 83, and there are 2**20 replicas at most
COUNT = 32
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
        self.bound = self._listed()

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
        if self._bound(service) and not self._passes(service, positions, group.slots):
            return False
        self.state.places.seat(service.name, group, positions)
        if self.state.counts:
            self.state.counts.pop(service.name, None)
        used, weight, shifts = self.used, 1, self.shifts
        for dimension, part in service.demands:
            weight += part << shifts[dimension]
        for at in positions:
            used[at] += weight
        return True

    def _bound(self, service: Service) -> bool:
        """True if it asks for more than which hosts and how much of their cpus and memory."""
        if service.max_per_node or service.rules or service.ports or service.ranges or service.classes:
            return True
        demands = service.demands
        return service.name in self.involved or (self.rules.parts and len(demands) > 0 and demands[-1][0] > 1)

    def wanted(self, service: Service, group: Group) -> bool:
        """True if every slot is one that the service has. Slots are sorted, numbers first."""
        if service.everywhere:
            return group.slots == group.hosts
        first, last = group.slots[0], group.slots[-1]
        return isinstance(first, int) and isinstance(last, int) and first > 0 and last <= service.replicas

    def _all(self, mask: int, positions: list[int]) -> bool:
        return all(map(self.filters.flags(mask).__getitem__, positions))

    def _passes(self, service: Service, positions: list[int], slots: list[Slot]) -> bool:
        """True if nothing but amounts could keep any replica from its host; what they hold is granted then."""
        if service.max_per_node or service.ports:
            most = max(Counter(positions).values()) if len(set(positions)) < len(positions) else 1
            if most > (1 if service.ports else service.max_per_node) or most > (service.max_per_node or most):
                return False
        join: list[Taking] = []
        if service.name in self.involved:
            clique = self.cliques.of(service)
            found = self.cliques.apart(service, clique, positions) if clique else self._related(service, positions)
            if found is None:
                return False
            join = found
        rules = [rule for rule in service.rules if rule.kind not in BALANCE]
        if rules and not all(self._takes(rule, positions) for rule in rules):
            return False
        if not self._holds(service, positions, slots):
            return False
        for taken, mine in join:
            taken.update(mine)
        return True

    def _takes(self, rule: CountRule, positions: list[int]) -> bool:
        if rule.key != HOST or rule.kind != "max_per":
            return rule.kind in BALANCE or Counted(rule, self.filters, 0, {}).takes(positions)
        names = Counter([self.state.nodes[at].hostname.casefold() for at in positions])  # not those of all hosts
        return "" not in names and max(names.values()) <= rule.number

    def _related(self, service: Service, positions: list[int]) -> list[Taking] | None:
        """[] if affinities have nothing against the hosts; None if they have."""
        relations = self.rules.relations
        barred = relations.barred(service)
        if barred and barred & mask_of(positions):
            return None
        return [] if all(self._takes(rule, positions) for rule in relations.own(service)) else None

    def _holds(self, service: Service, positions: list[int], slots: list[Slot]) -> bool:
        """Grant what the replicas hold beside plain amounts, if each of them can have it where it is."""
        grants: list[tuple[Key, Node, Grant]] = []
        if service.ranges or service.classes or (self.rules.parts and self.rules.generic(service)):
            found = self._grants(service, positions, slots)
            if found is None:
                return False
            grants = found
        if service.ports and not self._bind(service.ports, positions):
            return False
        for key, node, grant in grants:
            self.state.grants[key] = grant
            for _range, port in grant.ports:
                node.bind((port,))
                self.bound.setdefault((port.protocol, port.port), set()).add(node.index)
            for dimension, name, part in grant.devices:
                node.devices[dimension][name] -= part
        return True

    def _grants(
        self, service: Service, positions: list[int], slots: list[Slot]
    ) -> list[tuple[Key, Node, Grant]] | None:
        """What each replica may hold on its host; None if that needs a look at each."""
        nodes = [self.state.nodes[at] for at in positions]
        stores = all(name in node.storage for name, _size, _volume in service.classes for node in nodes)
        if len(set(positions)) < len(positions) or not stores:
            return None
        needs = [(at, part) for at, part in service.demands if at not in self.rules.plain]
        found: list[tuple[Key, Node, Grant]] = []
        for slot, node in zip(slots, nodes) if service.ranges or needs else ():
            grant = self._grant(service, slot, node, needs)
            if grant is None:
                return None
            if grant.ports or grant.devices:
                found.append(((service.name, slot), node, grant))
        return found

    def _grant(self, service: Service, slot: Slot, node: Node, needs: list[tuple[int, int]]) -> Grant | None:
        held = self.state.held.get(((service.name, slot), node.name))
        ports = self._again(service, node, held) if service.ranges else []
        devices: list[tuple[int, str, int]] = []
        for dimension, part in needs:
            there = node.devices.get(dimension)
            if there is None:
                if part % SHARE:
                    return None
                continue
            mine = held.devices.get(self.state.request.dimensions[dimension], NOTHING) if held else NOTHING
            chosen = free_devices(there, part, mine)
            if chosen is None:
                return None
            devices += [(dimension, name, piece) for name, piece in chosen]
        return None if ports is None else Grant(tuple(ports), tuple(devices), ())

    def _again(self, service: Service, node: Node, held: Held | None) -> list[tuple[str, Port]] | None:
        """A port for each range: what it holds, if that is free, else what free_ports() finds."""
        if held is not None and len(service.ranges) == 1 and not service.ports:
            (wanted,) = service.ranges
            text = str(wanted)
            number = held.ports.get(text, 0)
            if wanted.first <= number <= wanted.last:
                there = self.bound.get((wanted.protocol, number))
                if there is None or node.index not in there:
                    return [(text, Port(wanted.address, number, wanted.protocol))]
        return free_ports(node, service, held)

    def _bind(self, ports: tuple[Port, ...], positions: list[int]) -> bool:
        """Bind ports on the hosts, if they are free on each."""
        nodes, keys = self.state.nodes, [(port.protocol, port.port) for port in ports]
        for port, key in zip(ports, keys):
            there = self.bound.get(key)
            if there and not there.isdisjoint(positions) and any(nodes[at].ports.takes(port) for at in positions):
                return False
        for key in keys:
            self.bound.setdefault(key, set()).update(positions)
        for node in map(nodes.__getitem__, positions):
            node.bind(ports)
        return True

    def _listed(self) -> dict[tuple[str, int], set[int]]:
        """By protocol and port: the hosts where it is bound, whatever the address."""
        alike: dict[tuple[Port, ...], list[int]] = {}
        for node in self.state.nodes:
            if node.listed:
                alike.setdefault(node.listed, []).append(node.index)
        found: dict[tuple[str, int], set[int]] = {}
        for ports, hosts in alike.items():
            for port in ports:
                found.setdefault((port.protocol, port.port), set()).update(hosts)
        return found

    def singly(self, service: Service) -> None:
        """Tell that a service's replicas were placed one by one: its ports are bound somewhere."""
        for at in self.state.counts[service.name] if service.ports or service.ranges else ():
            for protocol, port in self.state.nodes[at].ports.bound():
                self.bound.setdefault((protocol, port), set()).add(at)

    def use(self) -> set[str]:
        """Take from the hosts what all that was placed uses. Returns those that do not have as much."""
        dimensions = range(2, len(self.state.request.dimensions))
        short: set[str] = set()
        for node, used in zip(self.state.nodes, self.used):
            free, capacity = node.free, node.capacity
            if used:
                node.count += used & LOW
                free[0] -= used >> COUNT & FIELD
                free[1] -= used >> MEMORY & FIELD
                left = used >> OTHERS
                if left:
                    for at in dimensions:
                        free[at] -= left & FIELD
                        left >>= WIDTH
            elif not node.count:
                continue
            one, other = capacity[0], capacity[1]
            share, second = (one - free[0]) * SHARE // (one or 1), (other - free[1]) * SHARE // (other or 1)
            if second > share:  # noqa: PLR1730  (max() doubles the time)
                share = second
            node.share = share if free[2:] == capacity[2:] else share_of(node)
            if min(free) < 0:
                short.add(node.name)
        return short
