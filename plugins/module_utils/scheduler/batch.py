# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many services of binpack at once: those whose only rules are amounts and which hosts, as they come in the order.

The largest replica first, each to one of the open hosts whose free room has its shape, found in a ring without a look
at the others. Devices and the like: equal replicas together, so that the hosts are compared once for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ahead import Ahead
from .gates import Rules
from .model import SHARE, Key, Node, Service, Slot
from .packing import Packing, Tier
from .repack import Item, Repacking
from .rings import SHAPE
from .sources import Test
from .state import Facts, State


class Batch:
    """Places runs of services."""

    def __init__(
        self, state: State, rules: Rules, packing: Packing, wanted: dict[str, list[Slot]], ahead: Ahead
    ) -> None:
        """wanted: {service: slots without a place}. ahead: who must be near whom."""
        self.state, self.rules, self.packing, self.wanted, self.ahead = state, rules, packing, wanted, ahead

    def plain(self, service: Service) -> bool:
        """True if nothing but amounts and its own hosts decide where it may run."""
        if service.strategy != "binpack" or service.everywhere or service.volumes or service.classes:
            return False
        if service.ports or service.ranges or service.max_per_node or service.preferences or service.rules:
            return False
        if service.affinities or service.name in self.rules.relations.involved:
            return False
        return not (self.ahead.waiting and self.ahead.named(service))

    def run(self, services: Sequence[Service], start: int) -> int:
        """How many services from there on can be placed together; 0 if not even the first one is plain."""
        first = services[start]
        if not self.plain(first):
            return 0
        need, rank, packing = self.packing.need, (first.priority, first.tolerations), self.packing
        group, pieces = need(first), packing.pieces(first)
        at = start + 1
        while at < len(services):
            one = services[at]
            same = (one.priority, one.tolerations) == rank and self.plain(one) and need(one) == group
            if not same or (one.demands != first.demands if pieces else packing.pieces(one)):
                break
            at += 1
        return at - start

    def place(self, services: Sequence[Service]) -> list[Key]:
        """Place a run of services that need cpus and memory only. Returns what has no place."""
        items = self._items(services)
        tiers, left = self.packing.tiers(services[0]), items
        hosts: dict[int, Node] = {}
        for tier in tiers:
            if not left:
                break
            left = self._fill(tier, left)
            hosts.update({node.index: node for node in tier.open})
        if left and len(left) < len(items):
            left = Repacking(self.state, self.packing.sizes, items).improve(list(hosts.values()), left)
            for ring in (ring for tier in tiers for ring in tier.rings.values()):
                ring.wake()  # where there was no room, there may be some now
        return [(item.service.name, item.slot) for item in left]

    def _items(self, services: Sequence[Service]) -> list[Item]:
        found, wanted = [], self.wanted
        for service in services:
            cpus = memory = 0
            for at, amount in service.demands:
                if at:
                    memory = amount
                else:
                    cpus = amount
            found += [Item(service, slot, cpus, memory) for slot in wanted[service.name]]
        return found

    def _fill(self, tier: Tier, items: Sequence[Item]) -> list[Item]:
        """Place what fits on the hosts of a tier; more of them are opened as needed. Returns the rest."""
        left, owner, seat, ring, kind, want = [], None, Seat(self.state, items[0].service), tier.ring(SHAPE), SHAPE, 0
        least = (1 << 90, 0)  # what found no room last: neither does what needs as much of both
        for item in items:
            service, slot, cpus, memory = item
            if cpus >= least[0] and memory >= least[1]:
                left.append(item)
                continue
            if service is not owner:
                owner, seat = service, Seat(self.state, service)
                kind, want = self.packing.sizes.aim(service)
                ring = tier.ring(kind)
            node, following = ring.best(want, cpus, memory)
            if node is None:
                node = next(iter(self.packing.more(service, tier, _room(cpus, memory))), None)
            if node is None:
                left.append(item)
                least = (cpus, memory)
                continue
            seat.put(slot, node, len(tier.open), following)
            for each in tier.rings.values():
                each.moved(node)
        return left


class Seat:
    """Places replicas of one service that need cpus and memory only."""

    def __init__(self, state: State, service: Service) -> None:
        """Over what is placed of it."""
        self.service, self.demands = service, service.demands
        self.places, self.facts = state.places[service.name], state.facts.of(service.name)
        self.here: dict[int, int] = dict(state.counts[service.name]) if self.places else {}
        state.counts.pop(service.name, None)  # counted anew when somebody asks

    def put(self, slot: Slot, node: Node, room: int, following: str) -> None:
        """Place one. room: hosts that were compared. following: the runner-up."""
        at, free, capacity, share = node.index, node.free, node.capacity, node.share
        for dimension, amount in self.demands:
            free[dimension] -= amount
            whole = capacity[dimension] or 1
            used = (whole - free[dimension]) * SHARE // whole
            if used > share:  # noqa: PLR1730  (max() doubles the time; asked for each replica)
                share = used
        node.share = share
        node.count += 1
        self.places[slot] = node
        before = self.here.get(at, 0)
        self.here[at] = before + 1
        self.facts[slot] = Facts(room, False, following, before, share)


def _room(cpus: int, memory: int) -> Test:
    return lambda node: node.free[0] >= cpus and node.free[1] >= memory
