# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Gates: what lets one more replica of a service onto a host, given what is there now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING

from .affinity import Relations
from .counting import BALANCE, Counter
from .domains import flags
from .filters import FAR, MAX_PER_NODE, PORTS, RESOURCES, STORAGE, Failure, Filters, distance
from .grants import free_devices, free_ports, new_sizes
from .model import CPUS, MEMORY, SHARE, CountRule, Node, Service
from .ports import Port
from .state import State
from .words import amount, amount_pair

if TYPE_CHECKING:
    from .packing import Packing

Test = Callable[[Node], bool]


class Rules:
    """All that can keep a service off a host."""

    def __init__(self, state: State, filters: Filters) -> None:
        """Over one run."""
        self.state, self.filters, self.relations = state, filters, Relations(state, filters)
        self.packing: Packing | None = None  # of the hosts that binpack opened, if any service asked for it
        self.named = {dimension for node in state.nodes for dimension in node.devices}
        self.plain = {at for at, name in enumerate(state.request.dimensions) if name in (CPUS, MEMORY)}
        self.parts = bool(self.named) or any(
            part % SHARE and at not in self.plain for service in state.request.services for at, part in service.demands
        )

    def generic(self, service: Service) -> bool:
        """True if it demands more than cpus and memory."""
        return bool(service.demands) and service.demands[-1][0] not in self.plain  # cpus and memory are the first two

    def gates(self, service: Service, staying: bool = False) -> Gates:
        """The gates of a service as things are now; make new ones when others were placed.

        staying: for replicas that run: rules that only steer new ones do not bind them.
        """
        return Gates(self, service, staying)

    @cached_property
    def _fixed(self) -> dict[tuple[str, int], list[Service]]:
        """The services that bind a port of their hosts, by protocol and port."""
        found: dict[tuple[str, int], list[Service]] = {}
        for service in self.state.request.services:
            for port in service.ports:
                found.setdefault((port.protocol, port.port), []).append(service)
        return found

    def binds(self, port: Port, node: Node) -> str:
        """The service of which a replica holds a port on a host; "" if it is somebody else, or one of a range."""
        able = self._fixed.get((port.protocol, port.port), ())
        return next((one.name for one in able if self.state.counts[one.name].get(node.index, 0)), "")

    def failures(self, service: Service, node: Node) -> list[Failure]:
        """Everything that keeps a new replica off the host, in the order of FILTERS."""
        return [*self.filters.failures(service, node), *self.gates(service).failures(node)]


class Gates:
    """The gates of one service. Its own placements are told by placed(); others' make them stale."""

    def __init__(self, rules: Rules, service: Service, staying: bool) -> None:
        """Take the run's rules; staying: for replicas that run where they are asked for."""
        self.rules, self.service, self.staying = rules, service, staying
        filters = rules.filters
        self.reach = filters.all  # the hosts that affinities leave
        self.counters: list[Counter] = []
        self.balance: list[Counter] = []
        self.limits: list[Counter] = []
        found = service.rules
        if service.name in rules.relations.involved:
            found += tuple(self._relate(rules.relations))
        if found:
            usable, counts = filters.open(service), rules.state.counts[service.name]
            kept = [rule for rule in found if not (staying and rule.kind in BALANCE)]
            self.counters = [Counter(rule, filters, usable, counts) for rule in kept]
            self.balance = [counter for counter in self.counters if counter.rule.kind in BALANCE]
            self.limits = [counter for counter in self.counters if counter.rule.kind not in BALANCE]
        self.pieces = rules.parts and rules.generic(service)
        self.lean = not (service.ranges or service.classes or self.pieces)  # no grants but for ports
        self.simple = self.lean and not service.ports  # no grants
        limited = service.max_per_node or found or self.reach != filters.all
        self.plain = self.simple and not limited  # nothing but plain amounts matters

    def narrow(self, hosts: int) -> None:
        """Leave no more than some hosts."""
        self.reach &= hosts
        self.plain = False

    def _relate(self, relations: Relations) -> list[CountRule]:
        """Narrow the reach by affinities. Returns those that are rules about its own replicas."""
        self.reach &= ~relations.barred(self.service)
        found = relations.own(self.service)
        if not self.staying:
            self.reach &= relations.drawn(self.service)
            found += relations.gathers(self.service)
        return found

    @cached_property
    def solid(self) -> Test:
        """Whether a host has room for one more replica, but for the counters: they change with each replica."""
        return self._test()

    @cached_property
    def fits(self) -> Test:
        """Whether a host takes one more replica."""
        return _all([self.solid, *(counter.passes for counter in self.counters)])

    def _test(self) -> Test:
        """A test of hosts: is there room for one more replica, but for the counters?"""
        tests = [self._resources()]
        service = self.service
        if self.reach != self.rules.filters.all:
            allowed = flags(self.reach, len(self.rules.state.nodes))
            tests.append(lambda node: allowed[node.index] == 1)
        if service.max_per_node:
            limit, counts = service.max_per_node, self.rules.state.counts[service.name]
            tests.append(lambda node: counts.get(node.index, 0) < limit)
        if service.ports:
            tests.append(_all([partial(_unbound, port) for port in service.ports]))
        if service.ranges:
            tests.append(lambda node: free_ports(node, service) is not None)
        if service.classes:
            tests.append(lambda node: not any(self._storage(node)))
        if self.pieces:
            tests.append(lambda node: not any(self._devices(node)))
        return _all(tests)

    def _resources(self) -> Test:
        """The plain amounts; written out for up to two, because it is asked for each host."""
        demands = self.service.demands
        if len(demands) == 1:
            ((at, part),) = demands
            return lambda node: node.free[at] >= part
        if len(demands) == 2:
            (at, part), (other, piece) = demands

            def both(node: Node) -> bool:
                free = node.free
                return free[at] >= part and free[other] >= piece

            return both

        def free(node: Node) -> bool:
            left = node.free
            for dimension, needed in demands:  # noqa: SIM110  (half the time of all())
                if left[dimension] < needed:
                    return False
            return True

        return free

    def signature(self) -> tuple[object, ...]:
        """What decides alone on which hosts it fits, equal for services that are alike; () if more than that does."""
        service = self.service
        if self.counters or self.reach != self.rules.filters.all or service.max_per_node or service.everywhere:
            return ()
        if service.volumes or service.classes:
            return ()
        return (service.demands, service.ports, service.ranges, self.rules.filters.open(service))

    def placed(self, node: Node, more: int = 1) -> None:
        """A replica of the service was placed there (or taken away: more=-1)."""
        for counter in self.counters:
            counter.placed(node, more)

    def failures(self, node: Node) -> list[Failure]:
        """Everything that these gates have against one more replica on the host, in the order of FILTERS."""
        found = list(self._storage(node))
        if not self.reach >> node.index & 1:
            found += self.rules.relations.failures(self.service, node)
        found += [failure for counter in self.counters for failure in [counter.failure(node)] if failure]
        found += self._ports(node)
        here, limit = self.rules.state.counts[self.service.name].get(node.index, 0), self.service.max_per_node
        if limit and here >= limit:
            words = f"has {here} of its replicas, at most {limit} per host"
            found.append(Failure(MAX_PER_NODE, words, 0, f"fewer than {limit}", str(here)))
        found += self._amounts(node)
        found += self._devices(node)
        return found

    def _ports(self, node: Node) -> Iterator[Failure]:
        for port in self.service.ports:
            if node.ports.takes(port):
                by = self.rules.binds(port, node)
                yield Failure(PORTS, f"has {port} bound {f'by {by}' if by else 'already'}", 0, str(port), "bound")
        if self.service.ranges and free_ports(node, self.service) is None:
            text = " and ".join(str(one) for one in self.service.ranges)
            yield Failure(PORTS, f"has no port of {text} free", 0, text, "none free")

    def _amounts(self, node: Node) -> Iterator[Failure]:
        for dimension, part in self.service.demands:
            free = max(0, node.free[dimension])
            if part > free:
                name = self.rules.state.request.dimensions[dimension]
                needs, left = amount_pair(name, part, free)
                label = "" if name == MEMORY else " cpus" if name == CPUS else f" {name}"
                words = f"needs {needs}{label}, {left} free"
                yield Failure(RESOURCES, words, distance(part, free, node.capacity[dimension]), needs, left)

    def _storage(self, node: Node) -> Iterator[Failure]:
        needed: dict[str, int] = {}
        for name, _size, _volume in self.service.classes:
            if name not in node.storage:
                yield Failure(STORAGE, f"has no storage class {name}", 2 * FAR, name, "none")
        for name, size, _volume in new_sizes(self.rules.state, self.service, node):
            needed[name] = needed.get(name, 0) + size
        for name, size in needed.items():
            free = max(0, node.storage.get(name, 0))
            if name in node.storage and size > free:
                needs, left = amount_pair(MEMORY, size, free)
                words = f"needs {needs} of storage class {name}, {left} free"
                yield Failure(STORAGE, words, (size - free) * 1000 // size, needs, left)

    def _devices(self, node: Node) -> Iterator[Failure]:
        for dimension, part in self.service.demands:
            name = self.rules.state.request.dimensions[dimension]
            if name in (CPUS, MEMORY) or part > node.free[dimension]:
                continue
            devices = node.devices.get(dimension)
            if devices is None:
                if part % SHARE:
                    words = f"only counts its {name}, a part of one needs named devices"
                    yield Failure(RESOURCES, words, 0, amount(name, part), "whole ones")
            elif free_devices(devices, part) is None:
                best = amount(name, max(devices.values(), default=0))
                whole = sum(1 for free in devices.values() if free == SHARE)
                has = f"{best} of one" if part % SHARE else f"{whole} whole"
                words = f"needs {amount(name, part)} {name} of one device, the freest has {best} free"
                if not part % SHARE:
                    words = f"needs {amount(name, part)} whole {name}, {whole} free"
                yield Failure(RESOURCES, words, 1, amount(name, part), has)


def _unbound(port: Port, node: Node) -> bool:
    return not node.takes(port)


def _all(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        one, two = tests
        return lambda node: one(node) and two(node)

    def passes(node: Node) -> bool:
        for test in tests:  # noqa: SIM110  (half the time of all())
            if not test(node):
                return False
        return True

    return passes
