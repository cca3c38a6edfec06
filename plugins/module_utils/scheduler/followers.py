# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Followers: new replicas that went where they are because they must be near others. Those may not leave them then."""

from __future__ import annotations

from collections.abc import Iterable

from .ahead import Named, near
from .gates import Rules
from .model import Key, Service, Slot
from .state import State


class Followers:
    """The services with new replicas and required affinities, by what these name."""

    def __init__(self, state: State, rules: Rules) -> None:
        """Over what is placed so far; note() tells of more."""
        self.state, self.rules = state, rules
        self._by: dict[Named, dict[str, Service]] | None = None

    def _named(self) -> dict[Named, dict[str, Service]]:
        if self._by is None:
            self._by, facts = {}, self.state.facts
            for service in self.state.request.services:
                if service.affinities and (service.name in facts.services or service.name in facts.batches):
                    self.note(service)
        return self._by

    def note(self, service: Service) -> None:
        """A replica of the service has a new place."""
        if service.affinities and self._by is not None:
            for one in near(service):
                self._by.setdefault((one.service, one.group), {})[service.name] = service

    def of(self, service: Service) -> list[Service]:
        """The followers of a service."""
        by = self._named()
        if not by:
            return []
        named = [(service.name, ""), *(("", group) for group in service.groups)]
        return [follower for one in named for follower in by.get(one, {}).values()]

    def parted(self, gone: Iterable[Service], come: Iterable[tuple[Service, Slot]] = ()) -> bool:
        """True if anything new is away from what it must be near, now that some left their hosts and some arrived."""
        keys: dict[Key, None] = {(one.name, slot): None for one, slot in come if one.affinities}
        for follower in dict.fromkeys([each.name for one in gone for each in self.of(one)]):
            slots = [(follower, slot) for slot in self.state.places[follower]]
            keys.update({key: None for key in slots if key in self.state.facts})
        reach: dict[str, int] = {}
        for key in keys:
            node = self.state.at(key)
            if key[0] not in reach:
                reach[key[0]] = self.rules.relations.drawn(self.state.services[key[0]])
            if node is not None and not reach[key[0]] >> node.index & 1:
                return True
        return False
