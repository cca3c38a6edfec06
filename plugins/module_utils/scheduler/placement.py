# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Placing what is missing: scarce services first, a whole service at a time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Union

from .constraints import value
from .filters import Filters
from .model import SHARE, Key, Node, Service, Slot, State
from .strategies import STRATEGIES, Rank, Ranker
from .volumes import groups, new_volumes

Branch = Union["Fork", "Leaf"]


class Leaf:
    """The hosts of one branch, best first; only the one that was taken last can have changed its rank."""

    __slots__ = ("count", "fits", "heap", "nodes", "rank", "taken")

    def __init__(self, nodes: tuple[Node, ...], rank: Ranker, fits: Callable[[Node], bool]) -> None:
        """No hosts yet. nodes: all of the fleet, by position."""
        self.nodes, self.rank, self.fits = nodes, rank, fits
        self.heap: list[Rank] = []
        self.count = 0  # replicas of the service in this branch

    def close(self) -> None:
        """All hosts are added."""
        heapify(self.heap)

    def best(self) -> Rank:
        """The best host's rank; empty if none has room."""
        return self.heap[0] if self.heap else ()

    def take(self) -> Node:
        """The best host; settle() must follow when the replica is placed."""
        self.taken = self.nodes[heappop(self.heap)[-1]]
        return self.taken

    def settle(self) -> None:
        """Put the taken host back by its new rank, if it has room for more."""
        self.count += 1
        if self.fits(self.taken):
            heappush(self.heap, self.rank(self.taken))


class Fork:
    """One level of preferences: the branch with the fewest replicas of the service is next."""

    __slots__ = ("branches", "count", "heap", "taken")

    def __init__(self) -> None:
        """No branches yet."""
        self.branches: dict[str, Branch] = {}
        self.heap: list[tuple[int, Rank, str]] = []
        self.count = 0
        self.taken = ""

    def close(self) -> None:
        """All branches are added."""
        for name, branch in self.branches.items():
            branch.close()
            self._offer(name, branch)

    def best(self) -> Rank:
        """The rank of the host that take() would give; empty if none has room."""
        return self.heap[0][1] if self.heap else ()

    def take(self) -> Node:
        """The best host of the emptiest branch; settle() must follow."""
        self.taken = heappop(self.heap)[2]
        return self.branches[self.taken].take()

    def settle(self) -> None:
        """Offer the branch again that was taken."""
        branch = self.branches[self.taken]
        branch.settle()
        self.count += 1
        self._offer(self.taken, branch)

    def _offer(self, name: str, branch: Branch) -> None:
        best = branch.best()
        if best:
            heappush(self.heap, (branch.count, best, name))


def candidates(state: State, filters: Filters, service: Service, mask: int) -> tuple[Branch, int]:
    """The hosts of the mask that have room, as a tree over the service's preferences; and how many they are."""
    rank, fits = STRATEGIES[service.strategy](state, filters, service), filters.fits(service)

    def leaf() -> Leaf:
        return Leaf(state.nodes, rank, fits)

    root: Branch = Fork() if service.preferences else leaf()
    for at, count in state.counts[service.name].items():
        for branch in _path(root, state.nodes[at], service.preferences, leaf):
            branch.count += count
    hosts = [node for node in filters.nodes(mask) if fits(node)]
    if isinstance(root, Leaf):
        root.heap = [rank(node) for node in hosts]
    else:
        for node in hosts:
            _path(root, node, service.preferences, leaf)[-1].heap.append(rank(node))  # type: ignore[arg-type]
    root.close()
    return root, len(hosts)


def _path(root: Branch, node: Node, preferences: tuple[str, ...], leaf: Callable[[], Leaf]) -> list[Branch]:
    """The branches from the root to the host's leaf, made where they are missing."""
    path = [root]
    for depth, key in enumerate(preferences, 1):
        branches, name = path[-1].branches, value(key, node)  # type: ignore[union-attr]
        if name not in branches:
            branches[name] = leaf() if depth == len(preferences) else Fork()
        path.append(branches[name])
    return path


def missing(state: State, filters: Filters) -> dict[str, list[Slot]]:
    """{service: its slots without a place}, ascending. Of a global service: the matching active hosts."""
    found: dict[str, list[Slot]] = {}
    for service in state.request.services:
        slots: list[Slot] = list(range(1, service.replicas + 1))
        if service.everywhere:
            slots = [node.name for node in filters.nodes(filters.open(service))]
        found[service.name] = [slot for slot in slots if (service.name, slot) not in state.where]
    return found


def in_order(state: State, filters: Filters, wanted: dict[str, list[Slot]]) -> list[Service]:
    """The services that miss replicas: global ones, those with new volumes, then the scarcer the earlier.

    Scarce is, in this order: few hosts match, host ports, few replicas per host, a large share of the fleet.
    """
    totals = [sum(node.capacity[at] for node in state.nodes) for at in range(len(state.request.dimensions))]
    hosts = len(state.nodes)

    def order(service: Service) -> tuple[int, int, bool, int, int, str]:
        open_hosts = bin(filters.open(service)).count("1")
        size = max((amount * SHARE * hosts // (totals[at] or 1) for at, amount in service.demands), default=0)
        kind = 0 if service.everywhere else 1 if new_volumes(state, service) else 2
        scarcity = 4 * hosts // open_hosts if open_hosts else 0
        limit = service.max_per_node or 10**9
        return (kind, -scarcity, not service.ports, limit, -size, service.name)

    return sorted((one for one in state.request.services if wanted[one.name]), key=order)


def place_missing(state: State, filters: Filters, wanted: dict[str, list[Slot]]) -> dict[Key, int]:
    """Place what can be placed. Returns what cannot: {(service, slot): how many hosts had room for the service}."""
    failed: dict[Key, int] = {}
    together = groups(state)
    for service in in_order(state, filters, wanted):
        slots = wanted[service.name]
        if service.everywhere:
            for slot in slots:
                node = state.by_name[str(slot)]
                if filters.fits(service)(node):
                    put(state, service, slot, node, {"hosts_with_room": 1})
                else:
                    failed[(service.name, slot)] = 0
            continue
        if new_volumes(state, service):
            members = [one for one in together[service.name] if wanted[one.name]]
            choose_home(state, filters, service, members, wanted)
        failed.update(_place_slots(state, filters, service, slots))
    return failed


def _place_slots(state: State, filters: Filters, service: Service, slots: list[Slot]) -> dict[Key, int]:
    tree, room = candidates(state, filters, service, filters.open(service))
    for done, slot in enumerate(slots):
        if not tree.best():
            return {(service.name, late): room for late in slots[done:]}
        node = tree.take()
        after = tree.best()
        facts: dict[str, Any] = {"hosts_with_room": room}
        if after and after[-1] != node.index:
            facts["runner_up"] = state.nodes[after[-1]].name
        put(state, service, slot, node, facts)
        state.cursor = node.index + 1
        tree.settle()
    return {}


def put(state: State, service: Service, slot: Slot, node: Node, facts: dict[str, Any]) -> None:
    """Place one replica and note the numbers behind it."""
    before = state.counts[service.name].get(node.index, 0)
    state.place(service, slot, node)
    state.facts[(service.name, slot)] = {
        **facts,
        "replicas_here_before": before,
        "used_permille": node.share * 1000 // SHARE,
    }


def choose_home(
    state: State, filters: Filters, service: Service, members: list[Service], wanted: dict[str, list[Slot]]
) -> None:
    """Decide the one host for the service's new volumes, which it shares with members: where most replicas fit.

    If no host suits all of them, the service decides alone; others then may find no place, and are told why.
    """
    for several in (members, [service]):
        mask = filters.open(several[0])
        for one in several[1:]:
            mask &= filters.open(one)
        rank = STRATEGIES[several[0].strategy](state, filters, several[0])
        rooms = {node.index: room(state, several, node, wanted) for node in filters.nodes(mask)}
        able = [at for at in rooms if rooms[at]]
        if able:
            home = min(able, key=lambda at: (-rooms[at], rank(state.nodes[at])))
            for one in several:
                for volume in new_volumes(state, one):
                    state.homes[volume] = 1 << home
            return


def room(state: State, services: list[Service], node: Node, wanted: dict[str, list[Slot]]) -> int:
    """How many of the services' missing replicas fit on one host together, the services in their order."""
    free = list(node.free)
    total = 0
    for service in services:
        limit = len(wanted[service.name])
        for at, amount in service.demands:
            limit = min(limit, max(0, free[at]) // amount)
        if service.max_per_node:
            limit = min(limit, max(0, service.max_per_node - state.counts[service.name].get(node.index, 0)))
        if service.ports:
            limit = 0 if any(node.ports.takes(port) for port in service.ports) else min(limit, 1)
        for at, amount in service.demands:
            free[at] -= limit * amount
        total += limit
    return total
