# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The candidates for a service as a tree over its preferences: forks are topology, leaves are hosts, best first.

A small set of hosts is scored whole. Of a large one only a few are, taken from pools in the order of their load: about
three for each replica that is wanted; more when those do not do.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import Union

from .constraints import value
from .counting import BALANCE
from .domains import flags
from .gates import Gates, Rules
from .model import Node, Service
from .order import Order
from .packing import Packed, Packing
from .pools import Pool, by_count, by_share
from .sources import InTurn, Least, Listed, Source, Test
from .state import State
from .strategies import COUNTED, STRATEGIES, Rank, Ranker, leaning, turn

SMALL = 64  # hosts that are always scored whole
OVER = 3  # candidates for each replica
FEW = 16  # candidates of a binpack
Branch = Union["Fork", "Leaf"]
Path = tuple[str, ...]


def _inside(members: list[Node], fits: Test) -> Test:
    """The test for these hosts only."""
    inside = {node.index for node in members}
    return lambda node: node.index in inside and fits(node)


class Leaf:
    """The hosts of one branch, best first; only the one that was taken last can have changed its rank."""

    __slots__ = (
        "count",
        "counted",
        "dry",
        "fits",
        "heap",
        "later",
        "level",
        "limits",
        "most",
        "nodes",
        "rank",
        "source",
        "taken",
    )

    def __init__(self, source: Source, rank: Ranker, gates: Gates, most: int, counted: bool) -> None:
        """most: candidates that are fetched at a time. counted: a rank starts with the replicas on the host."""
        self.nodes, self.source, self.rank = gates.rules.state.nodes, source, rank
        self.fits, self.most = gates.solid, most
        self.counted, self.limits = counted, gates.limits
        self.heap: list[Rank] = []
        self.later: list[Node] = []  # taken once at this level
        self.level = 0  # replicas of the service on the hosts that are taken now
        self.dry = False
        self.count = 0  # replicas of the service in this branch

    def best(self) -> Rank:
        """The best host's rank; empty if none has room."""
        heap = self.heap
        while True:
            if heap and not (self.counted and heap[0][0] > self.level):
                if not self.limits:
                    return heap[0]
                node = self.nodes[heap[0][-1]]
                if all(counter.passes(node) for counter in self.limits):
                    return heap[0]
                heappop(heap)
            elif not self.dry:
                self._fetch()
            elif self.later:
                for node in self.later:
                    if self.fits(node):
                        heappush(heap, self.rank(node))
                self.later = []
            elif heap:
                self.level = heap[0][0]
            else:
                return ()

    def _fetch(self) -> None:
        found = self.source.fetch(self.most)
        self.most *= 2
        self.dry = not found
        rank = self.rank
        if self.heap:
            for node in found:
                heappush(self.heap, rank(node))
        else:
            self.heap[:] = [rank(node) for node in found]
            heapify(self.heap)

    def following(self) -> Rank:
        """The rank of the runner-up; empty if there is none among the candidates."""
        return self.best() if self.counted else self.heap[0] if self.heap else ()

    def offers(self) -> int:
        """How many hosts it compares now."""
        return len(self.heap)

    def take(self) -> Node:
        """The best host; settle() must follow when the replica is placed."""
        self.taken = self.nodes[heappop(self.heap)[-1]]
        return self.taken

    def settle(self) -> None:
        """Put the taken host back by its new rank, if it has room for more."""
        self.count += 1
        if self.counted:
            self.later.append(self.taken)
        elif self.fits(self.taken):
            heappush(self.heap, self.rank(self.taken))


class Fork:
    """One level of preferences: the branch with the fewest replicas of the service is next."""

    __slots__ = ("aside", "balance", "branches", "count", "heap", "levels", "nodes", "taken")

    def __init__(self, nodes: tuple[Node, ...], gates: Gates) -> None:
        """No branches yet."""
        self.nodes, self.balance = nodes, gates.balance
        self.branches: dict[str, Branch] = {}
        self.heap: list[tuple[int, Rank, str]] = []
        self.aside: list[str] = []  # branches that a balance rule forbids until others have caught up
        self.levels: list[int] = []  # of the balance rules, if branches are forks: what forbids theirs
        self.count = 0
        self.taken = ""

    def close(self) -> None:
        """Offer all branches, once they are added, or anew."""
        self.heap, self.aside = [], []
        for name, branch in self.branches.items():
            if isinstance(branch, Fork):
                branch.close()
                self.levels = [counter.least for counter in self.balance]
            self._offer(name, branch)

    def best(self) -> Rank:
        """The rank of the host that take() would give; empty if none has room."""
        while self.heap:
            count, best, name = self.heap[0]
            now = self.branches[name].best()
            if not now or not self._balanced(now):
                self.aside.append(heappop(self.heap)[2])
            elif now != best:
                heapreplace(self.heap, (count, now, name))
            else:
                return best
        return ()

    def _balanced(self, best: Rank) -> bool:
        return all(counter.passes(self.nodes[best[-1]]) for counter in self.balance)

    def following(self) -> Rank:
        """The rank of the runner-up; empty if there is none."""
        return self.best()

    def offers(self) -> int:
        """How many hosts its branches compare now."""
        return sum(branch.offers() for branch in self.branches.values())

    def take(self) -> Node:
        """The best host of the emptiest branch; settle() must follow."""
        self.taken = heappop(self.heap)[2]
        return self.branches[self.taken].take()

    def settle(self) -> None:
        """Offer the branch again that was taken."""
        self.branches[self.taken].settle()
        self.count += 1
        if self.levels and self.levels != [counter.least for counter in self.balance]:
            self.close()
            return
        again, self.aside = [self.taken, *self.aside], []
        for name in again:
            self._offer(name, self.branches[name])

    def _offer(self, name: str, branch: Branch) -> None:
        best = branch.best()
        if best:
            heappush(self.heap, (branch.count, best, name))
        elif self.balance:
            self.aside.append(name)


class Tree:
    """Makes the trees of a run; keeps the pools."""

    def __init__(self, state: State, rules: Rules, order: Order, pending: dict[str, int]) -> None:
        """pending: {service: replicas that miss a place}."""
        self.state, self.rules, self.filters, self.order, self.pending = state, rules, rules.filters, order, pending
        self._packing: Packing | None = None
        self._branches: dict[tuple[int, Path], dict[Path, list[Node]]] = {}
        self._pools: dict[tuple[object, ...], list[list[Pool]]] = {}

    @property
    def packing(self) -> Packing:
        """The open hosts for binpack; made when it is asked for first."""
        if self._packing is None:
            self._packing = self.rules.packing = Packing(self.state, self.filters, self.order, self.pending)
        return self._packing

    def grow(self, service: Service, wanted: int, gates: Gates) -> tuple[Branch, bool]:
        """The tree for so many replicas, and whether it has every host with room."""
        keys = spreading(service)
        hosts = self.filters.open(service)
        nodes = self._few(hosts, wanted, gates)
        branches = self._split(nodes, keys) if nodes is not None else self._branch(hosts, keys)
        rank, counted, pull = self._rank(service, gates)
        most = (OVER * wanted + SMALL // 4) // (len(branches) or 1) + 1
        leaves: dict[Path, Leaf] = {}
        source: Source
        for path, members in branches.items():
            if service.strategy == "binpack":
                source, most = self._packed(service, gates.solid, members if keys else None), FEW
            elif nodes is not None:
                source = Listed(members, gates.solid)
            elif service.strategy == "round_robin":
                source = InTurn(members, turn(self.state, service), gates.fits)
            else:
                source = self._least(service, gates.solid, (hosts, keys, path), members, pull)
            leaves[path] = Leaf(source, rank, gates, most, counted)
        return self._tree(service, keys, leaves, gates), nodes is not None

    def _few(self, hosts: int, wanted: int, gates: Gates) -> list[Node] | None:
        """The hosts, if they are so few that each is scored."""
        few = SMALL + OVER * wanted
        if gates.reach == self.filters.all:
            return self.filters.nodes(hosts) if self.filters.size(hosts) <= few else None
        hosts &= gates.reach
        if bin(hosts).count("1") > few:
            return None
        return [node for node, there in zip(self.state.nodes, flags(hosts, len(self.state.nodes))) if there]

    def _split(self, nodes: list[Node], keys: Path) -> dict[Path, list[Node]]:
        found: dict[Path, list[Node]] = {}
        for node in nodes:
            found.setdefault(tuple([value(key, node).casefold() for key in keys]), []).append(node)
        return found if found or keys else {(): []}

    def _branch(self, hosts: int, keys: Path) -> dict[Path, list[Node]]:
        if (hosts, keys) not in self._branches:
            self._branches[(hosts, keys)] = self._split(self.filters.nodes(hosts), keys)
        return self._branches[(hosts, keys)]

    def _rank(self, service: Service, gates: Gates) -> tuple[Ranker, bool, dict[int, int]]:
        """The ranker; whether ranks start with a count; what affinities say of hosts."""
        counted = service.strategy in COUNTED
        if service.strategy == "binpack":
            rank = self.packing.rank(service)
        else:
            rank = STRATEGIES[service.strategy](self.state, service)
        pull = self.rules.relations.pull(service) if service.affinities else {}
        dislike = self.filters.dislike(service)
        if pull or dislike:
            return leaning(rank, dislike, pull, counted), False, pull
        return rank, counted, pull

    def _packed(self, service: Service, fits: Test, members: list[Node] | None) -> Source:
        if members is not None:
            fits = _inside(members, fits)
        return Packed(self.packing, service, fits)

    def _least(
        self, service: Service, fits: Test, key: tuple[int, Path, Path], members: list[Node], pull: dict[int, int]
    ) -> Source:
        """The least loaded by what the service stresses; hosts that its affinities name are candidates anyway."""
        stressed = self.order.stressed(service)
        minded = service.tolerations if self.filters.soft else ()
        tiers = self._pools.get((*key, stressed, minded))
        if tiers is None:
            tiers = self._tiers(service, members, stressed)
            self._pools[(*key, stressed, minded)] = tiers
        asked = [(pools, fits) for pools in tiers]
        if not pull:
            return Least(asked)
        liked = [node for node in members if pull.get(node.index, 0) < 0 and fits(node)]
        calm = [(pools, _calm(fits, pull)) for pools in tiers] if any(lean > 0 for lean in pull.values()) else []
        return Least([*calm, *asked], liked)

    def _tiers(self, service: Service, members: list[Node], stressed: int) -> list[list[Pool]]:
        """Pools by how many taints dislike the service, and by size: a replica weighs more on a small host."""
        dislike, load = self.filters.dislike(service), by_share if stressed >= 0 else by_count
        levels: dict[int, dict[int, list[Node]]] = {}
        for node in members:
            size = node.capacity[stressed].bit_length() if stressed >= 0 else 0
            levels.setdefault(dislike.get(node.index, 0), {}).setdefault(size, []).append(node)
        return [[Pool(self.state.nodes, hosts, load) for hosts in levels[level].values()] for level in sorted(levels)]

    def _tree(self, service: Service, keys: Path, leaves: dict[Path, Leaf], gates: Gates) -> Branch:
        if not keys:
            return leaves[()]
        root = Fork(self.state.nodes, gates)
        for path, leaf in leaves.items():
            branch = root
            for name in path[:-1]:
                branch = branch.branches.setdefault(name, Fork(self.state.nodes, gates))  # type: ignore[assignment]
            branch.branches[path[-1]] = leaf
        for at, count in self.state.counts[service.name].items():
            branch_: Branch | None = root
            for key in (*keys, ""):
                if branch_ is None:
                    break
                branch_.count += count
                name = value(key, self.state.nodes[at]).casefold()
                branch_ = branch_.branches.get(name) if isinstance(branch_, Fork) else None
        root.close()
        return root


def spreading(service: Service) -> Path:
    """The keys that the service is spread over, those of balance rules included."""
    ruled = [rule.key for rule in service.rules if rule.kind in BALANCE and rule.key not in service.preferences]
    return (*service.preferences, *dict.fromkeys(ruled)) if ruled else service.preferences


def _calm(fits: Test, pull: dict[int, int]) -> Test:
    return lambda node: pull.get(node.index, 0) <= 0 and fits(node)
