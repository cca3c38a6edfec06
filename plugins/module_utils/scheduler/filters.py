# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters that hold for a service and a host whatever else is placed. Sets of hosts are bit masks (bit = index).

The names, in the order in which all filters are asked and reported: FILTERS. Those after storage depend on what is
placed already: gates.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from . import conflict
from .constraints import ENGINE_LABEL, FACT, Constraint, judge, miss, tester, value
from .domains import flags, packed
from .model import CPUS, MEMORY, Node, Service, Taint, Toleration
from .state import State

UNKNOWN, AVAILABILITY, TAINTS, HOSTS, CONSTRAINTS = "unknown", "availability", "taints", "hosts", "constraints"
VOLUMES, STORAGE, AFFINITY, RULES, PORTS = "volumes", "storage", "affinity", "rules", "ports"
MAX_PER_NODE, RESOURCES, CONCURRENT = "max_replicas_per_node", "resources", "concurrent"
STATIC = (UNKNOWN, AVAILABILITY, TAINTS, HOSTS, CONSTRAINTS, VOLUMES)
FILTERS = (*STATIC, STORAGE, AFFINITY, RULES, PORTS, MAX_PER_NODE, RESOURCES, CONCURRENT)
FACTS = ("node.platform.os", "node.platform.arch", ENGINE_LABEL, FACT)  # what only the host itself can tell
SOFT, EXECUTE = "PreferNoSchedule", "NoExecute"
FAR = 1000  # how far off a host is that has nothing of what is needed


class Failure(NamedTuple):
    """Why a host does not take a service: the filter, in words, and how far off it is (0: not a matter of amount)."""

    filter: str
    words: str
    distance: int = 0
    needs: str = ""
    has: str = ""

    def on(self, node: Node) -> str:
        """The failure as a sentence about the host."""
        return f"{node.name}{': ' if self.filter == RESOURCES else ' '}{self.words}"


class Usable:
    """The hosts that may get replicas of the services of one kind; itself is a key for what follows from that."""

    __slots__ = ("constraints", "legal", "mask", "size")

    def __init__(self, mask: int, legal: int, constraints: tuple[Constraint, ...]) -> None:
        """mask: those hosts. legal: where they may stay. constraints: kept, the kind is known by their identity."""
        self.mask, self.legal, self.constraints, self.size = mask, legal, constraints, bin(mask).count("1")


class Filters:
    """The filters over one State; what cannot change during a run is kept."""

    def __init__(self, state: State) -> None:
        """Masks of hosts by what they are."""
        self.state = state
        self.all = (1 << len(state.nodes)) - 1
        self.domains = state.request.domains
        lost = {node.name for node in state.nodes if node.unknown} & state.request.options.assume_lost
        self.lost = self.mask(lambda node: node.name in lost) if lost else 0
        unknown = packed([node.unknown for node in state.nodes])
        self.unknown, self.known = unknown & ~self.lost, self.all & ~unknown
        self.active = self.known & packed([node.availability == "active" for node in state.nodes])
        self.stays = self.known & packed([node.availability != "drain" for node in state.nodes])
        taints = {one: 0 for node in state.nodes if node.taints for one in node.taints}
        self._taints = {one: self._having(one) for one in taints}
        self.soft = any(taint.effect == SOFT for taint in self._taints)
        self.driving = any(taint.effect == EXECUTE for taint in self._taints)
        self._constraints: dict[Constraint, int] = {}
        self._allowed: dict[tuple[tuple[Constraint, ...], tuple[str, ...]], int] = {}
        self._tolerated: dict[tuple[tuple[Toleration, ...], bool], int] = {}
        self._disliked: dict[tuple[Toleration, ...], dict[int, int]] = {}
        self._equipped: dict[int | str, int] = {}
        self._liked: dict[tuple[Toleration, ...], int] = {}
        self._usable: dict[tuple[int, tuple[str, ...], tuple[Toleration, ...]], Usable] = {}
        self._nodes: dict[int, list[Node]] = {}
        self._sizes: dict[int, int] = {}
        self._flags: dict[int, bytes] = {}

    def mask(self, holds: Callable[[Node], bool]) -> int:
        """The hosts that pass a test."""
        return packed([holds(node) is True for node in self.state.nodes])

    def _having(self, taint: Taint) -> int:
        return self.mask(lambda node: taint in node.taints)

    def constraint(self, constraint: Constraint) -> int:
        """The hosts that satisfy a constraint."""
        if constraint not in self._constraints:
            mask = 0
            for one in constraint.parts():
                texts, test = self.domains.texts(one.key), judge(one)
                holds = {text: test(text) for text in set(texts)}
                mask |= packed(map(holds.__getitem__, texts))
            self._constraints[constraint] = mask
        return self._constraints[constraint]

    def allowed(self, service: Service) -> int:
        """The hosts that the service's own rules allow: hosts and constraints."""
        if not service.constraints and not service.hosts:
            return self.all
        key = (service.constraints, service.hosts)
        if key not in self._allowed:
            mask = self.all
            if service.hosts:
                mask = sum(1 << self.state.by_name[name].index for name in service.hosts)
            for constraint in service.constraints:
                mask &= self.constraint(constraint)
            self._allowed[key] = mask
        return self._allowed[key]

    def tolerated(self, service: Service, staying: bool = False) -> int:
        """The hosts whose taints the service does not mind. staying: only those that drive out what runs."""
        if not self._taints:
            return self.all
        key = (service.tolerations, staying)
        if key not in self._tolerated:
            mask = self.all
            for taint, hosts in self._taints.items():
                strict = taint.effect == EXECUTE if staying else taint.effect != SOFT
                if strict and not conflict.tolerates(service.tolerations, taint):
                    mask &= ~hosts
            self._tolerated[key] = mask
        return self._tolerated[key]

    def home(self, service: Service) -> int:
        """The hosts that have every volume of the service that exists."""
        mask = self.all
        for volume in service.volumes:
            mask &= self.state.homes.get(volume, mask)
        return mask

    def open(self, service: Service) -> int:
        """The hosts that may get a new replica, as far as filters up to volumes say."""
        mask = self.usable(service).mask
        return mask & self.home(service) if service.volumes else mask

    def usable(self, service: Service) -> Usable:
        """open() but for volumes, which may be made during a run."""
        kind = (id(service.constraints), service.hosts, service.tolerations)
        found = self._usable.get(kind)
        if found is None:
            allowed = self.allowed(service)
            mask, legal = allowed & self.active & self.tolerated(service), allowed & self.stays
            if self.driving:
                legal &= self.tolerated(service, staying=True)
            found = self._usable[kind] = Usable(mask, legal, service.constraints)
        return found

    def legal(self, service: Service) -> int:
        """The hosts where a replica that runs may stay, as far as filters up to volumes say."""
        mask = self.usable(service).legal
        return mask & self.home(service) if service.volumes else mask

    def nodes(self, mask: int) -> list[Node]:
        """The nodes of a mask, by name."""
        if mask not in self._nodes:
            self._nodes[mask] = [node for node, there in zip(self.state.nodes, self.flags(mask)) if there]
        return self._nodes[mask]

    def size(self, mask: int) -> int:
        """How many hosts a mask has."""
        if mask not in self._sizes:
            self._sizes[mask] = bin(mask).count("1")
        return self._sizes[mask]

    def flags(self, mask: int) -> bytes:
        """A mask as one byte per host."""
        if mask not in self._flags:
            self._flags[mask] = flags(mask, len(self.state.nodes))
        return self._flags[mask]

    def dislike(self, service: Service) -> dict[int, int]:
        """Per host, how many of its taints ask the service to stay away if it can."""
        if not self.soft:
            return {}
        if service.tolerations not in self._disliked:
            found = self._disliked[service.tolerations] = {}
            for taint, hosts in self._taints.items():
                if taint.effect == SOFT and not conflict.tolerates(service.tolerations, taint):
                    for node in self.nodes(hosts):
                        found[node.index] = found.get(node.index, 0) + 1
        return self._disliked[service.tolerations]

    def liked(self, service: Service) -> int:
        """The hosts of which no taint asks the service to stay away if it can."""
        if service.tolerations not in self._liked:
            mask = self.all
            for taint, hosts in self._taints.items():
                if taint.effect == SOFT and not conflict.tolerates(service.tolerations, taint):
                    mask &= ~hosts
            self._liked[service.tolerations] = mask
        return self._liked[service.tolerations]

    def equipped(self, service: Service) -> int:
        """The hosts that have any of the generic resources, and the storage classes, which the service needs."""
        mask, dimensions = self.all, self.state.request.dimensions
        needs: list[int | str] = [at for at, _part in service.demands if dimensions[at] not in (CPUS, MEMORY)]
        needs += [name for name, _size, _volume in service.classes]
        for need in needs:
            if need not in self._equipped:
                test = partial(_stores, need) if isinstance(need, str) else partial(_offers, need)
                self._equipped[need] = self.mask(test)
            mask &= self._equipped[need]
        return mask

    def may_hold(self, service: Service) -> list[Node]:
        """The unknown hosts on which a replica of the service may run: what they cannot tell now does not exclude."""
        found = []
        for node in self.nodes(self.unknown):
            rules = [one for one in service.constraints if not _untold(one, node)]
            named = not service.hosts or node.name in service.hosts
            if named and all(tester(rule)(node) for rule in rules):
                found.append(node)
        return found

    def untold(self, key: str, hosts: Iterable[int]) -> list[Node]:
        """Those of some hosts that are unknown, and whose value of a key nobody but themselves could tell."""
        if not self.unknown or not key.startswith(FACTS):
            return []
        silent = (self.state.nodes[at] for at in hosts if self.unknown >> at & 1)
        return [node for node in silent if not value(key, node)]

    def failures(self, service: Service, node: Node, staying: bool = False) -> list[Failure]:
        """What these filters have against a host. staying: for a replica that runs there (a paused host keeps it)."""
        bit, found = 1 << node.index, []
        if self.unknown & bit:
            found.append(Failure(UNKNOWN, "did not answer"))
        elif self.lost & bit:
            found.append(Failure(AVAILABILITY, "is assumed lost"))
        elif not (self.stays if staying else self.active) & bit:
            found.append(Failure(AVAILABILITY, "is drained" if node.availability == "drain" else "is paused"))
        if not self.tolerated(service, staying) & bit:
            against = conflict.repelling(node.taints, service.tolerations)
            shown = [conflict.taint_text(one) for one in against if one.effect == EXECUTE or not staying]
            found.append(Failure(TAINTS, f"has the taint {some(shown)}, which it does not tolerate"))
        if service.hosts and node.name not in service.hosts:
            found.append(Failure(HOSTS, f"is not among its hosts ({some(service.hosts)})"))
        found += [
            Failure(CONSTRAINTS, miss(one, node), 0, str(one), _values(one, node))
            for one in service.constraints
            if not self.constraint(one) & bit
        ]
        for volume in service.volumes:
            if not self.state.homes.get(volume, bit) & bit:
                where = [one.name for one in self.nodes(self.state.homes[volume])]
                words = f"lacks volume {volume}, which is on {some(where) if where else 'a host that left the fleet'}"
                found.append(Failure(VOLUMES, words))
        return found

    def scarce(self) -> dict[Constraint | int, int]:
        """What at most half of the hosts have and some service needs, with those hosts: labels, generic resources."""
        needs: dict[Constraint | int, int] = {}
        for service in self.state.request.services:
            for constraint in service.constraints:
                needs[constraint] = self.constraint(constraint)
            for dimension, _amount in service.demands:
                if self.state.request.dimensions[dimension] not in (CPUS, MEMORY) and dimension not in needs:
                    needs[dimension] = self.mask(partial(_offers, dimension))
        return {need: mask for need, mask in needs.items() if 2 * self.size(mask) <= len(self.state.nodes)}


def distance(needed: int, free: int, whole: int) -> int:
    """How far off a host is, of FAR; one that could not have enough even if it were empty is farther off than any."""
    return (needed - free) * FAR // needed + (FAR if needed > whole else 0)


def _offers(dimension: int, node: Node) -> bool:
    return node.capacity[dimension] > 0


def _stores(name: str, node: Node) -> bool:
    return name in node.storage


def _untold(constraint: Constraint, node: Node) -> bool:
    return any(one.key.startswith(FACTS) and not value(one.key, node) for one in constraint.parts())


def _values(constraint: Constraint, node: Node) -> str:
    return ", ".join(dict.fromkeys(text for key in constraint.keys() for text in [value(key, node)] if text))  # noqa: SIM118


def some(names: tuple[str, ...] | list[str]) -> str:
    """At most three of the names, and how many more."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
