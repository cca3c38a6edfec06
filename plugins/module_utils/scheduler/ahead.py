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
DEPTH = 3  # partners of partners of partners
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
        """The hosts near which the dependant has all its other partners, or may have them yet."""
        found, mask = self.rules.filters.all, self._reach(dependant, service.name, DEPTH)
        for one in near(dependant):
            if service.name in self.rules.relations.targets(one):
                found &= self._spread(one.domain, mask)
        return found

    def _reach(self, service: Service, but: str, depth: int) -> int:
        """The hosts that a service may have once its partners are placed. but: the one that is placed wherever needed.

        depth: partners of partners that are looked at; what is beyond them is where it is, and nowhere else.
        """
        filters, targets = self.rules.filters, self.rules.relations.targets
        mask = filters.open(service)
        self.steps -= 1 + len(service.affinities)
        for one in near(service):
            if not mask or self.steps <= 0:
                break
            if but in targets(one):
                continue
            found = filters.domains.around(one.domain, self.rules.relations.hosts_of(one))
            if depth and found & mask != mask:
                for name in islice((name for name in targets(one) if self._pending(name)), MOST):
                    if name != service.name:
                        found |= self._spread(one.domain, self._reach(self.state.services[name], but, depth - 1))
            mask &= found
        return mask

    def _pending(self, name: str) -> bool:
        return bool(self.wanted.get(name)) and not self.state.places.any(name)

    def _spread(self, domain: str, mask: int) -> int:
        """All hosts of the domains of some hosts."""
        filters = self.rules.filters
        return filters.domains.around(domain, [node.index for node in filters.nodes(mask)])


def near(service: Service) -> list[Affinity]:
    """Its required affinities."""
    return [one for one in service.affinities if one.required and not one.anti]
