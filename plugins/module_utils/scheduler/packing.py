# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Binpack: as few hosts as the work needs are opened, and among those each replica goes where its shape fits best.

The fit is the dot product of what the replica takes and what the host has left, both as shares of the mean host: a
replica that needs memory goes where memory is left over. Tried largest first, this leaves less unused than the
fullest host does. Hosts that have what only other services need are opened last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .filters import Filters
from .model import SHARE, Node, Service
from .order import Order
from .pools import Load, Pool
from .sources import Test
from .state import State
from .strategies import Rank, Ranker, binpack, rendezvous

STEPS = 8  # directions per dimension
TOP = 1 << 60  # more than any fit
Direction = tuple[tuple[int, int], ...]  # (dimension, weight), what a shape takes most of has STEPS


class Shape(NamedTuple):
    """What a replica takes, as shares of the mean host."""

    parts: tuple[tuple[int, int, int], ...]  # (dimension, share of SHARE, the mean host's capacity)
    direction: Direction


class Tier:
    """Hosts that are equally good for some services, the open ones in pools by direction."""

    def __init__(self, nodes: Sequence[Node], everyone: Sequence[Node]) -> None:
        """All closed."""
        self.everyone = everyone
        self.closed = list(nodes)
        self.open: list[Node] = []
        self.pools: dict[Direction, Pool] = {}
        self.sorted = False

    def unlock(self, node: Node) -> None:
        """Open one host."""
        self.open.append(node)
        for pool in self.pools.values():
            pool.add(node)

    def pool(self, direction: Direction, load: Load) -> Pool:
        """The open hosts, the best for a direction first."""
        if direction not in self.pools:
            self.pools[direction] = Pool(self.everyone, self.open, load)
        return self.pools[direction]


class Packing:
    """The open hosts of one run."""

    def __init__(self, state: State, filters: Filters, order: Order, pending: dict[str, int]) -> None:
        """pending: {service: replicas that miss a place}."""
        self.state, self.filters, self.pending = state, filters, pending
        hosts = len(state.nodes) or 1
        self.means = [total // hosts or 1 for total in order.totals]
        self.scarce = filters.scarce()
        self.generic = order.generic
        self._tiers: dict[tuple[int, frozenset[object]], list[Tier]] = {}
        self._keys: dict[str, tuple[int, frozenset[object]]] = {}

    def shape(self, service: Service) -> Shape:
        """What one replica takes."""
        parts = tuple([(at, part * SHARE // self.means[at], self.means[at]) for at, part in service.demands])
        most = max((share for _at, share, _mean in parts), default=0) or 1
        steps = STEPS if len(parts) <= 3 else 2
        weighed = ((at, (share * steps + most // 2) // most) for at, share, _mean in parts)
        return Shape(parts, tuple(sorted((at, weight) for at, weight in weighed if weight)))

    def load(self, direction: Direction) -> Load:
        """How little a host has left in a direction."""
        weights = [(at, weight, self.means[at]) for at, weight in direction]

        def load(node: Node) -> int:
            free = node.free
            return TOP - sum([min(free[at] * SHARE // mean, SHARE << 10) * weight for at, weight, mean in weights])

        return load

    def rank(self, service: Service, shape: Shape) -> Ranker:
        """The best fit of the open hosts; for devices and the like the host where the least is left beside."""
        parts = shape.parts
        if self.pieces(service):
            return self._tightest(service)

        def rank(node: Node) -> Rank:
            fit = 0
            for at, share, mean in parts:
                fit += node.free[at] * share // mean
            return (-fit, rendezvous(service, node), node.index)

        return rank

    def pieces(self, service: Service) -> bool:
        """True if the service needs devices or the like."""
        return any(at in self.generic for at, _part in service.demands)

    def _tightest(self, service: Service) -> Ranker:
        """The host where the least is left over all; pieces count most, and a device in use is filled up first."""
        waste = self.waste(self._need(service)[1], service)
        weights = [(at, mean, 8 if at in self.generic else 1) for at, mean in enumerate(self.means)]
        parts = [(at, amount) for at, amount in service.demands if amount < SHARE and at in self.generic]

        def rank(node: Node) -> Rank:
            left = sum([min(node.free[at] * SHARE // mean, SHARE << 10) * weight for at, mean, weight in weights])
            spare = 0
            for at, amount in parts:
                devices = node.devices.get(at)
                if devices:
                    spare += min([free - amount for free in devices.values() if free >= amount], default=SHARE)
            return (waste.get(node.index, 0), spare, left, rendezvous(service, node), node.index)

        return rank

    def _need(self, service: Service) -> tuple[int, frozenset[object]]:
        """What decides which tiers a service has: its hosts, and which scarce things it needs itself."""
        if service.name not in self._keys:
            demanded = {at for at, _part in service.demands}
            needs = frozenset(one for one in self.scarce if one in service.constraints or one in demanded)
            self._keys[service.name] = (self.filters.open(service), needs)
        return self._keys[service.name]

    def tiers(self, service: Service) -> list[Tier]:
        """The service's hosts, by how many scarce things they have that it does not need; the first ones opened."""
        key = self._need(service)
        if key not in self._tiers:
            waste = self.waste(key[1], service)
            groups: dict[int, list[Node]] = {}
            for node in self.filters.nodes(key[0]):
                groups.setdefault(waste.get(node.index, 0), []).append(node)
            self._tiers[key] = [Tier(groups[level], self.state.nodes) for level in sorted(groups)]
            if self._tiers[key]:
                self._open_enough(service, key, self._tiers[key][0])
        return self._tiers[key]

    def waste(self, needs: frozenset[object], service: Service) -> dict[int, int]:
        """Per host, how many scarce things would lie idle beside a replica, and taints it would rather avoid."""
        found = {at: count << 10 for at, count in self.filters.dislike(service).items()}
        for need, mask in self.scarce.items():
            if need not in needs:
                for node in self.filters.nodes(mask):
                    found[node.index] = found.get(node.index, 0) + 1
        return found

    def _open_enough(self, service: Service, key: tuple[int, frozenset[object]], tier: Tier) -> None:
        """Open hosts until they have what all pending services of this kind need together."""
        missing: dict[int, int] = {}
        for name, count in self.pending.items():
            other = self.state.services[name]
            if count and other.strategy == "binpack" and self._need(other) == key:
                for at, part in other.demands:
                    missing[at] = missing.get(at, 0) + part * count
        while tier.closed and any(amount > 0 for amount in missing.values()):
            node = self._next(service, tier)
            tier.unlock(node)
            for at in missing:
                missing[at] -= max(0, node.free[at])

    def _next(self, service: Service, tier: Tier) -> Node:
        """The next closed host: the fullest first."""
        if not tier.sorted:
            tier.closed.sort(key=binpack(self.state, service), reverse=True)
            tier.sorted = True
        return tier.closed.pop()

    def more(self, service: Service, tier: Tier, fits: Test) -> list[Node]:
        """Open hosts of a tier until one fits."""
        while tier.closed:
            node = self._next(service, tier)
            tier.unlock(node)
            if fits(node):
                return [node]
        return []


class Packed:
    """The open hosts that fit a service best; more are opened when none has room."""

    def __init__(self, packing: Packing, service: Service, shape: Shape, fits: Test) -> None:
        """Over the tiers of the service."""
        self.packing, self.service, self.shape, self.fits = packing, service, shape, fits
        self.tiers = list(packing.tiers(service))
        self.given: set[int] = set()

    def fetch(self, most: int) -> list[Node]:
        """Candidates of the best tier that has any."""
        direction = self.shape.direction
        while self.tiers:
            tier = self.tiers[0]
            wanted = most + len(self.given)
            least = tier.pool(direction, self.packing.load(direction)).least(wanted, self.fits)
            found = [node for node in least if node.index not in self.given]
            found = found or self.packing.more(self.service, tier, self.fits)
            if found:
                self.given.update([node.index for node in found])
                return found
            self.tiers.pop(0)
        return []
