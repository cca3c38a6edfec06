# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of one run: who is where so far, and what that leaves free."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from .grants import Grant, give_back, take
from .model import SHARE, Eviction, Group, Held, Key, Node, Request, Service, Slot


class Facts(NamedTuple):
    """Numbers behind a new place."""

    room: int  # hosts with room; if there are many: hosts that were compared
    all: bool  # room counts all hosts
    next: str  # the runner-up, "" if there is none
    before: int  # replicas of the service that the host had
    share: int  # the host's dominant share with it


class Batch(NamedTuple):
    """The numbers behind new places of a whole service, on hosts that had none of it."""

    slots: list[Slot]
    hosts: list[str]  # by slot, and the runner-up of the last one if there is any
    shares: list[int]  # by slot: the host's dominant share with it
    room: int  # hosts that were compared


class Notes:
    """The numbers behind new places, by replica; of whole services in batches until one replica is asked for."""

    def __init__(self) -> None:
        """None yet."""
        self.services: dict[str, dict[Slot, Facts]] = {}
        self.batches: dict[str, Batch] = {}

    def batch(self, name: str, batch: Batch) -> None:
        """Note places of one service."""
        if name in self.services:
            self._open(name, batch)
        else:
            self.batches[name] = batch

    def of(self, name: str) -> dict[Slot, Facts]:
        """Those of one service, to be added to."""
        if name in self.batches:
            self._open(name, self.batches.pop(name))
        return self.services.setdefault(name, {})

    def _open(self, name: str, batch: Batch) -> None:
        following = [*batch.hosts[1:], ""]
        numbers = zip(batch.slots, following, batch.shares)
        found = self.services.setdefault(name, {})
        found.update({slot: Facts(batch.room, False, after, 0, share) for slot, after, share in numbers})

    def __contains__(self, key: Key) -> bool:
        """True if the replica's place is new."""
        return key[1] in self.of(key[0])

    def get(self, key: Key) -> Facts | None:
        """Those of one replica."""
        return self.of(key[0]).get(key[1])

    def __setitem__(self, key: Key, facts: Facts) -> None:
        """Note a new place."""
        self.of(key[0])[key[1]] = facts

    def pop(self, key: Key, default: Facts | None = None) -> Facts | None:
        """Forget a new place."""
        return self.of(key[0]).pop(key[1], default)


class Places(dict[str, dict[Slot, Node]]):
    """{service: {slot: host}}. Services that were seated whole are kept as they were read until anybody looks."""

    def __init__(self, names: list[str], by_name: dict[str, Node]) -> None:
        """Nothing placed yet."""
        super().__init__({name: {} for name in names})
        self.names, self.by_name = names, by_name
        self.whole: dict[str, Group] = {}
        self.positions: dict[str, list[int]] = {}  # of those seated whole: hosts by slot

    def seat(self, name: str, group: Group, positions: list[int]) -> None:
        """Place all replicas of a service that has none. positions: of their hosts."""
        del self[name]
        self.whole[name], self.positions[name] = group, positions

    def number(self, name: str) -> int:
        """How many replicas of a service are placed."""
        return len(self.whole[name].slots if name in self.whole else self[name])

    def any(self, name: str) -> bool:
        """True if the service is there and has a replica."""
        return name in self.whole or (name in self and bool(self[name]))

    def __missing__(self, name: str) -> dict[Slot, Node]:
        """Open one service."""
        group = self.whole.pop(name)
        self[name] = dict(zip(group.slots, map(self.by_name.__getitem__, group.hosts)))
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The places of a service that may not be there."""
        return self[name] if name in self or name in self.whole else default

    def items(self) -> Any:
        """All services, in order; all of them are opened."""
        return [(name, self[name]) for name in self.names]


class Counts(dict[str, dict[int, int]]):
    """{service: {host: replicas there}}, counted when it is first asked for: most services of a plan never are."""

    def __init__(self, places: Places) -> None:
        """Of these places."""
        self.places = places

    def __missing__(self, name: str) -> dict[int, int]:
        """Count one service."""
        whole = name in self.places.whole
        at = self.places.positions[name] if whole else [node.index for node in self.places[name].values()]
        self[name] = found = dict(Counter(at)) if at else {}
        return found


class State:
    """One run: who is where so far. Only place(), seat() and remove() change it."""

    def __init__(self, request: Request) -> None:
        """Nothing placed yet."""
        self.request = request
        self.nodes = request.nodes
        self.by_name = {node.name: node for node in request.nodes}
        self.services = {service.name: service for service in request.services}
        self.places = Places([service.name for service in request.services], self.by_name)
        self.counts = Counts(self.places)
        self.kept: dict[Key, str] = {}  # stays although it should not, or because it must: why
        self.evicted: dict[Key, Eviction] = {}
        self.surplus: list[dict[str, Any]] = []  # moves with no destination
        self.facts = Notes()  # numbers of new places
        self.warnings: list[str] = list(request.warnings)
        self.cursor = 0  # round robin: the position after the last host that got a replica
        self.homes: dict[str, int] = {}  # volume -> bit mask of the hosts that have it
        self.grants: dict[Key, Grant] = {}  # what replicas hold beside plain amounts
        self.held: dict[tuple[Key, str], Held] = {}  # (replica, host) -> devices and ports that it has there now
        self.fresh: set[str] = set()  # volumes of a class that exist nowhere
        self.paid: set[tuple[str, int]] = set()  # volumes whose size is counted: (name, host or -1 for all)
        self.settling = False  # residents are placed: their volumes are there

    def at(self, key: Key) -> Node | None:
        """Where a replica is."""
        return self.places[key[0]].get(key[1])

    def place(self, service: Service, slot: Slot, node: Node) -> None:
        """Put one replica on a host: its resources, ports and count are used from now on."""
        self.occupy(service, slot, node)
        free, capacity, share = node.free, node.capacity, node.share
        for dimension, _amount in service.demands:
            whole = capacity[dimension] or 1
            used = (whole - free[dimension]) * SHARE // whole
            if used > share:  # noqa: PLR1730  (max() doubles the time; asked for each replica)
                share = used
        node.share = share

    def occupy(self, service: Service, slot: Slot, node: Node) -> None:
        """place() without the host's dominant share: seats.use() finds that."""
        counts, at = self.counts[service.name], node.index
        counts[at] = counts.get(at, 0) + 1
        self.places[service.name][slot] = node
        node.count += 1
        if service.ports or service.ranges or service.classes or node.devices:
            take(self, service, slot, node)
        free = node.free
        for dimension, amount in service.demands:
            free[dimension] -= amount

    def seat(self, service: Service, slot: Slot, node: Node) -> None:
        """Count one replica as running on a host without using anything of it (hosts that are unknown)."""
        counts = self.counts[service.name]
        counts[node.index] = counts.get(node.index, 0) + 1
        self.places[service.name][slot] = node

    def remember(self, key: Key, node: Node) -> None:
        """Note what a replica holds on its host, so that it gets the same when it is taken away and placed again."""
        grant = self.grants.get(key)
        devices: dict[str, dict[str, int]] = {}
        for dimension, name, part in grant.devices if grant else ():
            devices.setdefault(self.request.dimensions[dimension], {})[name] = part
        ports = {text: port.port for text, port in grant.ports} if grant else {}
        self.held[(key, node.name)] = Held(*key, node.name, devices, ports)

    def remove(self, service: Service, slot: Slot) -> Node:
        """Take back what place() did. Returns the host."""
        counts = self.counts[service.name]
        node = self.places[service.name].pop(slot)
        counts[node.index] -= 1
        if not counts[node.index]:
            del counts[node.index]
        node.count -= 1
        give_back(self, service, slot, node)
        for dimension, amount in service.demands:
            node.free[dimension] += amount
        node.share = share_of(node)
        return node


def share_of(node: Node) -> int:
    """The dominant share of what is used on a host."""
    share = 0
    for whole, left in zip(node.capacity, node.free):
        if left != whole:
            share = max(share, (whole - left) * SHARE // (whole or 1))
    return share
