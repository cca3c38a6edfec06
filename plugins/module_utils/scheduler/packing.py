# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Binpack: as few hosts as the work needs are opened, and among those each replica goes where its shape fits best.

The best fit is the open host whose free room has the shape of the replica: what needs much memory and little cpu goes
where much memory and little cpu is left, so that no host ends with much of one and none of the other. Of hosts that are
about as good the replica goes where it takes the larger part of what is free. What needs one
thing only goes where the least of it is left. Hosts that have what only other services need are opened last.
"""

from __future__ import annotations

from collections.abc import Sequence

from .filters import Filters
from .model import SHARE, Node, Service
from .order import Order
from .rings import SHAPE, Ring, Sizes, misfit
from .sources import Test
from .state import State
from .strategies import Rank, Ranker, binpack, rendezvous

MANY = SHARE << 2  # more than this of a mean host counts as this
FINE = 1000  # shares are compared in steps of this
PIECES = 8  # the weight of devices and the like where nothing but the sum counts
Need = tuple[int, frozenset[object]]  # the open hosts; which scarce things are needed


class Tier:
    """Hosts that are equally good for some services, open or not yet."""

    def __init__(self, nodes: Sequence[Node], everyone: Sequence[Node], sizes: Sizes) -> None:
        """All closed."""
        self.everyone, self.sizes = everyone, sizes
        self.closed = list(nodes)
        self.open: list[Node] = []
        self.rings: dict[int, Ring] = {}
        self.sorted = False

    def unlock(self, node: Node) -> None:
        """Open one host."""
        self.open.append(node)
        for ring in self.rings.values():
            ring.add(node)

    def ring(self, kind: int) -> Ring:
        """The open hosts by what is free of them: see Sizes.measure."""
        if kind not in self.rings:
            self.rings[kind] = Ring(self.everyone, self.open, self.sizes, kind)
        return self.rings[kind]


class Packing:
    """The open hosts of one run."""

    def __init__(self, state: State, filters: Filters, order: Order, pending: dict[str, int]) -> None:
        """pending: {service: replicas that miss a place}."""
        self.state, self.filters, self.pending = state, filters, pending
        hosts = len(state.nodes) or 1
        self.means = [total // hosts or 1 for total in order.totals]
        self.sizes = Sizes(self.means)
        self.generic = order.generic
        self.scarce = filters.scarce()
        for at in self.generic:
            offers = filters.mask(lambda node, at=at: node.capacity[at] > 0)  # type: ignore[misc]
            if offers != filters.all:
                self.scarce.setdefault(at, offers)
        self._tiers: dict[object, list[Tier]] = {}
        self._needs: dict[str, Need] = {}
        self._missing: dict[Need, dict[int, int]] | None = None

    def rank(self, service: Service) -> Ranker:
        """The best fit of the open hosts."""
        if self.pieces(service):
            return self._pieces(service)
        kind, want = self.sizes.aim(service)
        if kind == SHAPE:
            amounts = dict(service.demands)
            cpus, memory = amounts[0], amounts[1]
            return lambda node: (misfit(node, cpus, memory), rendezvous(service, node), node.index)
        measure = self.sizes.measure(kind)

        def rank(node: Node) -> Rank:
            return (abs(measure(node) - want), rendezvous(service, node), node.index)

        return rank

    def pieces(self, service: Service) -> bool:
        """True if the service needs devices or the like."""
        return bool(self.generic) and any(at in self.generic for at, _part in service.demands)

    def _pieces(self, service: Service) -> Ranker:
        """A device in use is filled up first; then the free room whose direction is nearest to the replica's."""
        amounts = [(at, part * SHARE // self.means[at] // FINE) for at, part in service.demands]
        parts = [(at, part) for at, part in service.demands if part < SHARE and at in self.generic]
        means, shaped = self.means, len(amounts) > 1

        def rank(node: Node) -> Rank:
            spare = 0
            for at, part in parts:
                devices = node.devices.get(at)
                if devices:
                    spare += min([left - part for left in devices.values() if left >= part], default=SHARE)
            free = [min(max(left, 0) * SHARE // mean, MANY) // FINE for left, mean in zip(node.free, means)]
            if shaped:
                along = sum([free[at] * share for at, share in amounts])
                fit = -(along * along // (sum([left * left for left in free]) or 1))
            else:
                fit = sum(free) + (PIECES - 1) * sum([free[at] for at, _share in amounts])
            return (spare, fit, rendezvous(service, node), node.index)

        return rank

    def need(self, service: Service) -> Need:
        """What decides which tiers a service has: its hosts, and which scarce things it needs itself."""
        if service.name not in self._needs:
            needs: frozenset[object] = frozenset()
            if self.scarce:
                demanded = {at for at, _part in service.demands}
                needs = frozenset(one for one in self.scarce if one in service.constraints or one in demanded)
            self._needs[service.name] = (self.filters.open(service), needs)
        return self._needs[service.name]

    def tiers(self, service: Service) -> list[Tier]:
        """The service's hosts, by how many scarce things they have that it does not need; the first ones opened."""
        need = self.need(service)
        key = (need, service.tolerations if self.filters.soft else ())
        if key not in self._tiers:
            waste = self.waste(need[1], service)
            demanded = [at for at in need[1] if isinstance(at, int)]
            groups: dict[int, list[Node]] = {}
            for node in self.filters.nodes(need[0]):
                if all(node.capacity[at] for at in demanded):
                    groups.setdefault(waste.get(node.index, 0), []).append(node)
            found = [Tier(groups[level], self.state.nodes, self.sizes) for level in sorted(groups)]
            self._tiers[key] = found
            if found:
                self._open_enough(service, need, found[0])
        return self._tiers[key]

    def waste(self, needs: frozenset[object], service: Service) -> dict[int, int]:
        """Per host, how many scarce things would lie idle beside a replica, and taints it would rather avoid."""
        found = {at: count << 10 for at, count in self.filters.dislike(service).items()}
        for need, mask in self.scarce.items():
            if need not in needs:
                for node in self.filters.nodes(mask):
                    found[node.index] = found.get(node.index, 0) + 1
        return found

    def _open_enough(self, service: Service, need: Need, tier: Tier) -> None:
        """Open hosts until they have what all pending services of this kind need together."""
        missing = dict(self._pending().get(need, {}))
        while tier.closed and any(amount > 0 for amount in missing.values()):
            node = self._next(service, tier)
            tier.unlock(node)
            for at in missing:
                missing[at] -= max(0, node.free[at])

    def _pending(self) -> dict[Need, dict[int, int]]:
        """By need, what all pending services demand together, by dimension."""
        if self._missing is None:
            self._missing = {}
            for name, count in self.pending.items():
                other = self.state.services[name]
                if count and other.strategy == "binpack":
                    missing = self._missing.setdefault(self.need(other), {})
                    for at, part in other.demands:
                        missing[at] = missing.get(at, 0) + part * count
        return self._missing

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

    def __init__(self, packing: Packing, service: Service, fits: Test) -> None:
        """Over the tiers of the service."""
        self.packing, self.service, self.fits = packing, service, fits
        self.kind, self.want = packing.sizes.aim(service)
        self.every = packing.pieces(service)  # many things matter then: all open hosts are compared
        self.tiers = list(packing.tiers(service))
        self.given: set[int] = set()

    def fetch(self, most: int) -> list[Node]:
        """Candidates of the best tier that has any."""
        given = self.given
        while self.tiers:
            tier = self.tiers[0]
            if self.every:
                found = [node for node in tier.open if node.index not in given and self.fits(node)]
            else:
                near = tier.ring(self.kind).nearest(self.want, self.fits, most + len(given))
                found = [node for node in near if node.index not in given]
            found = found or self.packing.more(self.service, tier, self.fits)
            if found:
                given.update([node.index for node in found])
                return found
            self.tiers.pop(0)
        return []
