# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The values the rooms' functions work on: nodes, services, what holds a place, and the state of one run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from .constraints import Constraint
from .ports import HostPorts, Port, clash

if TYPE_CHECKING:
    from .domains import Domains

CPUS, MEMORY = "cpus", "memory"
NANO = 10**9
UNLIMITED = 1 << 80  # a capacity that nobody stated
MOST_LISTED = 8  # ports that are compared one by one
SHARE = 10**6  # a share of 1, as an integer; a piece of a generic resource, so that devices can be shared

Slot = Union[int, str]  # 1..replicas, or the node's name for a global service
Key = tuple[str, Slot]  # service, slot
NOTHING: Mapping[str, Any] = MappingProxyType({})


@lru_cache(maxsize=32768)
def seed(text: str) -> int:
    """64 bits that depend on the text only."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class Taint(NamedTuple):
    """What keeps services off a host that do not tolerate it, as in Kubernetes."""

    key: str
    value: str
    effect: str  # NoSchedule, PreferNoSchedule, NoExecute


class Toleration(NamedTuple):
    """A taint that a service does not mind. key "*": all; value or effect None: any."""

    key: str
    value: str | None
    effect: str | None


class CountRule(NamedTuple):
    """A limit on how the replicas of one service are divided over the values of a key.

    kind max_per: at most number on one value. group_by: even over the values, at least number of them. cluster: all on
    one value (that value, if given). skew: the fullest and the emptiest value differ by number at most.
    """

    kind: str
    key: str
    number: int
    value: str


class Affinity(NamedTuple):
    """Towards, or (anti) away from, the replicas of a service or group within the same value of a domain key."""

    service: str
    group: str
    domain: str
    required: bool
    weight: int
    anti: bool


class PortRange(NamedTuple):
    """Any one free port of first..last. address "" binds every address."""

    address: str
    first: int
    last: int
    protocol: str

    def __str__(self) -> str:
        """Docker's way to write it: `8000-8010/tcp`, `127.0.0.1:8000-8010/tcp`."""
        host = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{host}{self.first}-{self.last}/{self.protocol}"


class Node:
    """One host: what it is, what it has, what is free of it. Amounts are integers, by dimension."""

    labels: Mapping[str, str] = NOTHING
    engine_labels: Mapping[str, str] = NOTHING
    role, availability, os, arch, ip = "worker", "active", "", "", ""
    unknown = False
    volumes: frozenset[str] = frozenset()
    taints: tuple[Taint, ...] = ()
    devices: Mapping[int, dict[str, int]] = MappingProxyType({})  # of named ones: dimension -> device -> free of SHARE
    facts: Mapping[str, Any] = NOTHING
    capacity: list[int]  # by dimension, less the reserve
    free: list[int]
    storage: Mapping[str, int] = NOTHING  # class -> bytes; where there is any, a dict of the host's own
    listed: tuple[Port, ...] = ()  # what is bound, until `ports` is asked for
    index = 0  # position by name
    share = 0  # dominant share: the largest used part of any dimension, of SHARE
    count = 0  # replicas here
    _hash = -1

    def __init__(self, name: str) -> None:
        """An active host of that name, with nothing known of it: most of that is said above, once for all hosts."""
        self.name = self.id = self.hostname = name

    @cached_property
    def ports(self) -> HostPorts:
        """What is bound. Few hosts are ever asked."""
        return HostPorts(self.listed)

    def bind(self, ports: tuple[Port, ...]) -> None:
        """Bind ports that are free."""
        if "ports" in self.__dict__:
            for port in ports:
                self.ports.add(port)
        else:
            self.listed += ports

    def takes(self, port: Port) -> bool:
        """True if the port, or the same port on every address, is bound already."""
        if "ports" in self.__dict__ or len(self.listed) > MOST_LISTED:
            return self.ports.takes(port)
        return any(port.port == one.port and clash(port, one) for one in self.listed)

    @property
    def hash(self) -> int:
        """64 bits that depend on the name only."""
        if self._hash < 0:
            self._hash = seed(self.name)
        return self._hash


class Service(NamedTuple):
    """One service as the scheduler sees it."""

    name: str
    everywhere: bool  # mode global or global-job
    job: bool
    replicas: int
    demands: tuple[tuple[int, int], ...]  # (dimension, amount), amounts > 0
    ports: tuple[Port, ...]
    constraints: tuple[Constraint, ...]
    preferences: tuple[str, ...]
    max_per_node: int  # 0: no limit
    volumes: tuple[str, ...]  # those that tie it to a host
    strategy: str
    hosts: tuple[str, ...]  # (): any
    rules: tuple[CountRule, ...] = ()
    affinities: tuple[Affinity, ...] = ()
    groups: tuple[str, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    priority: int = 0
    preempt: bool = False
    classes: tuple[tuple[str, int, str], ...] = ()  # (class, size in bytes, volume) of volumes with a class
    concurrent: int = 0  # of a replicated-job: how many run at once; 0 is all
    stateful: bool = False
    ranges: tuple[PortRange, ...] = ()

    @property
    def hash(self) -> int:
        """64 bits that depend on the name only."""
        return seed(self.name)


class Held(NamedTuple):
    """An entry of `current`: a replica that has, or had, a place."""

    service: str
    slot: Slot
    node: str
    devices: Mapping[str, Mapping[str, int]] = NOTHING  # resource -> device -> held part of SHARE
    ports: Mapping[str, int] = NOTHING  # range as it is written (8000-8010/tcp) -> port


class Group(NamedTuple):
    """The entries of `current` of one service, by slot and then host."""

    slots: list[Slot]
    hosts: list[str]  # by slot
    distinct: bool  # each slot is there once


class Current:
    """All entries of `current`, by service. Iterating gives each as Held."""

    def __init__(self, groups: Mapping[str, Group], held: Mapping[tuple[Key, str], Held]) -> None:
        """groups: by service, in order. held: {(replica, host): entry} of those that hold devices or ports."""
        self.groups, self.held = groups, held

    def __bool__(self) -> bool:
        """True if there is any."""
        return bool(self.groups)

    def __iter__(self) -> Iterator[Held]:
        """Every entry, in order."""
        return (held for name in self.groups for held in self.of(name))

    def of(self, name: str) -> list[Held]:
        """The entries of one service."""
        group, held = self.groups.get(name), self.held
        if group is None:
            return []
        return [held.get(((name, slot), host)) or Held(name, slot, host) for slot, host in zip(*group[:2])]


class Options(NamedTuple):
    """What the caller decided: see scheduling.schedule."""

    assume_lost: frozenset[str]
    allow_moves: bool
    unknown_missing: str
    rebalance_moves: int = 0
    rebalance_stateful: bool = False
    repair_moves: int = 4
    explain: tuple[str, ...] = ()


class Request(NamedTuple):
    """The whole input, checked."""

    dimensions: tuple[str, ...]
    nodes: tuple[Node, ...]  # by name
    services: tuple[Service, ...]  # by name
    current: Current
    options: Options
    warnings: tuple[str, ...]
    domains: Domains


class Eviction(NamedTuple):
    """A replica that cannot stay where it is: from where, the cause (a filter's name, or gone), in words."""

    node: str
    cause: str
    why: str
