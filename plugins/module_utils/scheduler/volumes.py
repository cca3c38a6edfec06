# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where volumes are: a local volume ties its services to the hosts that have it."""

from __future__ import annotations

from .domains import mask_of
from .filters import Filters
from .model import Held, Node, Service
from .state import State


def find_homes(state: State, filters: Filters) -> None:
    """Fill state.homes: for each volume that a service mounts, the hosts that have it. A new volume has no entry.

    A volume that no host lists is where the replicas are that mount it: data may be there that was not seen. On one
    host only: if known hosts disagree, where most of them are. If an unknown host has some, wherever any are; hosts
    that are given up count only if no other has any.
    """
    users: dict[str, list[Service]] = {}
    for service in state.request.services:
        for volume in service.volumes:
            users.setdefault(volume, []).append(service)
    having: dict[str, list[int]] = {}
    for node in [node for node in state.nodes if node.volumes]:
        for volume in node.volumes:
            having.setdefault(volume, []).append(node.index)
    mounting = {service.name for service in state.request.services if service.volumes or service.classes}
    current = state.request.current
    residents = {name: current.of(name) for name in mounting if name in current.groups}
    for volume in sorted(users):
        held_by = [held for service in users[volume] for held in residents.get(service.name, ())]
        if volume in having:
            state.homes[volume] = mask_of(having[volume])
        elif held_by:
            state.homes[volume] = _home_of_residents(state, filters, held_by)
    for service in state.request.services:
        if not service.everywhere and service.name not in residents:
            state.fresh.update(volume for _class, _size, volume in service.classes if volume not in having)


def _home_of_residents(state: State, filters: Filters, held_by: list[Held]) -> int:
    tally: dict[Node, int] = {}
    for held in held_by:
        node = state.by_name.get(held.node)
        if node is not None:
            tally[node] = tally.get(node, 0) + 1
    if not tally:
        return 0  # its host left the fleet: the data is there, not here
    everywhere = sum(1 << node.index for node in tally)
    if everywhere & filters.unknown or not everywhere & filters.known:
        return everywhere
    answering = [node for node in tally if filters.known >> node.index & 1]
    usable = [node for node in answering if filters.stays >> node.index & 1] or answering
    return 1 << min(usable, key=lambda node: (-tally[node], node.index)).index


def new_volumes(state: State, service: Service) -> list[str]:
    """The service's volumes that exist nowhere yet."""
    return [volume for volume in service.volumes if volume not in state.homes]


def groups(state: State) -> dict[str, list[Service]]:
    """{service: the services that must share its host}, because they mount the same new volumes."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for service in state.request.services:
        for volume in new_volumes(state, service):
            one, other = sorted((root(f"service {service.name}"), root(f"volume {volume}")))
            parent[other] = one
    members: dict[str, list[Service]] = {}
    for service in state.request.services:
        if new_volumes(state, service):
            members.setdefault(root(f"service {service.name}"), []).append(service)
    return {service.name: found for found in members.values() for service in found}
