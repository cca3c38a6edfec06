# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Looking ahead: a service that others must be near goes where those can follow it.

Who needs two partners in one rack has no home if each of them is put into another one; nor if its only partner is put
into a rack without a host that suits it. So a partner's first replica goes, if it can, where its dependants may be.
"""

from __future__ import annotations

from itertools import islice

from .gates import Rules
from .model import Affinity, Service, Slot
from .state import State

MOST = 8  # dependants that are asked, of those that name the same partner
STEPS = 20_000  # partners of dependants that are looked at in one plan
Named = tuple[str, str]  # a service, or a group


class Ahead:
    """What is still to be placed near others."""

    def __init__(self, state: State, rules: Rules, wanted: dict[str, list[Slot]]) -> None:
        """wanted: {service: slots without a place}."""
        self.state, self.rules, self.wanted, self.steps = state, rules, wanted, STEPS
        self.waiting: dict[Named, list[Service]] = {}
        alike: dict[int, list[Service]] = {}  # by identity: services that are alike share their affinities
        for service in state.request.services:
            if service.affinities and wanted[service.name] and not service.everywhere:
                alike.setdefault(id(service.affinities), []).append(service)
        for services in alike.values():
            for one in near(services[0]):
                known = self.waiting.setdefault((one.service, one.group), [])
                known += services[: max(0, MOST - len(known))]

    def named(self, service: Service) -> bool:
        """True if something that has no place yet must be near it."""
        waiting = self.waiting
        if not waiting:
            return False
        return (service.name, "") in waiting or any(("", group) in waiting for group in service.groups)

    def hosts(self, service: Service) -> int:
        """The hosts, as bits, from which its dependants find a home; all of them where none needs it for that."""
        found = self.rules.filters.all
        for named in [(service.name, ""), *(("", group) for group in service.groups)]:
            for dependant in self.waiting.get(named, ()):
                if dependant is not service and self.steps > 0 and not self._home(dependant):
                    mask = self._around(service, dependant)
                    found = found & mask or found
        return found

    def _home(self, dependant: Service) -> bool:
        """True if it has where to go without more of its partners."""
        self.steps -= 1 + len(dependant.affinities)
        return bool(self.rules.filters.open(dependant) & self.rules.relations.drawn(dependant))

    def _around(self, service: Service, dependant: Service) -> int:
        """The hosts near which the dependant has all its other partners, as far as those are placed."""
        relations, filters = self.rules.relations, self.rules.filters
        mask, mine = filters.open(dependant), []
        for one in near(dependant):
            if service.name in relations.targets(one):
                mine.append(one.domain)
                continue
            mask &= self._partners(one)
        found = filters.all
        for domain in mine:
            found &= self._spread(domain, mask)
        return found

    def _partners(self, affinity: Affinity) -> int:
        """The hosts near which one of those is, or may yet be placed, that an affinity names."""
        relations, filters = self.rules.relations, self.rules.filters
        found = filters.domains.around(affinity.domain, relations.hosts_of(affinity))
        names = (name for name in relations.targets(affinity) if self.wanted.get(name))
        for name in islice((name for name in names if not self.state.places.any(name)), MOST):
            partner = self.state.services[name]
            self.steps -= 1 + len(partner.affinities)
            found |= self._spread(affinity.domain, filters.open(partner) & relations.drawn(partner))
        return found

    def _spread(self, domain: str, mask: int) -> int:
        """All hosts of the domains of some hosts."""
        filters = self.rules.filters
        return filters.domains.around(domain, [node.index for node in filters.nodes(mask)])


def near(service: Service) -> list[Affinity]:
    """Its required affinities."""
    return [one for one in service.affinities if one.required and not one.anti]
