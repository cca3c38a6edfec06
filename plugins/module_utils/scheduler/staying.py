# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who holds its place: what is legally placed stays, everything else gets a cause."""

from __future__ import annotations

from typing import Any

from .filters import Failure, Filters
from .model import SHARE, Eviction, Held, Key, Node, Service, Slot, State
from .reading import slot_key

Resident = tuple[Service, Slot, Node]

GONE, SURPLUS = "gone", "surplus"


def settle(state: State, filters: Filters) -> None:
    """Give every entry of `current` its verdict: placed (stays), evicted (must move), or surplus (leaves)."""
    claims: dict[Key, list[Node | str]] = {}
    for held in state.request.current:
        service = state.services.get(held.service)
        if service is None:
            _leave(state, filters, held, "the service is not wanted any more")
        elif not _wanted(service, held):
            _unwanted(state, filters, service, held)
        else:
            found = claims.setdefault((held.service, held.slot), [])
            found.append(state.by_name.get(held.node, held.node))
    refused = _admit(state, filters, claims)
    for key, found in claims.items():
        _conclude(state, filters, key, found, refused)


def _wanted(service: Service, held: Held) -> bool:
    if service.everywhere:
        return held.slot == held.node
    return isinstance(held.slot, int) and 1 <= held.slot <= service.replicas


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
    if node is not None and filters.unknown >> node.index & 1 and key not in state.where and not service.everywhere:
        state.seat(service, held.slot, node)
        state.kept[key] = f"counts as running on {node.name}, which did not answer; surplus: {why}"
    _leave(state, filters, held, why)


def _admit(state: State, filters: Filters, claims: dict[Key, list[Node | str]]) -> dict[tuple[Key, str], Failure]:
    """Seat what may stay, while there is room: those that can live nowhere else first, then the small ones.

    Returns {(service.slot, node): what there was no room for}.
    """
    residents: list[Resident] = []
    for (name, slot), found in claims.items():
        service = state.services[name]
        legal = filters.legal(service)
        residents += [(service, slot, node) for node in found if isinstance(node, Node) and legal >> node.index & 1]
    refused: dict[tuple[Key, str], Failure] = {}
    for service, slot, node in sorted(residents, key=_first):
        if (service.name, slot) in state.where:
            continue
        if filters.fits(service)(node):
            state.place(service, slot, node)
        else:
            refused[((service.name, slot), node.name)] = filters.room(service, node)[0]
    return refused


def _first(one: Resident) -> tuple[bool, bool, int, str, tuple[int, int, str], int]:
    service, slot, node = one
    size = max((SHARE * amount // (node.capacity[at] or 1) for at, amount in service.demands), default=0)
    return (not service.volumes, not service.everywhere, size, service.name, slot_key(slot), node.index)


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
    if key in state.where:
        holder = state.where[key]
    elif unknown:
        holder = unknown[0]
        state.seat(service, key[1], holder)
        state.kept[key] = f"counts as running on {holder.name}, which did not answer"
    elif known:
        holder = next((node for node in known if (key, node.name) in refused), known[0])
        failure = refused.get((key, holder.name)) or filters.rules(service, holder, staying=True)[0]
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
