# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Strategies: each turns a host into a rank for one service; the lowest rank gets the next replica.

A rank is a tuple of integers that ends with the host's position, so no two are equal and nothing is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .model import SHARE

if TYPE_CHECKING:
    from .filters import Filters
    from .model import Node, Service, State

Rank = tuple[int, ...]
Ranker = Callable[["Node"], Rank]

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def rendezvous(service: Service, node: Node) -> int:
    """A number that depends on the two names only: which host a service prefers when all else is equal."""
    return ((service.hash ^ node.hash) * GOLDEN & MASK) >> 16


def share_after(service: Service, node: Node) -> int:
    """The host's dominant share (of SHARE) if one more replica ran there."""
    share, capacity = node.share, node.capacity
    for dimension, amount in service.demands:
        whole = capacity[dimension] or 1
        after = (whole - node.free[dimension] + amount) * SHARE // whole
        if after > share:  # noqa: PLR1730  (max() doubles the time; asked for each host)
            share = after
    return share


def spread(state: State, filters: Filters, service: Service) -> Ranker:
    """Fewest replicas of this service, then least loaded after placing, then fewest replicas of all."""
    counts = state.counts[service.name]

    def rank(node: Node) -> Rank:
        index = node.index
        return (counts.get(index, 0), share_after(service, node), node.count, rendezvous(service, node), index)

    return rank


def binpack(state: State, filters: Filters, service: Service) -> Ranker:
    """The host that is fullest after placing, and has the least of what only other services need."""
    waste = filters.waste(service)

    def rank(node: Node) -> Rank:
        fullest = -share_after(service, node)
        return (waste.get(node.index, 0), fullest, -node.count, rendezvous(service, node), node.index)

    return rank


def round_robin(state: State, filters: Filters, service: Service) -> Ranker:
    """The next host by name after the one that got the last replica, each host once before any gets another."""
    counts = state.counts[service.name]
    start = 1 + state.last[service.name][1] if service.name in state.last else state.cursor
    hosts = len(state.nodes)

    def rank(node: Node) -> Rank:
        return (counts.get(node.index, 0), (node.index - start) % hosts, node.index)

    return rank


STRATEGIES: dict[str, Callable[[State, Filters, Service], Ranker]] = {
    "spread": spread,
    "binpack": binpack,
    "round_robin": round_robin,
}
WORDS = {
    "spread": "fewest of this service, then least loaded",
    "binpack": "fullest host that still fits",
    "round_robin": "next host in turn",
}
