# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules of one service that no fleet whatsoever can satisfy together: bad input, both are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from . import constraints as ask
from .constraints import Constraint
from .grammar import rule_text
from .model import Affinity, CountRule, Service

SINGLE = (ask.EQUAL, ask.IN)


def pairs(constraints: Sequence[Constraint]) -> Iterator[str]:
    """Every pair of constraints that exclude each other, in words: what a stack file may not say."""
    for at, one in enumerate(constraints):
        for other in constraints[at + 1 :]:
            if excludes(one, other):
                yield f"{one} and {other} exclude each other"


def relations(service: Service) -> Iterator[str]:
    """Count rules and affinities of a service that exclude each other, in words: what schedule() refuses."""
    for limit in _kind(service, "max_per"):
        for cluster in _kind(service, "cluster"):
            if limit.key == cluster.key and service.replicas > limit.number:
                both = f"{rule_text(limit)} and {rule_text(cluster)}"
                yield f"{both} leave room for {limit.number} of {service.replicas} replicas"
    for cluster in _kind(service, "cluster"):
        for other in service.rules:
            if _parted(cluster, other):
                yield f"{rule_text(cluster)} and {rule_text(other)} exclude each other"
    for affinity in opposed(service.affinities):
        what = f"service {affinity.service}" if affinity.service else f"group {affinity.group}"
        yield f"affinity and anti_affinity to {what} over {affinity.domain} are both required"


def opposed(affinities: Sequence[Affinity]) -> list[Affinity]:
    """Those that are required both ways: towards and away from the same within the same domain."""
    away = {one[:3] for one in affinities if one.required and one.anti}
    return [one for one in affinities if one.required and not one.anti and one[:3] in away]


def _kind(service: Service, kind: str) -> list[CountRule]:
    return [rule for rule in service.rules if rule.kind == kind]


def _parted(cluster: CountRule, other: CountRule) -> bool:
    if cluster.key != other.key:
        return False
    if other.kind == "cluster":
        return cluster < other and bool(cluster.value and other.value) and not ask.same(cluster.value, other.value)
    return other.kind == "group_by" and other.number > 1


def excludes(one: Constraint, other: Constraint) -> bool:
    """True if no value of their common key satisfies both. Only what is certain: or-groups by each alternative."""
    if one.alternatives or other.alternatives:
        return all(excludes(a, b) for a in one.parts() for b in other.parts())
    if one.key != other.key or one.key == ask.IP:
        return False
    if ask.NOT_EXISTS in (one.operator, other.operator):
        kept = other if one.operator == ask.NOT_EXISTS else one
        return kept.operator not in (ask.NOT_EXISTS, ask.UNEQUAL, ask.NOT_IN, ask.UNLIKE)
    for listed, judged in ((one, other), (other, one)):
        if listed.operator in SINGLE:
            return not any(ask.satisfies(judged, text) for text in ask.wishes(listed))
    return _apart(one, other)


def _apart(one: Constraint, other: Constraint) -> bool:
    """True for two numeric bounds with nothing between them."""
    bounds = {">": 1, ">=": 1, "<": -1, "<=": -1}
    if one.operator not in bounds or other.operator not in bounds or bounds[one.operator] == bounds[other.operator]:
        return False
    low, high = (one, other) if bounds[one.operator] == 1 else (other, one)
    least, most = Decimal(low.value), Decimal(high.value)
    return least > most or (least == most and not (low.operator == ">=" and high.operator == "<="))
