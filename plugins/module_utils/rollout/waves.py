# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waves: which changes go together, from each service's own update policy and what it depends on.

A Wave is {number, changes: [Change], delay: seconds before it starts}. Services roll side by side: each begins in the
first wave that what it depends on leaves open, and goes on with a batch in every wave. New and put-back tasks of a
service go at once in its first wave; replacements and moves go in batches of update.parallelism (0 = all), fewer where
max_unavailable or min_available say so; what is surplus leaves in the service's last wave; services that left their
stack file leave in the last wave of all. Jobs before a roll go before everything of their stack that they do not need.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..amounts import part_of
from ..errors import Problem, StowageError
from .changes import Change

ROLLED = ("replace", "move", "reload")
NOT_ROLLED = ("create", "start", "await")
Services = Mapping[str, Mapping[str, Any]]


def waves(
    changes: Iterable[Change], services: Services, wanted: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """The plan's waves, in order. services: {name: Service}; wanted: {name: tasks}, of global services at least.

    Raises StowageError (STW-UPDATE-NEVER) where a policy allows no task at all to be replaced.
    """
    by_service: dict[str, list[Change]] = {}
    for change in changes:
        if change["change"] not in ("blocked", "clean"):
            by_service.setdefault(change["service"], []).append(change)
    batches = {
        name: _batches(found, services.get(name), (wanted or {}).get(name)) for name, found in by_service.items()
    }
    starts: dict[str, int] = {}
    needs = _needs(services)
    for name in sorted(batches):
        _first_wave(name, batches, needs, starts)
    total = max((starts[name] + len(batches[name]) for name in batches if name in services), default=0)
    result = []
    for number in range(max(total, 1) if batches else 0):
        content, delay = _content(number, total, batches, starts, services)
        result.append({"number": number + 1, "changes": content, "delay": delay})
    return result


def _batches(changes: list[Change], service: Mapping[str, Any] | None, whole: int | None) -> list[list[Change]]:
    if service is None:
        return [changes]
    first = [c for c in changes if c["change"] in NOT_ROLLED]
    rolled = [c for c in changes if c["change"] in ROLLED]
    leaving = [c for c in changes if c["change"] == "remove"]
    limit = _limit(service, whole if whole is not None else len(first) + len(rolled), len(rolled))
    batches = [first] if first and limit.first(len(first)) == 0 else []
    while rolled:
        size = limit.size if batches else limit.first(len(first))
        batches.append(rolled[:size] if batches else first + rolled[:size])
        rolled = rolled[size:]
    if not batches:
        return [first + leaving]
    batches[-1] = batches[-1] + leaving
    return batches


class _Limit:
    """How many tasks of a service are replaced at a time."""

    def __init__(self, size: int, away: int | None) -> None:
        """size: by parallelism. away: so many may be away at once, None where nobody is away for an update."""
        self.away = away
        self.size = size if away is None else min(size, away)

    def first(self, missing: int) -> int:
        """The first batch's size, while so many others are not there yet; 0 if they must come first."""
        return self.size if self.away is None else max(min(self.size, self.away - missing), 0)


def _limit(service: Mapping[str, Any], whole: int, rolled: int) -> _Limit:
    policy = service["update"]
    size = part_of(policy["parallelism"], whole) or (1 if isinstance(policy["parallelism"], str) else rolled or 1)
    if policy["order"] != "stop-first":
        return _Limit(size, None)
    stated = []
    if "max_unavailable" in policy:
        stated.append(part_of(policy["max_unavailable"], whole))
    if "min_available" in policy:
        stated.append(whole - part_of(policy["min_available"], whole, up=True))
    if stated and min(stated) < 1 and rolled:
        reason = f"of {whole} tasks none may be away, but stop-first takes one away at a time"
        fix = "allow one more under x-stowage.update, or write order: start-first"
        raise StowageError(Problem("STW-UPDATE-NEVER", f"service {service['name']}", reason, fix))
    return _Limit(size, min(stated) if stated else None)


def _needs(services: Services) -> dict[str, list[str]]:
    """{service: what must be through before it begins}: depends_on, and the jobs before its stack's roll."""
    jobs: dict[str, list[str]] = {}
    for name, service in services.items():
        if service.get("pre_roll"):
            jobs.setdefault(service["stack"], []).append(name)
    needs = {name: list(service["depends_on"]) for name, service in services.items()}
    for stack, names in jobs.items():
        earlier = _closure(names, services)
        for name, service in services.items():
            if service["stack"] == stack and name not in earlier:
                needs[name] += names
    return needs


def _closure(names: Iterable[str], services: Services) -> set[str]:
    """These services and everything they depend on."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += services.get(name, {}).get("depends_on", [])
    return found


def _first_wave(
    name: str,
    batches: Mapping[str, list[list[Change]]],
    needs: Mapping[str, list[str]],
    starts: dict[str, int],
) -> int:
    """The wave in which a service begins: after the last wave of everything it depends on (cycles were refused)."""
    if name not in starts:
        starts[name] = 0
        for needed in needs.get(name, []):
            before = _first_wave(needed, batches, needs, starts) + len(batches.get(needed, []))
            starts[name] = max(starts[name], before)
    return starts[name]


def _content(
    number: int,
    total: int,
    batches: Mapping[str, list[list[Change]]],
    starts: Mapping[str, int],
    services: Mapping[str, Mapping[str, Any]],
) -> tuple[list[Change], float]:
    content: list[Change] = []
    delay = 0.0
    for name in sorted(batches):
        index = number - (starts[name] if name in services else max(total - 1, 0))
        if 0 <= index < len(batches[name]):
            content += batches[name][index]
            if index > 0:
                delay = max(delay, float(services[name]["update"]["delay"]))
    return content, delay
