# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""In which order services are placed: what few hosts can take comes first. This decides what fits at all."""

from __future__ import annotations

from .affinity import Relations
from .filters import Filters
from .model import CPUS, MEMORY, SHARE, Service, Slot
from .state import State
from .volumes import new_volumes

NO_LIMIT = 10**9
EXTRA = 4  # classes of scarcity per doubling


class Order:
    """The order of services, by what the fleet has in all."""

    def __init__(self, state: State, filters: Filters, relations: Relations) -> None:
        """Over one run."""
        self.state, self.filters, self.relations = state, filters, relations
        dimensions = range(len(state.request.dimensions))
        self.totals = [sum([node.capacity[at] for node in state.nodes]) or 1 for at in dimensions]
        self.generic = {at for at in dimensions if state.request.dimensions[at] not in (CPUS, MEMORY)}
        self.share = SHARE * len(state.nodes)

    def stressed(self, service: Service) -> int:
        """The dimension of which the service takes the largest part of the fleet; -1 if it demands nothing."""
        totals = self.totals
        return max(service.demands, key=lambda one: one[1] / totals[one[0]], default=(-1, 0))[0]

    def sort(self, wanted: dict[str, list[Slot]]) -> list[Service]:
        """The services that miss replicas: the important ones, then global ones, those with new volumes, the scarce.

        Scarce is, in this order: few hosts match, host ports, few replicas per host, generic resources, a large share
        of the fleet. What a required affinity names comes before it.
        """
        found = sorted([one for one in self.state.request.services if wanted[one.name]], key=self._key)
        return self._partners_first(found) if any(one.affinities for one in found) else found

    def _key(self, service: Service) -> tuple[int, int, int, bool, int, int, int, str]:
        hosts, open_hosts = len(self.state.nodes), self.filters.usable(service).size
        if service.volumes:
            open_hosts = self.filters.size(self.filters.open(service))
        totals, share = self.totals, self.share
        parts = [amount * share // totals[at] for at, amount in service.demands]
        size = sum(parts) if service.strategy == "binpack" else max(parts, default=0)
        kind = 0 if service.everywhere else 1 if service.volumes and new_volumes(self.state, service) else 2
        scarcity = EXTRA * hosts // open_hosts if open_hosts else 0
        bound = not (service.ports or service.ranges)
        pieces = sum([amount for at, amount in service.demands if at in self.generic]) if self.generic else 0
        limit = service.max_per_node or NO_LIMIT
        return (-service.priority, kind, -scarcity, bound, limit, -pieces, -size, service.name)

    def _partners_first(self, services: list[Service]) -> list[Service]:
        pending = {service.name: service for service in services}
        waiting: set[str] = set()
        found: list[Service] = []
        stack = list(reversed(services))
        while stack:
            service = stack[-1]
            if service.name not in pending:
                stack.pop()
                if service.name in waiting:
                    waiting.discard(service.name)
                    found.append(service)
                continue
            del pending[service.name]
            waiting.add(service.name)
            if service.affinities:
                stack += [pending[name] for name in reversed(self._partners(service)) if name in pending]
        return found

    def _partners(self, service: Service) -> list[str]:
        needed = [one for one in service.affinities if one.required and not one.anti]
        return [name for one in needed for name in self.relations.targets(one) if name != service.name]
