# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a replica holds one by one: ports, a port of a range, devices or parts of them, room of a storage class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from .model import NOTHING, SHARE, Held, Key, Node, Service, Slot
from .ports import Port

if TYPE_CHECKING:
    from .state import State


class Grant(NamedTuple):
    """What one replica holds on its host beside plain amounts."""

    ports: tuple[tuple[str, Port], ...]  # (range as it is written, port)
    devices: tuple[tuple[int, str, int], ...]  # (dimension, device, part of SHARE)
    sizes: tuple[tuple[str, int, str], ...]  # (class, bytes, volume) that it made


NO_GRANT = Grant((), (), ())


def free_ports(node: Node, service: Service, held: Held | None = None) -> list[tuple[str, Port]] | None:
    """A free port of the host for each of the service's ranges: the held one, else the lowest. None if one has none."""
    found: list[tuple[str, Port]] = []
    for wanted in sorted(service.ranges, key=attrgetter("last", "first")):
        before = held.ports.get(str(wanted), 0) if held else 0
        order = [before] if wanted.first <= before <= wanted.last else []
        taken = {one[1:] for one in service.ports} | {one[1:] for _range, one in found}
        for number in (*order, *range(wanted.first, wanted.last + 1)):
            port = Port(wanted.address, number, wanted.protocol)
            if port[1:] not in taken and not node.ports.takes(port):
                found.append((str(wanted), port))
                break
        else:
            return None
    return found


def free_devices(
    devices: Mapping[str, int], amount: int, held: Mapping[str, int] = NOTHING
) -> tuple[tuple[str, int], ...] | None:
    """Devices that serve a demand: one with that part free (the fullest), or as many whole ones; None if not there.

    held: what it holds now is taken again if it is free and just what it needs.
    """
    again = held and sum(held.values()) == amount and all(devices.get(name, 0) >= part for name, part in held.items())
    if again and (len(held) == 1 or not amount % SHARE):
        return tuple(sorted(held.items()))
    if amount % SHARE:
        left = min(((free, name) for name, free in devices.items() if free >= amount), default=None)
        return None if left is None else ((left[1], amount),)
    whole = sorted(name for name, free in devices.items() if free == SHARE)[: amount // SHARE]
    return tuple((name, SHARE) for name in whole) if len(whole) == amount // SHARE else None


def new_sizes(state: State, service: Service, node: Node) -> Iterator[tuple[str, int, str]]:
    """(class, bytes, volume) that a replica would make on the host. Volumes that exist or are counted cost nothing."""
    if state.settling:
        return
    for name, size, volume in service.classes:
        missing = volume not in node.volumes if service.everywhere else volume in state.fresh
        if size and missing and (volume, node.index if service.everywhere else -1) not in state.paid:
            yield name, size, volume


def take(state: State, service: Service, slot: Slot, node: Node) -> None:
    """Grant a replica its ports, devices and storage on the host; what is not there is not granted."""
    key: Key = (service.name, slot)
    held = state.held.get((key, node.name))
    ports = (free_ports(node, service, held) or []) if service.ranges else []
    for port in (*service.ports, *(port for _range, port in ports)):
        node.ports.add(port)
    devices: list[tuple[int, str, int]] = []
    for dimension, amount in service.demands:
        there = node.devices.get(dimension)
        if there:
            mine = held.devices.get(state.request.dimensions[dimension], NOTHING) if held else NOTHING
            for name, part in free_devices(there, amount, mine) or ():
                there[name] -= part
                devices.append((dimension, name, part))
    sizes = tuple(new_sizes(state, service, node)) if service.classes else ()
    for name, size, volume in sizes:
        node.storage[name] -= size  # type: ignore[index]
        state.paid.add((volume, node.index if service.everywhere else -1))
    if ports or devices or sizes:
        state.grants[key] = Grant(tuple(ports), tuple(devices), sizes)


def give_back(state: State, service: Service, slot: Slot, node: Node) -> None:
    """Undo take()."""
    for port in service.ports:
        node.ports.drop(port)
    grant = state.grants.pop((service.name, slot), NO_GRANT)
    for _range, port in grant.ports:
        node.ports.drop(port)
    for dimension, name, part in grant.devices:
        node.devices[dimension][name] += part
    for name, size, volume in grant.sizes:
        node.storage[name] += size  # type: ignore[index]
        state.paid.discard((volume, node.index if service.everywhere else -1))
