# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Replicas that may run on a host that did not answer: they are not started a second time."""

from __future__ import annotations

from .filters import Filters
from .model import Key, Node, Service, Slot
from .state import State


def hold(state: State, filters: Filters, wanted: dict[str, list[Slot]]) -> dict[Key, list[Node]]:
    """Take the slots out of `wanted` that may run on unknown hosts. Returns them with those hosts.

    A slot may be there if `current` tells nothing of it and: the service is a job (a finished one is told of by
    nobody), or it has a volume that was not seen, or the host's replicas are not told at all (no entry of
    `current` names it) and the slot is no new one (nothing of the service is seen, or a higher slot is).
    """
    held: dict[Key, list[Node]] = {}
    if not filters.unknown or state.request.options.unknown_missing == "place":
        return held
    told = {host for group in state.request.current.groups.values() for host in group.hosts}
    highest = _highest(state)
    for service in state.request.services:
        hosts = filters.may_hold(service) if wanted[service.name] and not service.everywhere else []
        silent = [node for node in hosts if node.name not in told]
        for slot in list(wanted[service.name]):
            key = (service.name, slot)
            suspects = hosts if _never_told(state, service) else silent if _old(highest, service, slot) else []
            if suspects and key not in state.evicted:
                held[key] = suspects
                wanted[service.name].remove(slot)
    return held


def _never_told(state: State, service: Service) -> bool:
    return service.job or any(volume not in state.homes for volume in service.volumes)


def _highest(state: State) -> dict[str, int]:
    groups = state.request.current.groups
    numbers = {name: [slot for slot in group.slots if isinstance(slot, int)] for name, group in groups.items()}
    return {name: max(found) for name, found in numbers.items() if found}


def _old(highest: dict[str, int], service: Service, slot: Slot) -> bool:
    return service.name not in highest or (isinstance(slot, int) and slot < highest[service.name])


def silent_globals(state: State, filters: Filters) -> dict[Key, list[Node]]:
    """Slots of global services on unknown hosts of which nothing is told: {(service, node): [node]}."""
    found: dict[Key, list[Node]] = {}
    for service in state.request.services if filters.unknown else ():
        if service.everywhere:
            for node in filters.may_hold(service):
                if node.name not in state.places[service.name] and node.availability == "active":
                    found[(service.name, node.name)] = [node]
    return found
