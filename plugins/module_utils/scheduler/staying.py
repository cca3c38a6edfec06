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
        node = state.by_name.get(held.node)
        if service is None:
            _leave(state, filters, held, "the service is not wanted any more")
        elif not _wanted(service, held.slot):
            _unwanted(state, filters, service, held)
        else:
            claims.setdefault((held.service, held.slot), []).append(held.node if node is None else node)
    residents = [one for key, found in claims.items() for one in _judge(state, filters, key, found)]
    _admit(state, filters, residents)


def _wanted(service: Service, slot: Slot) -> bool:
    if service.everywhere:
        return True
    return isinstance(slot, int) and 1 <= slot <= service.replicas


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
    node = state.by_name.get(held.node)
    why = f"{service.name} has {service.replicas} replicas"
    key = (held.service, held.slot)
    if node is not None and filters.unknown >> node.index & 1 and key not in state.where:
        state.seat(service, held.slot, node)
        state.kept[key] = f"counts as running on {node.name}, which did not answer; surplus: {why}"
    _leave(state, filters, held, why)


def _judge(state: State, filters: Filters, key: Key, found: list[Node | str]) -> list[Resident]:
    """One slot's claims: at most one stays; the others are surplus, or the reason to move."""
    service, slot = state.services[key[0]], key[1]
    if service.everywhere:
        return _judge_global(state, filters, service, slot, found)
    legal = filters.legal(service)
    nodes = sorted(
        (node for node in found if isinstance(node, Node)),
        key=lambda node: (_claim(filters, legal, node), node.index),
    )
    holder = nodes[0] if nodes else None
    others = [node.name for node in nodes[1:]] + [name for name in found if isinstance(name, str)]
    if holder is None or filters.lost >> holder.index & 1:
        _lost(state, key, found)
        return []
    for name in sorted(others):
        if name in state.by_name and not filters.lost >> state.by_name[name].index & 1:
            _leave(state, filters, Held(service.name, slot, name), f"a second copy; {holder.name} keeps the slot")
    return _stay_or_go(state, filters, service, slot, holder)


def _claim(filters: Filters, legal: int, node: Node) -> int:
    """Rank of a host that holds a slot: where it may stay, where it must (unknown), where it may not, lost."""
    order = (legal, filters.unknown, filters.known)
    return next((rank for rank, mask in enumerate(order) if mask >> node.index & 1), len(order))


def _judge_global(
    state: State, filters: Filters, service: Service, slot: Slot, found: list[Node | str]
) -> list[Resident]:
    stays = []
    for one in found:
        name = one if isinstance(one, str) else one.name
        if isinstance(one, str) or filters.lost >> one.index & 1 or name != slot:
            why = f"{name} left the fleet" if isinstance(one, str) else f"the slot of {name} is {name}, not {slot}"
            why = f"{name} is assumed lost" if name == slot and not isinstance(one, str) else why
            _leave(state, filters, Held(service.name, slot, name), why, GONE if name == slot else SURPLUS)
            continue
        stays += _stay_or_go(state, filters, service, slot, one)
    return stays


def _lost(state: State, key: Key, found: list[Node | str]) -> None:
    names = sorted(one if isinstance(one, str) else one.name for one in found)
    left = names[0] not in state.by_name
    why = f"{names[0]} left the fleet" if left else f"{names[0]} is assumed lost"
    state.evicted[key] = Eviction(names[0], GONE, why)


def _stay_or_go(state: State, filters: Filters, service: Service, slot: Slot, node: Node) -> list[Resident]:
    """What the rules that do not depend on others say; the rest is for _admit."""
    key = (service.name, slot)
    if filters.unknown >> node.index & 1:
        state.seat(service, slot, node)
        state.kept[key] = f"counts as running on {node.name}, which did not answer"
        return []
    if filters.legal(service) >> node.index & 1:
        return [(service, slot, node)]
    failure = filters.rules(service, node, staying=True)[0]
    if service.everywhere and state.request.options.allow_moves:
        held = Held(service.name, slot, node.name)
        _leave(state, filters, held, f"{node.name} {failure.words}", failure.filter)
        return []
    _evict(state, (service, slot, node), failure)
    return []


def _evict(state: State, resident: Resident, failure: Failure) -> None:
    service, slot, node = resident
    key, words = (service.name, slot), failure.words
    if state.request.options.allow_moves:
        state.evicted[key] = Eviction(node.name, failure.filter, f"{node.name} {words}")
        return
    state.place(service, slot, node)
    state.kept[key] = f"stays on {node.name} only because moves are off: {node.name} {words}"
    state.warnings.append(f"{service.name}.{slot} should leave {node.name} ({words}), but moves are off")


def _admit(state: State, filters: Filters, residents: list[Resident]) -> None:
    """Seat residents host by host while there is room: those that can live nowhere else, then the small ones."""

    def order(one: Resident) -> tuple[bool, bool, int, str, tuple[int, int, str]]:
        service, slot, node = one
        size = max((SHARE * amount // (node.capacity[at] or 1) for at, amount in service.demands), default=0)
        return (not service.volumes, not service.everywhere, size, service.name, slot_key(slot))

    for service, slot, node in sorted(residents, key=order):
        if filters.fits(service)(node):
            state.place(service, slot, node)
            continue
        _evict(state, (service, slot, node), filters.room(service, node)[0])
