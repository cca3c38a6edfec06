# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Placing what is missing: scarce services first, a whole service at a time, each on the best of some candidates."""

from __future__ import annotations

from .ahead import Ahead
from .batch import Batch
from .bulk import Bulk
from .candidates import Tree
from .gates import Gates, Rules
from .homes import choose_home
from .model import Key, Node, Service, Slot
from .order import Order
from .state import Facts, State
from .volumes import groups, new_volumes


def missing(state: State, rules: Rules) -> dict[str, list[Slot]]:
    """{service: its slots without a place}, ascending. Of a global service: the matching active hosts."""
    found: dict[str, list[Slot]] = {}
    for service in state.request.services:
        whole = state.places.whole.get(service.name)
        if whole is not None and len(whole.slots) == service.replicas and not service.everywhere:
            found[service.name] = []
            continue
        placed = state.places[service.name]
        if service.everywhere:
            names = (node.name for node in rules.filters.nodes(rules.filters.open(service)))
            found[service.name] = [name for name in names if name not in placed]
        elif len(placed) < service.replicas or (placed and max(placed) != service.replicas):
            slots = range(1, service.replicas + 1)
            found[service.name] = [slot for slot in slots if slot not in placed] if placed else [*slots]
        else:
            found[service.name] = []
    return found


def waiting(state: State, wanted: dict[str, list[Slot]]) -> list[Key]:
    """Take the slots out of `wanted` that a job does not start yet, because enough of it run."""
    found: list[Key] = []
    for service in state.request.services:
        if service.concurrent:
            most = max(0, service.concurrent - len(state.places[service.name]))
            found += [(service.name, slot) for slot in wanted[service.name][most:]]
            wanted[service.name] = wanted[service.name][:most]
    return found


Replica = tuple[Service, Slot]


class Placer:
    """Places services one after the other."""

    def __init__(self, state: State, rules: Rules, wanted: dict[str, list[Slot]]) -> None:
        """wanted: what missing() found."""
        self.state, self.rules, self.wanted = state, rules, wanted
        self.full: set[tuple[object, ...]] = set()  # kinds of services for which no host has room any more
        self.order = Order(state, rules.filters, rules.relations)
        self.bulk = Bulk(state, rules, sum(map(len, wanted.values())))
        self._batch: Batch | None = None
        self.ahead = Ahead(state, rules, wanted)
        self.tree = Tree(state, rules, self.order, {name: len(slots) for name, slots in wanted.items()})

    def place(self) -> list[Key]:
        """Place what can be placed. Returns what cannot."""
        failed: list[Key] = []
        together = groups(self.state)
        services, done = self.order.sort(self.wanted), 0
        for at, service in enumerate(services):
            if at < done:
                continue  # placed together with one before it
            slots = self.wanted[service.name]
            run = self.batch.run(services, at) if service.strategy == "binpack" else 0
            if run:
                done = at + run
                failed += self._together(services[at:done])
                continue
            if service.everywhere:
                failed += self._everywhere(service, slots)
                continue
            if new_volumes(self.state, service):
                members = [one for one in together[service.name] if self.wanted[one.name]]
                if len(members) == len(slots) == 1 and self._alone(service, slots):
                    continue
                choose_home(self.state, self.rules, service, members, self.wanted)
            failed += self._first(service, slots) if self.ahead.named(service) else self.some(service, slots)
        return failed

    def _first(self, service: Service, slots: list[Slot]) -> list[Key]:
        """Place slots of a service that others must be near: the first one where those can follow."""
        hosts = self.ahead.hosts(service)
        if hosts != self.rules.filters.all and not self.some(service, slots[:1], hosts):
            slots = slots[1:]
        return self.some(service, slots) if slots else []

    def _alone(self, service: Service, slots: list[Slot]) -> bool:
        """Place the one replica of the one service that mounts its new volumes: they are made where it suits it."""
        if not self.bulk.place(service, slots, self.rules.gates(service)):
            return False
        node = self.state.places[service.name][slots[0]]
        for volume in new_volumes(self.state, service):
            self.state.homes[volume] = 1 << node.index
        return True

    @property
    def batch(self) -> Batch:
        """Places runs of services; made when it is asked for first."""
        if self._batch is None:
            self._batch = Batch(self.state, self.rules, self.tree.packing, self.wanted, self.ahead)
        return self._batch

    def _together(self, services: list[Service]) -> list[Key]:
        """Place services that nothing but amounts binds; those that need devices or the like are equal."""
        if not self.batch.packing.pieces(services[0]):
            return self.batch.place(services)
        keys = [(service, slot) for service in services for slot in self.wanted[service.name]]
        gates = self.rules.gates(services[0])
        signature = gates.signature()
        left = keys if signature in self.full else self._round(services[0], keys, gates)
        if left and signature:
            self.full.add(signature)
        return [(service.name, slot) for service, slot in left]

    def _everywhere(self, service: Service, slots: list[Slot]) -> list[Key]:
        gates, failed = self.rules.gates(service), []
        for slot in slots:
            node = self.state.by_name[str(slot)]
            if gates.fits(node):
                self.put(gates, service, slot, node, Facts(1, True, "", 0, 0))
            else:
                failed.append((service.name, slot))
        return failed

    def some(self, service: Service, slots: list[Slot], within: int = -1) -> list[Key]:
        """Place slots of one service. Rules over domains may let more in after some are placed: then once more.

        within: no hosts but these.
        """
        gates = self.rules.gates(service)
        if within != -1:
            gates.narrow(within)
        if self.bulk.place(service, slots, gates):
            return []
        left, signature = slots, gates.signature()
        while left and signature not in self.full:
            before = len(left)
            left = [slot for _service, slot in self._round(service, [(service, slot) for slot in left], gates)]
            if not gates.counters or len(left) in (0, before):
                break
        if left and signature:
            self.full.add(signature)
        return [(service.name, slot) for slot in left]

    def _round(self, kind: Service, keys: list[Replica], gates: Gates) -> list[Replica]:
        """Place replicas of services that are alike. Returns those that found no room."""
        tree, every = self.tree.grow(kind, len(keys), gates)
        tree.best()
        room, nodes = tree.offers(), self.state.nodes
        for done, (service, slot) in enumerate(keys):
            if not tree.best():
                return keys[done:]
            node = tree.take()
            after = tree.following()
            following = nodes[after[-1]].name if after and after[-1] != node.index else ""
            self.put(gates, service, slot, node, Facts(room, every, following, 0, 0))
            self.state.cursor = node.index + 1
            tree.settle()
        return []

    def put(self, gates: Gates, service: Service, slot: Slot, node: Node, facts: Facts) -> None:
        """Place one replica and note the numbers behind it."""
        before = self.state.counts[service.name].get(node.index, 0)
        self.state.place(service, slot, node)
        self.bulk.touch(node)
        if gates.counters:
            gates.placed(node)
        self.state.facts[(service.name, slot)] = Facts(*facts[:3], before, node.share)
