# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Contested ports: those that more than one may bind. Any other port of a service is free wherever none of it runs."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from .ports import Port
from .state import State


class Contest:
    """Who may bind which port, over one run."""

    def __init__(self, state: State) -> None:
        """By what all services ask for, and what the hosts have bound now."""
        services = state.request.services
        self.asked = Counter(chain.from_iterable({_key(port) for port in one.ports} for one in services if one.ports))
        self.ranges = {(each.protocol, each.first, each.last) for one in services for each in one.ranges}
        listed = {id(node.listed): node.listed for node in state.nodes}.values()
        self.bound = {_key(port) for ports in listed for port in ports}
        for node in state.nodes:
            if "ports" in node.__dict__:
                self.bound.update(node.ports.bound())

    def over(self, port: Port) -> bool:
        """True if anybody else may have it."""
        key = _key(port)
        if self.asked[key] > 1 or key in self.bound:
            return True
        return any(kind == port.protocol and first <= port.port <= last for kind, first, last in self.ranges)


def _key(port: Port) -> tuple[str, int]:
    return port.protocol, port.port
