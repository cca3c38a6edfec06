# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sources: where the candidates for a service come from, a few at a time, so that not every host is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from .model import Node
from .pools import Pool

Test = Callable[[Node], bool]


class Source(Protocol):
    """Candidates with room, none twice."""

    def fetch(self, most: int) -> list[Node]:
        """About so many more; none if there are no more."""


class Listed:
    """All of a few hosts at once."""

    def __init__(self, nodes: Sequence[Node], fits: Test) -> None:
        """The hosts to judge."""
        self.nodes, self.fits = nodes, fits

    def fetch(self, most: int) -> list[Node]:
        """Those with room, the first time."""
        found = [node for node in self.nodes if self.fits(node)]
        self.nodes = ()
        return found


class Least:
    """The least loaded of some pools together; of several such tiers, all of one come before the next."""

    def __init__(self, tiers: Sequence[tuple[Sequence[Pool], Test]], first: Sequence[Node] = ()) -> None:
        """Each tier with its test. first: hosts that are candidates however loaded they are."""
        self.tiers, self.first = list(tiers), list(first)
        self.given: set[int] = set()

    def fetch(self, most: int) -> list[Node]:
        """The next ones, from each pool its share; the hosts given before are passed over."""
        given, found = self.given, self.first
        self.first = []
        given.update([node.index for node in found])
        while self.tiers:
            pools, fits = self.tiers[0]
            wanted = most // len(pools) + 1 + len(given)
            fresh = [node for pool in pools for node in pool.least(wanted, fits)]
            if given:
                fresh = [node for node in fresh if node.index not in given]
            if fresh:
                given.update([node.index for node in fresh])
                return [*found, *fresh]
            self.tiers.pop(0)
        return found


class InTurn:
    """The hosts from a position on, round to the one before it."""

    def __init__(self, nodes: Sequence[Node], start: int, fits: Test) -> None:
        """nodes: by position."""
        at = next((at for at, node in enumerate(nodes) if node.index >= start), 0)
        self.nodes, self.fits, self.at, self.left = nodes, fits, at, len(nodes)

    def fetch(self, most: int) -> list[Node]:
        """The next ones with room."""
        found: list[Node] = []
        while self.left and len(found) < most:
            node = self.nodes[self.at]
            self.at = (self.at + 1) % len(self.nodes)
            self.left -= 1
            if self.fits(node):
                found.append(node)
        return found
