# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who holds its place: what is legally placed stays, everything else gets a cause."""

from __future__ import annotations

from typing import Any

from .filters import Failure, Filters
from .gates import Gates, Rules
from .model import SHARE, Eviction, Group, Held, Key, Node, Service, Slot
from .reading import slot_key
from .seats import Seats
from .state import State

Resident = tuple[Service, Slot, Node]
Claims = dict[Key, list["Node | str"]]

GONE, SURPLUS = "gone", "surplus"


def settle(state: State, rules: Rules) -> None:
    """Give every entry of `current` its verdict: placed (stays), evicted (must move), or surplus (leaves)."""
    state.settling = True
    state.held = dict(state.request.current.held)
    claims: Claims = {}
    crowded: set[str] = set()  # hosts where somebody found no room
    seats = Seats(state, rules)
    for name, group in state.request.current.groups.items():
        service = state.services.get(name)
        if service is None:
            for held in state.request.current.of(name):
                _leave(state, rules.filters, held, "the service is not wanted any more")
        elif not seats.whole(service, group):
            left = _without_lost(state, seats, service, claims)
            if left is None or (left.slots and not seats.whole(service, left)):
                gone = set() if left is None else set(group.hosts).difference(left.hosts)
                entries = [held for held in state.request.current.of(name) if held.node not in gone]
                _seat(rules, service, entries, claims, crowded)
                seats.singly(service)
    crowded |= seats.use()
    if crowded:
        _reopen(state, crowded, claims)
    refused = _admit(state, rules, claims)
    for key, found in claims.items():
        _conclude(state, rules.filters, key, found, refused)
    state.settling = False


def _without_lost(state: State, seats: Seats, service: Service, claims: Claims) -> Group | None:
    """Make claims of what was on hosts that left the fleet. Returns the rest; None if that needs a look at each."""
    group = state.request.current.groups[service.name]
    known = [(slot, host) for slot, host in zip(group.slots, group.hosts) if host in state.by_name]
    if not group.distinct or len(known) == len(group.slots) or not seats.wanted(service, group):
        return None
    for slot, host in zip(group.slots, group.hosts):
        if host not in state.by_name:
            claims[(service.name, slot)] = [host]
    return Group([slot for slot, _host in known], [host for _slot, host in known], True)


def _seat(rules: Rules, service: Service, entries: list[Held], claims: Claims, crowded: set[str]) -> None:
    """Place at once what nobody disputes; the rest are claims. A host without room for one of them is crowded."""
    state = rules.state
    name, by_name, replicas, everywhere = service.name, state.by_name, service.replicas, service.everywhere
    legal = rules.filters.flags(rules.filters.legal(service))
    disputed = len({held[1] for held in entries}) < len(entries)
    gates = rules.gates(service, staying=True)
    for held in entries:
        _name, slot, host, _devices, _ports = held
        node = by_name.get(host)
        if not (slot == host if everywhere else slot.__class__ is int and 0 < slot <= replicas):
            _unwanted(state, rules.filters, service, held)
        elif disputed or node is None or not legal[node.index]:
            claims.setdefault((name, slot), []).append(node or host)
        elif gates.fits(node):
            state.occupy(service, slot, node)
            gates.placed(node)
        else:
            crowded.add(host)
            claims.setdefault((name, slot), []).append(node)


def _reopen(state: State, crowded: set[str], claims: Claims) -> None:
    """Make claims of all that was placed on crowded hosts: who stays there is decided among all of them."""
    for name, places in state.places.items():
        for slot, node in list(places.items()):
            if node.name in crowded:
                state.remove(state.services[name], slot)
                claims.setdefault((name, slot), []).append(node)


def _leave(state: State, filters: Filters, held: Held, why: str, cause: str = SURPLUS) -> None:
    """Let a replica go, unless its host is unknown: nothing is removed from there."""
    node = state.by_name.get(held.node)
    if node is not None and filters.unknown >> node.index & 1:
        text = f"{held.service}.{held.slot} on {held.node} should leave ({why}), but {held.node} did not answer"
        state.warnings.append(text)
        return
    leaving: dict[str, Any] = {"service": held.service, "slot": held.slot, "from": held.node, "to": None}
    state.surplus.append({**leaving, "cause": cause, "why": why})


def _unwanted(state: State, filters: Filters, service: Service, held: Held) -> None:
    why = f"{service.name} is scaled to {service.replicas}"
    if service.everywhere:
        why = f"the slot of a global service on {held.node} is {held.node}"
    node, key = state.by_name.get(held.node), (held.service, held.slot)
    if node is not None and filters.unknown >> node.index & 1 and state.at(key) is None and not service.everywhere:
        state.seat(service, held.slot, node)
        state.kept[key] = f"counts as running on {node.name}, which did not answer; surplus: {why}"
    _leave(state, filters, held, why)


def _admit(state: State, rules: Rules, claims: Claims) -> dict[tuple[Key, str], Failure]:
    """Place what may stay, while there is room: those that can live nowhere else first, then the small ones.

    Returns {((service, slot), node): what there was no room for}.
    """
    residents: list[Resident] = []
    for (name, slot), found in claims.items():
        service = state.services[name]
        legal = rules.filters.legal(service)
        residents += [(service, slot, node) for node in found if isinstance(node, Node) and legal >> node.index & 1]
    refused: dict[tuple[Key, str], Failure] = {}
    for service, slot, node in sorted(residents, key=_first):
        if slot in state.places[service.name]:
            continue
        gates: Gates = rules.gates(service, staying=True)
        if gates.fits(node):
            state.place(service, slot, node)
        else:
            refused[((service.name, slot), node.name)] = gates.failures(node)[0]
    return refused


def _first(one: Resident) -> tuple[Any, ...]:
    service, slot, node = one
    size = max((SHARE * amount // (node.capacity[at] or 1) for at, amount in service.demands), default=0)
    known = (not service.volumes, not service.everywhere, -service.priority)
    return (*known, size, service.name, slot_key(slot), node.index)


def _conclude(
    state: State,
    filters: Filters,
    key: Key,
    found: list[Node | str],
    refused: dict[tuple[Key, str], Failure],
) -> None:
    """The verdict on one slot that several hosts may claim: one keeps it or gives it up, the others are copies."""
    service = state.services[key[0]]
    nodes = [node for node in found if isinstance(node, Node)]
    unknown = [node for node in nodes if filters.unknown >> node.index & 1]
    known = [node for node in nodes if filters.known >> node.index & 1]
    seated = state.at(key)
    if seated is not None:
        holder = seated
    elif unknown:
        holder = unknown[0]
        state.seat(service, key[1], holder)
        state.kept[key] = f"counts as running on {holder.name}, which did not answer"
    elif known:
        holder = next((node for node in known if (key, node.name) in refused), known[0])
        failure = refused.get((key, holder.name)) or filters.failures(service, holder, staying=True)[0]
        _evict(state, filters, (service, key[1], holder), failure)
    else:
        _lost(state, key, found)
        return
    for node in unknown + known:
        if node is not holder:
            _leave(state, filters, Held(*key, node.name), f"a second copy; {holder.name} has the slot")


def _lost(state: State, key: Key, found: list[Node | str]) -> None:
    names = sorted(one if isinstance(one, str) else one.name for one in found)
    why = f"{names[0]} is assumed lost" if names[0] in state.by_name else f"{names[0]} left the fleet"
    if state.services[key[0]].everywhere:
        leaving: dict[str, Any] = {"service": key[0], "slot": key[1], "from": names[0], "to": None}
        state.surplus.append({**leaving, "cause": GONE, "why": why})
    else:
        state.evicted[key] = Eviction(names[0], GONE, why)


def _evict(state: State, filters: Filters, resident: Resident, failure: Failure) -> None:
    """Make a replica move; of a global service that is not wanted on its host, leave; with moves off, stay."""
    service, slot, node = resident
    key, words = (service.name, slot), failure.words
    if not state.request.options.allow_moves:
        state.place(service, slot, node)
        state.kept[key] = f"stays on {node.name} only because moves are off: {failure.on(node)}"
        state.warnings.append(f"{service.name}.{slot} should leave {node.name} ({words}), but moves are off")
    elif service.everywhere and not filters.open(service) >> node.index & 1:
        _leave(state, filters, Held(*key, node.name), failure.on(node), failure.filter)
    else:
        state.evicted[key] = Eviction(node.name, failure.filter, failure.on(node))
