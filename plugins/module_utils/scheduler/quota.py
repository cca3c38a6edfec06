# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Quotas: how many replicas of a service each domain (a zone, a rack) takes, and which candidates that leaves.

A candidate is an entry of ranked.py: one integer, load << BITS | position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .ranked import LOW

LEVEL = 48  # where the number of replicas on a domain stands in an entry
ENTRY = (1 << LEVEL) - 1


class Quota(NamedTuple):
    """How many of the wanted replicas each domain of a key takes."""

    key: str
    ids: Sequence[int]  # domain per host
    base: list[int]  # by domain
    level: list[int]  # by domain: replicas before
    extra: list[bool]  # by domain: it may take one more, of `spare` in all
    spare: int
    even: bool  # replicas go to the emptiest domain first


def even(over: tuple[str, Sequence[int]], domains: list[int], level: list[int], wanted: int) -> Quota:
    """So many replicas more, the emptiest domains first: how many each gets for sure, and who may get one more."""
    counts = sorted([level[domain] for domain in domains])
    low, total = 0, 0
    for many, count in enumerate(counts, 1):
        total += count
        low = (wanted + total) // many
        if many == len(counts) or low <= counts[many]:
            break
    base, extra = [0] * len(level), [False] * len(level)
    for domain in domains:
        base[domain] = max(0, low - level[domain])
        extra[domain] = level[domain] <= low
    return Quota(*over, base, level, extra, wanted - sum(base), True)


def enough(found: list[int], quota: Quota, wanted: int) -> bool:
    """True if the candidates are spread over the domains so that all wanted ones find a place."""
    ids, there = quota.ids, [0] * len(quota.base)
    for entry in found:
        there[ids[entry & LOW]] += 1
    sure = more = 0
    for has, base, extra in zip(there, quota.base, quota.extra):
        if has > base:
            sure += base
            more += extra
        else:
            sure += has
    return sure + min(more, quota.spare) >= wanted


def share_out(found: list[int], quota: Quota, wanted: int) -> tuple[list[int], list[int]]:
    """The best candidates within the quota, in the order of their slots; and the others."""
    ids, base, level, extra, spare = quota.ids, quota.base, quota.level, quota.extra, quota.spare
    got, chosen, rest = [0] * len(base), [], []
    for entry in found:
        domain = ids[entry & LOW]
        many = got[domain]
        if many >= base[domain]:
            if many > base[domain] or not spare or not extra[domain]:
                rest.append(entry)
                continue
            spare -= 1
        got[domain] = many + 1
        chosen.append((level[domain] + many) << LEVEL | entry)
    if quota.even:
        chosen.sort()
        return [entry & ENTRY for entry in chosen], rest
    return [entry & ENTRY for entry in chosen[:wanted]], sorted([*rest, *[entry & ENTRY for entry in chosen[wanted:]]])
