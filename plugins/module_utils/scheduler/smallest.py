# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The smallest change that would admit a replica without a home: what must be different of one host, or its service.

A change is {what, service or node, ...numbers}; all changes of an answer together, as things are after the plan and
with nobody else in line before it, give the replica a home.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .conflict import repelling, taint_text
from .constraints import miss
from .filters import AVAILABILITY, CONSTRAINTS, FILTERS, HOSTS, UNKNOWN, VOLUMES, Failure
from .gates import Gates, Rules
from .grammar import rule_text
from .grants import free_ports, new_sizes
from .model import CPUS, MEMORY, NANO, SHARE, Node, Service
from .ports import Port
from .words import amount, at_least

Change = dict[str, Any]
INTENT = {CONSTRAINTS: 1, HOSTS: 2, VOLUMES: 4}  # what somebody meant is harder to change than what is in the way
IMPOSSIBLE = 3  # the host as a whole is too small
Misses = list[tuple[Node, list[Failure]]]


class Smallest:
    """Finds it for one service."""

    def __init__(self, rules: Rules, service: Service, gates: Gates) -> None:
        """gates: of the service, after the plan."""
        self.rules, self.state, self.filters = rules, rules.state, rules.filters
        self.service, self.gates = service, gates

    def find(self, misses: Misses) -> tuple[list[Change], str]:
        """The changes, and all of them in words, on the host that asks for the least; ([], ...) if no host will do."""
        for node, failures in sorted(misses, key=self._price):
            if failures[0].filter == UNKNOWN or self.filters.lost >> node.index & 1:
                continue
            made = list(self._changes(node, failures))
            if all(change is not None for change in made):
                return [change for change in made if change], "; and ".join(self._words(c) for c in made if c)
        silent = [node.name for node, failures in misses if failures[0].filter == UNKNOWN]
        if silent:
            return [], f"{silent[0]} must answer"
        needs = [f"{amount(self._name(at), part)} {self._unit(at)}" for at, part in self.service.demands]
        free = f" with {' and '.join(needs)} free" if needs else ""
        return [], f"add an active host that its rules allow{free}"

    def _price(self, found: tuple[Node, list[Failure]]) -> tuple[int, int, int, int, int]:
        """What asks for another machine or another intent comes last; then how much is wrong, how deep, how far off."""
        node, failures = found
        hard = sum(IMPOSSIBLE for at, part in self.service.demands if node.capacity[at] < part)
        hard += sum(INTENT.get(one.filter, 0) for one in failures)
        depth = len(FILTERS) - min(FILTERS.index(one.filter) for one in failures)
        return (hard, len(failures), depth, max(one.distance for one in failures), node.index)

    def _changes(self, node: Node, failures: list[Failure]) -> Iterator[Change | None]:
        """Every change that the host asks for; None for what cannot be changed."""
        service, name = self.service, self.service.name
        kinds = {one.filter for one in failures}
        if AVAILABILITY in kinds:
            yield {"what": AVAILABILITY, "node": node.name, "from": node.availability, "to": "active"}
        for taint in repelling(node.taints, service.tolerations):
            yield {"what": "toleration", "service": name, "node": node.name, "taint": taint_text(taint)}
        if service.hosts and node.name not in service.hosts:
            yield {"what": "hosts", "service": name, "add": node.name}
        for one in service.constraints:
            if not self.filters.constraint(one) >> node.index & 1:
                lacks = miss(one, node)
                yield {"what": "constraint", "service": name, "drop": str(one), "node": node.name, "lacks": lacks}
        for volume in service.volumes:
            home = self.state.homes.get(volume, -1)
            if not home >> node.index & 1:
                where = [one.name for one in self.filters.nodes(home)]
                yield {"what": "volume", "volume": volume, "node": node.name, "from": where}
        yield from self._storage(node)
        yield from self._between(node)
        yield from self._ports(node)
        here = self.state.counts[name].get(node.index, 0)
        if service.max_per_node and here >= service.max_per_node:
            yield {"what": "max_replicas_per_node", "service": name, "to": here + 1}
        yield from self._amounts(node)

    def _storage(self, node: Node) -> Iterator[Change]:
        needed: dict[str, int] = {name: 0 for name, _size, _volume in self.service.classes}
        for name, size, _volume in new_sizes(self.state, self.service, node):
            needed[name] += size
        for name, size in needed.items():
            if name not in node.storage or size > node.storage[name]:
                yield {"what": "storage", "node": node.name, "class": name, "more": size - node.storage.get(name, 0)}

    def _between(self, node: Node) -> Iterator[Change]:
        """Rules between replicas: its own count rules, its affinities, and those that others have against it."""
        name, relations = self.service.name, self.rules.relations
        counters = [counter for counter in self.gates.counters if not counter.passes(node)]
        found = [counter.rule for counter in counters]
        for counter in counters:
            if counter.rule in self.service.rules:
                silent = [one.name for one in counter.untold]
                yield {"what": "rule", "service": name, "drop": rule_text(counter.rule), "silent": silent}
        tied = list(relations.against(self.service, node))
        domains = {rule.key for rule in found if rule not in self.service.rules}
        own = [one for one in self.service.affinities if one.required and name in relations.targets(one)]
        tied += [(name, one) for one in own if one.domain in domains and (name, one) not in tied]
        for owner, one in tied:
            towards = {"towards": one.service} if one.service else {"group": one.group}
            yield {"what": "affinity", "service": owner, **towards, "domain": one.domain, "anti": one.anti}

    def _ports(self, node: Node) -> Iterator[Change]:
        bound: list[Any] = [port for port in self.service.ports if node.ports.takes(port)]
        if self.service.ranges and free_ports(node, self.service) is None:
            bound += self.service.ranges
        for port in bound:
            kind = "port" if isinstance(port, Port) else "ports"
            yield {"what": kind, "service": self.service.name, "node": node.name, kind: str(port)}

    def _amounts(self, node: Node) -> Iterator[Change | None]:
        """What it lacks of each resource: so much more there, or so little reserved, is enough."""
        for at, part in self.service.demands:
            more, left = part - node.free[at], max(0, node.free[at])
            devices = node.devices.get(at)
            if devices is not None:
                whole = SHARE * sum(1 for free in devices.values() if free == SHARE)
                left = max(devices.values(), default=0) if part % SHARE else whole
                more = SHARE if part % SHARE else part - left
            elif part % SHARE and at not in self.rules.plain:
                yield None  # a part of what is only counted: that host never gives one
                continue
            if part > left:
                named = {"node": node.name, "service": self.service.name, "resource": self._name(at)}
                lacks = {"more": self._number(at, more), "to": self._number(at, left)}
                yield {"what": "resources", **named, **lacks, "in_all": self._number(at, node.capacity[at])}

    def _name(self, at: int) -> str:
        return self.state.request.dimensions[at]

    def _unit(self, at: int) -> str:
        name = self._name(at)
        return "of memory" if name == MEMORY else name

    def _number(self, at: int, part: int) -> float:
        """As the caller writes it: bytes, cores, pieces."""
        one = {CPUS: NANO, MEMORY: 1}.get(self._name(at), SHARE)
        return part // one if part % one == 0 else part / one

    def _words(self, change: Change) -> str:
        what, node, name = change["what"], change.get("node"), change.get("service")
        if what == "resources":
            return self._room(change)
        if what == "affinity":
            other = change.get("towards") or f"group {change.get('group')}"
            be = "apart from" if change["anti"] else "near"
            return f"let {name} do without being {be} {other} within {change['domain']}"
        if what == "volume":
            return _volume(change)
        if what == "rule":
            wait = f"wait until {' and '.join(change['silent'])} answers, or " if change["silent"] else ""
            return f"{wait}let {name} do without {change['drop']}"
        if what == "storage":
            more = f"{at_least(MEMORY, change['more'])} more of " if change["more"] else ""
            return f"give {node} {more}storage class {change['class']}"
        return {
            AVAILABILITY: "make {node} active (it is {state})",
            "toleration": "let {service} tolerate {taint} of {node}",
            "hosts": "name {add} among the hosts of {service}",
            "constraint": "let {service} do without {drop}, or make it true of {node}, which {lacks}",
            "port": "free {port} on {node}, or let {service} publish another port",
            "ports": "free a port of {ports} on {node}, or widen the range",
            "max_replicas_per_node": "let {service} have {to} replicas per host",
        }[what].format(**change, state={"drain": "drained", "pause": "paused"}.get(change.get("from", ""), ""))

    def _room(self, change: Change) -> str:
        at = self.state.request.dimensions.index(change["resource"])
        one = {CPUS: NANO, MEMORY: 1}.get(change["resource"], SHARE)
        needed, unit = next(part for dimension, part in self.service.demands if dimension == at), self._unit(at)
        more = f"{at_least(change['resource'], round(change['more'] * one))} {unit}"
        all_ = round(change["in_all"] * one)
        first = f"free {more} on {change['node']}"
        if all_ < needed:
            first = f"give {change['node']} {more} more (it has {amount(change['resource'], all_)} for replicas)"
        rest = amount(change["resource"], round(change["to"] * one))
        return f"{first}, or let {change['service']} reserve {rest if change['to'] else 'none'}"


def _volume(change: Change) -> str:
    volume, node = change["volume"], change["node"]
    if change["from"]:
        return f"move volume {volume} from {change['from'][0]} to {node} (move_volume)"
    return f"bring the host of volume {volume} back, or restore it on {node}"
