# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Cliques: services of which each must be apart from all others of the same clique, as the members of a group are.

While whole services are seated, one look at the domains that are taken says what else would need a look at every pair.
"""

from __future__ import annotations

from .affinity import Relations
from .counting import BALANCE
from .domains import NONE
from .model import Affinity, Service

Taking = tuple[set[int], list[int]]  # what is taken of a domain, and what comes to it
Kind = tuple[int, tuple[str, ...]]  # identity of the affinities, groups: equal for services that say the same


class Clique:
    """One of them."""

    def __init__(self, domains: list[str]) -> None:
        """domains: those that no two members may share."""
        self.taken: dict[str, set[int]] = {domain: set() for domain in domains}  # by whom was seated whole
        self.loose: list[str] = []  # the other members: where they are is looked up


class Cliques:
    """All cliques of a run."""

    def __init__(self, relations: Relations) -> None:
        """None known yet."""
        self.relations, self.domains, self.state = relations, relations.domains, relations.state
        self.silent = bool(relations.filters.unknown)  # a domain may be unknown then
        self._known: dict[Kind, Clique | None] = {}

    def of(self, service: Service) -> Clique | None:
        """The clique that the service is in, if that is all there is between its replicas and others."""
        if self.silent or not service.affinities or any(rule.kind not in BALANCE for rule in service.rules):
            return None
        kind = _kind(service)
        if kind not in self._known:
            self._known[kind] = self._find(service, kind)
        return self._known[kind]

    def _find(self, service: Service, kind: Kind) -> Clique | None:
        names: dict[str, set[str]] = {}
        for name, domain in self.relations.repelling(service):
            names.setdefault(domain, set()).add(name)
        members = next(iter(names.values()), set())
        if service.name not in members or any(found != members for found in names.values()):
            return None
        services = self.state.services
        same = all(name in services and _kind(services[name]) == kind for name in members)
        alone = not any(self.relations.named(name) for name in members)
        return Clique(sorted(names)) if same and alone else None

    def apart(self, service: Service, clique: Clique, positions: list[int]) -> list[Taking] | None:
        """What all replicas of a member take if they are on these hosts; None if they may not be."""
        found: list[Taking] = []
        for domain, taken in clique.taken.items():
            ids = self.domains.of(domain)
            mine = [ids[at] for at in positions]
            if NONE in mine or len({*mine}) < len(mine) or not taken.isdisjoint(mine):
                return None
            for name in clique.loose:
                if name != service.name and not {ids[at] for at in self.state.counts[name]}.isdisjoint(mine):
                    return None
            found.append((taken, mine))
        return found


def _kind(service: Service) -> Kind:
    affinities: tuple[Affinity, ...] = service.affinities
    return id(affinities), service.groups
