# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Moving what has a place to help what has none: ejection, preemption; and rebalancing what is uneven.

Ejection: a few residents of one host find another home, and the one without a home takes their room. Preemption: a
service that may do so takes the room of less important ones, whether or not those find another home. Nothing is
pushed out of its only host (a volume, a global service), and each search has a fixed number of steps.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from .gates import Gates, Rules
from .model import Eviction, Key, Node, Service, Slot
from .state import Facts, State
from .strategies import binpack, share_after

REPAIR, PREEMPTED, REBALANCE = "repair", "preempted", "rebalance"
STEPS = 1000  # for one replica: looking for a home among UNIT hosts is one step
ALL_STEPS = 4000  # for all of a plan
UNIT = 50
MOST_SMALL = 12  # residents of which pairs and more are tried
EVEN = 50_000  # of SHARE: a move must level out at least this
Resident = tuple[Service, Slot]


class Mover:
    """Takes replicas from one host to another within a finished placement."""

    def __init__(self, state: State, rules: Rules) -> None:
        """Over the state after all placing."""
        self.state, self.rules, self.steps = state, rules, ALL_STEPS
        self.on: dict[int, dict[Key, None]] = {node.index: {} for node in state.nodes}
        for name, places in state.places.items():
            for slot, node in places.items():
                self.on[node.index][(name, slot)] = None

    def put(self, service: Service, slot: Slot, node: Node) -> None:
        """Place one replica."""
        self.state.place(service, slot, node)
        self.on[node.index][(service.name, slot)] = None

    def lift(self, service: Service, slot: Slot) -> Node:
        """Take one replica off its host."""
        node = self.state.remove(service, slot)
        del self.on[node.index][(service.name, slot)]
        return node

    def runs(self, key: Key, node: Node) -> bool:
        """True if it runs there now: it would be a move."""
        return key not in self.state.facts

    def movable(self, node: Node) -> list[Resident]:
        """What is on a host and may leave it, the cheapest first."""
        found = []
        for name, slot in self.on[node.index]:
            service = self.state.services[name]
            fixed = service.everywhere or service.volumes or (name, slot) in self.state.kept
            if not fixed and (self.state.request.options.allow_moves or not self.runs((name, slot), node)):
                found.append((service, slot))
        runs = {(one.name, slot): self.runs((one.name, slot), node) for one, slot in found}

        def cost(one: Resident) -> tuple[Any, ...]:
            service, slot = one
            return (runs[(service.name, slot)], service.stateful, *_size(service, node), service.name, str(slot))

        return sorted(found, key=cost)

    def home(self, service: Service, but: Node) -> Node | None:
        """The best host for one more replica, other than one."""
        filters, gates = self.rules.filters, self.rules.gates(service)
        self.steps -= 1 + filters.size(filters.open(service)) // UNIT
        rank, fits = binpack(self.state, service), gates.fits
        able = [node for node in filters.nodes(filters.open(service)) if node is not but and fits(node)]
        return min(able, key=rank, default=None)

    def moved(self, service: Service, slot: Slot, before: Node, cause: str, why: str) -> None:
        """Note that a replica left a host, if it ran there."""
        key, node = (service.name, slot), self.state.at((service.name, slot))
        if self.runs(key, before):
            self.state.evicted[key] = Eviction(before.name, cause, why)
        if node is not None:
            here = self.state.counts[service.name][node.index] - 1
            self.state.facts[key] = Facts(1, False, "", here, node.share)
        else:
            self.state.facts.pop(key, None)


def _size(service: Service, node: Node) -> tuple[int]:
    return (max((amount * 1000 // (node.capacity[at] or 1) for at, amount in service.demands), default=0),)


def repair(state: State, rules: Rules, failed: list[Key]) -> list[Key]:
    """Admit what has no place by moving a few others. Returns what still has none."""
    most = state.request.options.repair_moves
    if not failed or not most:
        return failed
    mover, left, hopeless = Mover(state, rules), [], set()
    for key in failed:
        service = state.services[key[0]]
        gates = rules.gates(service)
        signature = gates.signature() or (key[0],)
        if signature not in hopeless and mover.steps > 0 and _admit(mover, service, key[1], gates, most):
            continue
        hopeless.add(signature)
        left.append(key)
    return left


def _hosts(mover: Mover, service: Service, slot: Slot, gates: Gates) -> list[Node]:
    """The hosts on which only room is missing, the nearest miss first."""
    if service.everywhere:
        return [mover.state.by_name[str(slot)]]
    filters = mover.rules.filters
    found = []
    for node in filters.nodes(filters.open(service)):
        if gates.reach >> node.index & 1 and all(counter.passes(node) for counter in gates.counters):
            free, capacity = node.free, node.capacity
            if all(capacity[at] >= amount for at, amount in service.demands):
                miss = sum([max(0, amount - free[at]) * 1000 // (capacity[at] or 1) for at, amount in service.demands])
                found.append((miss, node.index, node))
    return [node for _miss, _index, node in sorted(found)]


def _admit(mover: Mover, service: Service, slot: Slot, gates: Gates, most: int) -> bool:
    hosts = _hosts(mover, service, slot, gates)
    steps = mover.steps - STEPS
    for node in hosts:  # earlier repairs may have made room
        if gates.fits(node):
            mover.put(service, slot, node)
            mover.state.facts[(service.name, slot)] = Facts(1, False, "", 0, node.share)
            return True
    for count in range(1, most + 1):
        for node in hosts:
            if mover.steps <= max(0, steps):
                return False
            for chosen in _choices(mover, service, node, count):
                if mover.steps <= max(0, steps):
                    return False
                if _swap(mover, service, slot, node, chosen):
                    return True
    return False


def _choices(mover: Mover, service: Service, node: Node, count: int) -> list[tuple[Resident, ...]]:
    """Sets of residents whose room would be enough, the cheap and small ones first."""
    short = [(at, amount - node.free[at]) for at, amount in service.demands if node.free[at] < amount]
    residents = mover.movable(node)
    needs = [dict(one.demands) for one, _slot in residents]
    if count > 1:
        useful = [at for at, one in enumerate(needs) if any(one.get(dim, 0) for dim, _miss in short)]
        useful.sort(key=lambda at: -max((needs[at].get(dim, 0) * 1000 // miss for dim, miss in short), default=0))
        picked = sorted(useful[:MOST_SMALL])
    else:
        picked = list(range(len(residents)))
    found = []
    for group in combinations(picked, count):
        if all(sum([needs[at].get(dim, 0) for at in group]) >= miss for dim, miss in short):
            found.append(tuple(residents[at] for at in group))
    return found


def _swap(mover: Mover, service: Service, slot: Slot, node: Node, chosen: tuple[Resident, ...]) -> bool:
    """Put the replica in the place of the chosen ones, if each of those finds another home."""
    for one, number in chosen:
        mover.lift(one, number)
    if mover.rules.gates(service).fits(node):
        mover.put(service, slot, node)
        homes: list[Node] = []
        for one, number in chosen:
            home = mover.home(one, node)
            if home is None:
                break
            mover.put(one, number, home)
            homes.append(home)
        if len(homes) == len(chosen):
            for one, number in chosen:
                mover.moved(one, number, node, REPAIR, f"makes room on {node.name} for {service.name}.{slot}")
            mover.state.facts[(service.name, slot)] = Facts(1, False, "", 0, node.share)
            return True
        for one, number in chosen[: len(homes)]:
            mover.lift(one, number)
        mover.lift(service, slot)
    for one, number in chosen:
        mover.put(one, number, node)
    return False


def preempt(state: State, rules: Rules, failed: list[Key]) -> list[Key]:
    """Let services that may do so take the room of less important ones. Returns what has no place then."""
    asking = [key for key in failed if state.services[key[0]].preempt]
    if not asking or not state.request.options.allow_moves:
        return failed
    mover, left, displaced = Mover(state, rules), list(failed), []
    for key in sorted(asking, key=lambda one: (-state.services[one[0]].priority, failed.index(one))):
        service = state.services[key[0]]
        chosen = _cheapest(mover, service, key[1])
        if chosen is None:
            continue
        node, victims = chosen
        for one, number in victims:
            mover.lift(one, number)
        mover.put(service, key[1], node)
        state.facts[key] = Facts(1, False, "", 0, node.share)
        left.remove(key)
        for one, number in victims:
            home = mover.home(one, node)
            if home is not None:
                mover.put(one, number, home)
            else:
                displaced.append((one.name, number))
            rank = f"priority {service.priority} over {one.priority}"
            why = f"gives way on {node.name} to {service.name}.{key[1]}, {rank}"
            mover.moved(one, number, node, PREEMPTED, why)
    return [*left, *displaced]


def _cheapest(mover: Mover, service: Service, slot: Slot) -> tuple[Node, list[Resident]] | None:
    """The host where the least important and fewest give way, and who they are."""
    best: tuple[tuple[int, int, int], Node, list[Resident]] | None = None
    for node in _hosts(mover, service, slot, mover.rules.gates(service)):
        lower = [one for one in mover.movable(node) if one[0].priority < service.priority]
        lower.sort(key=lambda one: one[0].priority)
        lifted: list[Resident] = []
        while lower and not mover.rules.gates(service).fits(node):
            lifted.append(lower.pop(0))
            mover.lift(*lifted[-1])
        able = mover.rules.gates(service).fits(node)
        needed: list[Resident] = []
        for one in reversed(lifted):  # the most important first: who need not go stays
            mover.put(one[0], one[1], node)
            if able and not mover.rules.gates(service).fits(node):
                mover.lift(*one)
                needed.append(one)
        for gone, number in needed:
            mover.put(gone, number, node)
        price = (max((one.priority for one, _slot in needed), default=-(10**6)), len(needed), node.index)
        if able and (best is None or price < best[0]):
            best = price, node, needed
    return None if best is None else best[1:]


def rebalance(state: State, rules: Rules) -> None:
    """Move at most so many replicas from full hosts to emptier ones; stateful ones only if asked."""
    options = state.request.options
    if not options.rebalance_moves or not options.allow_moves:
        return
    mover, left = Mover(state, rules), options.rebalance_moves
    tired: set[int] = set()
    while left and mover.steps > 0:
        donors = [node for node in rules.filters.nodes(rules.filters.known) if node.index not in tired and node.share]
        donor = max(donors, key=lambda node: (node.share, -node.index), default=None)
        if donor is None:
            return
        if _level(mover, donor, options.rebalance_stateful):
            left -= 1
        else:
            tired.add(donor.index)


def _level(mover: Mover, donor: Node, stateful: bool) -> bool:
    """Move one replica off the host, if that makes the fuller of two hosts emptier."""
    filters = mover.rules.filters
    for service, slot in reversed(mover.movable(donor)):
        if (service.stateful and not stateful) or not mover.runs((service.name, slot), donor) or not service.demands:
            continue
        full = donor.share
        mover.lift(service, slot)
        mover.steps -= 1
        fits = mover.rules.gates(service).fits
        able = [node for node in filters.nodes(filters.open(service)) if node is not donor and fits(node)]
        ranked = ((share_after(service, node), node.index, node) for node in able)
        after, _index, home = min(ranked, default=(0, 0, None))
        if home is not None and after + EVEN <= full:
            mover.put(service, slot, home)
            why = f"levels {donor.name} ({full // 10000} % used) and {home.name} ({after // 10000} % with it)"
            mover.moved(service, slot, donor, REBALANCE, why)
            return True
        mover.put(service, slot, donor)
    return False
