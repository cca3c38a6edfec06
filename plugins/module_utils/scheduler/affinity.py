# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Affinities between services: where others' replicas draw a service to, or keep it away from.

An affinity of a service to itself (by name or by a group that it is in) is a rule about its own replicas: required and
anti, one per domain. A required anti-affinity binds both sides, whoever has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .domains import mask_of
from .filters import AFFINITY, Failure, Filters, some
from .model import Affinity, CountRule, Node, Service
from .state import State

HOST = "node.hostname"


class Relations:
    """Who names whom; built once."""

    def __init__(self, state: State, filters: Filters) -> None:
        """Over all services of the run."""
        self.state, self.filters, self.domains, self.everything = state, filters, filters.domains, filters.all
        self.members: dict[str, list[str]] = {}  # group -> services
        self._repelled: dict[tuple[str, str], list[tuple[str, str]]] = {}  # (service, group) -> [(by, domain)]
        self._away: dict[int, list[Affinity]] = {}  # by identity of a service's affinities: those required and anti
        self.involved: set[str] = set()
        for service in state.request.services:
            for group in service.groups:
                self.members.setdefault(group, []).append(service.name)
            if service.affinities:
                for one in self.away(service):
                    self._repelled.setdefault((one.service, one.group), []).append((service.name, one.domain))
                if service.affinities[0].required or any(each.required for each in service.affinities):
                    self.involved.add(service.name)
        for name, group in self._repelled:  # who has, or is named by, an affinity that is more than a wish
            self.involved.update([name] if name else self.members.get(group, ()))

    def targets(self, affinity: Affinity) -> list[str]:
        """The services that an affinity names."""
        return [affinity.service] if affinity.service else self.members.get(affinity.group, [])

    def away(self, service: Service) -> list[Affinity]:
        """Its required anti-affinities."""
        key = id(service.affinities)  # which lasts: the request keeps them
        if key not in self._away:
            self._away[key] = [one for one in service.affinities if one.required and one.anti]
        return self._away[key]

    def named(self, name: str) -> bool:
        """True if an anti-affinity of somebody names this very service."""
        return (name, "") in self._repelled

    def own(self, service: Service) -> list[CountRule]:
        """Its required anti-affinities to itself, as rules about its own replicas."""
        return [
            CountRule("max_per", one.domain, 1, "") for one in self.away(service) if service.name in self.targets(one)
        ]

    def repelling(self, service: Service) -> Iterator[tuple[str, str]]:
        """(other service, domain): where such a replica is, none of the service may be."""
        for one in self.away(service):
            for name in self.targets(one):
                yield name, one.domain
        if self._repelled:
            yield from self._repelled.get((service.name, ""), ())
            for group in service.groups:
                yield from self._repelled.get(("", group), ())

    def barred(self, service: Service) -> int:
        """The hosts that a required anti-affinity forbids now."""
        hosts: dict[str, set[int]] = {}
        for name, domain in set(self.repelling(service)):
            if name != service.name and self.state.places.any(name):
                hosts.setdefault(domain, set()).update(self.state.counts[name])
        found = 0
        for domain, there in hosts.items():
            found |= self.around(domain, there)
        return found

    def around(self, domain: str, hosts: Iterable[int]) -> int:
        """All hosts of the domains of some hosts, as bits; all hosts if only one that is silent could tell its own."""
        if domain == HOST:
            return mask_of(hosts)
        return self.everything if self.filters.untold(domain, hosts) else self.domains.around(domain, hosts)

    def hosts_of(self, affinity: Affinity) -> dict[int, int]:
        """{host: replicas there of what the affinity names}."""
        found: dict[int, int] = {}
        for name in self.targets(affinity):
            for at, count in self.state.counts[name].items() if name in self.state.services else ():
                found[at] = found.get(at, 0) + count
        return found

    def drawn(self, service: Service) -> int:
        """The hosts that its required affinities leave. To itself alone, with none placed yet: any host."""
        mask = self.everything
        for one in service.affinities:
            if one.required and not one.anti:
                hosts = self.hosts_of(one)
                if hosts or service.name not in self.targets(one):
                    mask &= self.domains.around(one.domain, hosts)
                else:
                    mask &= sum(self.domains.masks(one.domain))
        return mask

    def gathers(self, service: Service) -> list[CountRule]:
        """Its required affinities to itself while nothing is placed yet: all on the first one's domain."""
        return [
            CountRule("cluster", one.domain, 0, "")
            for one in service.affinities
            if one.required and not one.anti and service.name in self.targets(one) and not self.hosts_of(one)
        ]

    def pull(self, service: Service) -> dict[int, int]:
        """Per host, what its wishes say of it: below 0 it is drawn there, above 0 it would rather not."""
        found: dict[int, int] = {}
        for one in service.affinities:
            if not one.required:
                ids = self.domains.of(one.domain)
                near = self.domains.tally(one.domain, self.hosts_of(one))
                weight = one.weight if one.anti else -one.weight
                for at, domain in enumerate(ids) if near else ():
                    if domain in near:
                        found[at] = found.get(at, 0) + weight
        return found

    def against(self, service: Service, node: Node) -> Iterator[tuple[str, Affinity]]:
        """(who has it, the required affinity to other services) for each one that keeps the service off a host."""
        bit, counts = 1 << node.index, self.state.counts
        for one in service.affinities:
            if one.required and not one.anti:
                hosts = self.hosts_of(one)
                alone = not hosts and service.name in self.targets(one)
                if not (alone or self.domains.around(one.domain, hosts) & bit):
                    yield service.name, one
        for owner in self.state.request.services:
            for one in owner.affinities:
                if one.required and one.anti:
                    names = self.targets(one)
                    far = names if owner is service else [owner.name] if service.name in names else []
                    others = [name for name in far if name != service.name and name in self.state.services]
                    if any(self.around(one.domain, counts[name]) & bit for name in others):
                        yield owner.name, one

    def failures(self, service: Service, node: Node) -> Iterator[Failure]:
        """What affinities have against a host, in words."""
        bit = 1 << node.index
        for one in service.affinities:
            if not one.required or one.anti:
                continue
            hosts = self.hosts_of(one)
            what = f"service {one.service}" if one.service else f"group {one.group}"
            if not hosts and service.name not in self.targets(one):
                yield Failure(AFFINITY, f"has no {what} near: none of it is placed", 0, what, "none placed")
            elif hosts and not self.domains.around(one.domain, hosts) & bit:
                yield Failure(AFFINITY, f"has no {what} within its {one.domain}", 0, what, "none")
        told = set()
        for name, domain in self.repelling(service):
            if name != service.name and name not in told and name in self.state.services:
                told.add(name)
                if self.around(domain, self.state.counts[name]) & bit:
                    silent = self.filters.untold(domain, self.state.counts[name])
                    unsure = f" (it is on {some([one.name for one in silent])}: no answer)" if silent else ""
                    has = "may have" if silent else "has"
                    words = f"{has} {name} within its {domain}, which it must be apart from{unsure}"
                    yield Failure(AFFINITY, words, 0, f"no {name}", name)
