# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: what keeps a service off a host. Sets of hosts are bit masks (bit = the node's index).

The names, in the order in which they are asked and reported: FILTERS. Those up to volumes hold for a service and a
host whatever else is placed; ports, max_replicas_per_node and resources depend on what is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .constraints import ENGINE_LABEL, Constraint, matches, value
from .model import CPUS, MEMORY, Node, Service, State
from .words import amount_pair

UNKNOWN, AVAILABILITY, HOSTS, CONSTRAINTS = "unknown", "availability", "hosts", "constraints"
VOLUMES, PORTS, MAX_PER_NODE, RESOURCES = "volumes", "ports", "max_replicas_per_node", "resources"
FILTERS = (UNKNOWN, AVAILABILITY, HOSTS, CONSTRAINTS, VOLUMES, PORTS, MAX_PER_NODE, RESOURCES)
FACTS = ("node.platform.os", "node.platform.arch", ENGINE_LABEL)  # what only the host itself can tell


class Failure(NamedTuple):
    """Why a host does not take a service: the filter, in words, and how far off it is (0: not a matter of amount)."""

    filter: str
    words: str
    distance: int = 0

    def on(self, node: Node) -> str:
        """The failure as a sentence about the host."""
        return f"{node.name}{': ' if self.filter == RESOURCES else ' '}{self.words}"


def bits(mask: int) -> Iterator[int]:
    """The positions of a mask's set bits, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


class Filters:
    """The filters over one State; what cannot change during a run is kept."""

    def __init__(self, state: State) -> None:
        """Masks of hosts by what they are."""
        self.state = state
        lost = {node.name for node in state.nodes if node.unknown} & state.request.options.assume_lost
        self.lost = self._mask(lambda node: node.name in lost)
        self.unknown = self._mask(lambda node: node.unknown) & ~self.lost
        self.known = self._mask(lambda node: not node.unknown)
        self.active = self.known & self._mask(lambda node: node.availability == "active")
        self.stays = self.known & self._mask(lambda node: node.availability != "drain")
        self._constraints: dict[Constraint, int] = {}
        self._allowed: dict[tuple[tuple[Constraint, ...], tuple[str, ...]], int] = {}
        self._positions: dict[int, list[Node]] = {}

    def _mask(self, holds: Callable[[Node], bool]) -> int:
        mask = 0
        for node in self.state.nodes:
            if holds(node):
                mask |= 1 << node.index
        return mask

    def constraint(self, constraint: Constraint) -> int:
        """The hosts that satisfy a constraint."""
        if constraint not in self._constraints:
            self._constraints[constraint] = self._mask(lambda node: matches(constraint, node))
        return self._constraints[constraint]

    def allowed(self, service: Service) -> int:
        """The hosts that the service's own rules allow: hosts and constraints."""
        key = (service.constraints, service.hosts)
        if key not in self._allowed:
            mask = (1 << len(self.state.nodes)) - 1
            if service.hosts:
                mask = self._mask(lambda node: node.name in service.hosts)
            for constraint in service.constraints:
                mask &= self.constraint(constraint)
            self._allowed[key] = mask
        return self._allowed[key]

    def home(self, service: Service) -> int:
        """The hosts that have every volume of the service that exists."""
        mask = (1 << len(self.state.nodes)) - 1
        for volume in service.volumes:
            mask &= self.state.homes.get(volume, mask)
        return mask

    def open(self, service: Service) -> int:
        """The hosts that may get a new replica, as far as filters up to volumes say."""
        return self.allowed(service) & self.active & self.home(service)

    def legal(self, service: Service) -> int:
        """The hosts where a replica that runs may stay, as far as filters up to volumes say."""
        return self.allowed(service) & self.stays & self.home(service)

    def nodes(self, mask: int) -> list[Node]:
        """The nodes of a mask, by name."""
        if mask not in self._positions:
            self._positions[mask] = [self.state.nodes[at] for at in bits(mask)]
        return self._positions[mask]

    def fits(self, service: Service) -> Callable[[Node], bool]:
        """A test of hosts: do ports, max_replicas_per_node and resources leave room for one more replica?"""
        demands, limit, ports = service.demands, service.max_per_node, service.ports
        counts = self.state.counts[service.name]

        def free(node: Node) -> bool:
            for dimension, amount in demands:  # noqa: SIM110  (asked for each host: half the time of all())
                if node.free[dimension] < amount:
                    return False
            return True

        def all_free(node: Node) -> bool:
            if limit and counts.get(node.index, 0) >= limit:
                return False
            return free(node) and not any(node.ports.takes(port) for port in ports)

        return all_free if limit or ports else free

    def may_hold(self, service: Service) -> list[Node]:
        """The unknown hosts on which a replica of the service may run: what they cannot tell now does not exclude."""
        found = []
        for node in self.nodes(self.unknown):
            rules = [one for one in service.constraints if not (one.key.startswith(FACTS) and not value(one.key, node))]
            named = not service.hosts or node.name in service.hosts
            if named and all(matches(rule, node) for rule in rules):
                found.append(node)
        return found

    def failures(self, service: Service, node: Node, staying: bool = False) -> list[Failure]:
        """Everything that keeps the service off the host, in the order of FILTERS."""
        return [*self.rules(service, node, staying), *self.room(service, node)]

    def rules(self, service: Service, node: Node, staying: bool = False) -> list[Failure]:
        """The failures up to volumes. staying: for a replica that runs there (a paused host keeps it)."""
        bit, found = 1 << node.index, []
        if self.unknown & bit:
            found.append(Failure(UNKNOWN, "did not answer"))
        elif self.lost & bit:
            found.append(Failure(AVAILABILITY, "is assumed lost"))
        elif not (self.stays if staying else self.active) & bit:
            found.append(Failure(AVAILABILITY, "is drained" if node.availability == "drain" else "is paused"))
        if service.hosts and node.name not in service.hosts:
            found.append(Failure(HOSTS, f"is not among its hosts ({_some(service.hosts)})"))
        found += [_constraint_failure(one, node) for one in service.constraints if not self.constraint(one) & bit]
        for volume in service.volumes:
            if not self.state.homes.get(volume, bit) & bit:
                where = [one.name for one in self.nodes(self.state.homes[volume])]
                words = f"lacks volume {volume}, which is on {_some(where) if where else 'a host that left the fleet'}"
                found.append(Failure(VOLUMES, words))
        return found

    def room(self, service: Service, node: Node) -> list[Failure]:
        """The failures of ports, max_replicas_per_node and resources for one more replica."""
        found = [Failure(PORTS, f"has {port} bound already") for port in service.ports if node.ports.takes(port)]
        here = self.state.counts[service.name].get(node.index, 0)
        if service.max_per_node and here >= service.max_per_node:
            found.append(Failure(MAX_PER_NODE, f"has {here} of its replicas, at most {service.max_per_node} per host"))
        for dimension, amount in service.demands:
            free = max(0, node.free[dimension])
            if amount > free:
                name = self.state.request.dimensions[dimension]
                needs, left = amount_pair(name, amount, free)
                label = "" if name == MEMORY else " cpus" if name == CPUS else f" {name}"
                words = f"needs {needs}{label}, {left} free"
                found.append(Failure(RESOURCES, words, (amount - free) * 1000 // amount))
        return found

    def waste(self, service: Service) -> dict[int, int]:
        """Per host, how many scarce things it has that this service does not need but another one does.

        Scarce: a label expression, or a generic resource, that at most half of the hosts have.
        """
        found: dict[int, int] = {}
        demanded = {dimension for dimension, _amount in service.demands}
        for need, mask in self._scarce().items():
            if need not in service.constraints and need not in demanded:
                for at in bits(mask):
                    found[at] = found.get(at, 0) + 1
        return found

    def _scarce(self) -> dict[Constraint | int, int]:
        services = self.state.request.services
        needs: dict[Constraint | int, int] = {}
        for service in services:
            for constraint in service.constraints:
                needs[constraint] = self.constraint(constraint)
            for dimension, _amount in service.demands:
                if self.state.request.dimensions[dimension] not in (CPUS, MEMORY) and dimension not in needs:
                    needs[dimension] = sum(1 << node.index for node in self.state.nodes if node.capacity[dimension])
        half = len(self.state.nodes)
        return {need: mask for need, mask in needs.items() if 2 * bin(mask).count("1") <= half}


def _constraint_failure(constraint: Constraint, node: Node) -> Failure:
    has = value(constraint.key, node)
    shown = f" (it has {has})" if has and constraint.equal else ""
    return Failure(CONSTRAINTS, f"{'lacks' if constraint.equal else 'violates'} {constraint}{shown}")


def _some(names: tuple[str, ...] | list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
