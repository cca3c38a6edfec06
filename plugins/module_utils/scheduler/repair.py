# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Moving what has a place to help what has none: ejection (ejection.py), preemption; and rebalancing what is uneven.

Preemption: a service that may do so takes the room of less important ones, whether or not those find another home.
Nothing is pushed out of its only host (a volume, a global service), and each search has a fixed number of steps.
"""

from __future__ import annotations

from .ejection import Ejection
from .gates import Rules
from .model import Key, Node, Service, Slot
from .mover import Mover, Resident
from .state import Facts, State
from .strategies import share_after

PREEMPTED, REBALANCE = "preempted", "rebalance"
EVEN = 50_000  # of SHARE: a move must level out at least this


def repair(state: State, rules: Rules, failed: list[Key]) -> list[Key]:
    """Admit what has no place by moving a few others. Returns what still has none."""
    most = state.request.options.repair_moves
    if not failed or not most:
        return failed
    ejection, left, hopeless = Ejection(Mover(state, rules), most), [], set()
    for key in failed:
        service = state.services[key[0]]
        gates = rules.gates(service)
        signature = gates.signature() or (key[0],)
        if signature not in hopeless and ejection.admit(service, key[1], gates):
            continue
        hopeless.add(signature)
        left.append(key)
    return _late(ejection.mover, left) if len(left) < len(failed) else left


def _late(mover: Mover, failed: list[Key]) -> list[Key]:
    """Place what finds room now that others have moved. Returns what still has none."""
    state, left = mover.state, []
    for key in failed:
        service = state.services[key[0]]
        gates = mover.rules.gates(service)
        node = next((node for node in mover.near(service, key[1], gates) if gates.fits(node)), None)
        if node is None:
            left.append(key)
            continue
        before = state.counts[service.name].get(node.index, 0)
        mover.put(service, key[1], node)
        state.facts[key] = Facts(1, False, "", before, node.share)
        mover.followers.note(service)
        mover.settled()
    return left


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
        mover.followers.note(service)
        mover.settled()
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
    return _late(mover, [*left, *displaced]) if len(left) < len(failed) else left


def _cheapest(mover: Mover, service: Service, slot: Slot) -> tuple[Node, list[Resident]] | None:
    """The host where the least important and fewest give way, and who they are."""
    best: tuple[tuple[int, int, int], Node, list[Resident]] | None = None
    for node in mover.near(service, slot, mover.rules.gates(service)):
        lower = [one for one in mover.movable(node) if one[0].priority < service.priority]
        lower = [one for one in lower if not mover.followers.of(one[0])]
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
        if (service.stateful and not stateful) or not mover.runs((service.name, slot)) or not service.demands:
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
            if mover.followers.parted([service]):
                mover.lift(service, slot)
                mover.put(service, slot, donor)
                continue
            why = f"levels {donor.name} ({full // 10000} % used) and {home.name} ({after // 10000} % with it)"
            mover.moved(service, slot, donor, REBALANCE, why)
            return True
        mover.put(service, slot, donor)
    return False
