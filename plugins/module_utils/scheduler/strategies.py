# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Strategies: each turns a host into a rank for one service; the lowest rank gets the next replica.

A rank is a tuple of integers that ends with the host's position, so no two are equal and nothing is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .model import SHARE

if TYPE_CHECKING:
    from .model import Node, Service
    from .state import State

Rank = tuple[int, ...]
Ranker = Callable[["Node"], Rank]

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
PULL = 10  # the weight of an affinity that is worth one replica more on a host


def rendezvous(service: Service, node: Node) -> int:
    """A number that depends on the two names only: which host a service prefers when all else is equal."""
    return ((service.hash ^ node.hash) * GOLDEN & MASK) >> 16


def share_after(service: Service, node: Node) -> int:
    """The host's dominant share (of SHARE) if one more replica ran there."""
    share, capacity, free = node.share, node.capacity, node.free
    for dimension, amount in service.demands:
        whole = capacity[dimension] or 1
        after = (whole - free[dimension] + amount) * SHARE // whole
        if after > share:  # noqa: PLR1730  (max() doubles the time; asked for each host)
            share = after
    return share


def spread(state: State, service: Service) -> Ranker:
    """Fewest replicas of this service, then least loaded after placing, then fewest replicas of all."""
    get, demands, hashed = state.counts[service.name].get, service.demands, service.hash

    def rank(node: Node) -> Rank:
        index, share, capacity, free = node.index, node.share, node.capacity, node.free
        for dimension, amount in demands:  # share_after, written out: this is the innermost loop of a plan
            whole = capacity[dimension] or 1
            after = (whole - free[dimension] + amount) * SHARE // whole
            if after > share:  # noqa: PLR1730
                share = after
        return (get(index, 0), share, node.count, (hashed ^ node.hash) * GOLDEN & MASK, index)

    return rank


def binpack(state: State, service: Service) -> Ranker:
    """The host that is fullest after placing."""

    def rank(node: Node) -> Rank:
        return (-share_after(service, node), -node.count, rendezvous(service, node), node.index)

    return rank


def round_robin(state: State, service: Service) -> Ranker:
    """The next host by name after the one that got the last replica, each host once before any gets another."""
    counts, start, hosts = state.counts[service.name], turn(state, service), len(state.nodes)

    def rank(node: Node) -> Rank:
        return (counts.get(node.index, 0), (node.index - start) % hosts, node.index)

    return rank


def turn(state: State, service: Service) -> int:
    """The position after the host of the service's highest slot, or of the last replica placed."""
    placed = state.places[service.name]
    return placed[max(placed)].index + 1 if placed else state.cursor


def leaning(rank: Ranker, dislike: Mapping[int, int], pull: Mapping[int, int], counted: bool) -> Ranker:
    """The rank after what taints and affinities say. counted: the rank starts with a count, which pull outweighs."""

    def leans(node: Node) -> Rank:
        plain, index = rank(node), node.index
        if counted:
            return (dislike.get(index, 0), plain[0] * PULL + pull.get(index, 0), *plain[1:])
        return (dislike.get(index, 0), pull.get(index, 0), *plain)

    return leans


STRATEGIES: dict[str, Callable[[State, Service], Ranker]] = {
    "spread": spread,
    "binpack": binpack,
    "round_robin": round_robin,
}
COUNTED = ("spread", "round_robin")  # each host gets one before any gets another
WORDS = {
    "spread": "fewest of this service, then least loaded",
    "binpack": "free room of its shape, on as few hosts as needed",
    "round_robin": "next host in turn",
}
