# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Waves: which changes go together, from each service's own update policy and what it depends on.

A Wave is {number, changes: [Change], delay: seconds before it starts}. New and put-back tasks of a service go at once
in its first wave; replacements and moves go in batches of update.parallelism (0 = all); what is surplus leaves in the
service's last wave; services that left their stack file leave in the last wave of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .changes import Change

ROLLED = ("replace", "move", "reload")
NOT_ROLLED = ("create", "start", "await")


def waves(changes: Iterable[Change], services: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The plan's waves, in order. services: {name: Service}."""
    by_service: dict[str, list[Change]] = {}
    for change in changes:
        if change["change"] not in ("blocked", "clean"):
            by_service.setdefault(change["service"], []).append(change)
    batches = {name: _batches(found, services.get(name)) for name, found in by_service.items()}
    starts: dict[str, int] = {}
    for name in sorted(batches):
        _first_wave(name, batches, services, starts)
    total = max((starts[name] + len(batches[name]) for name in batches if name in services), default=0)
    result = []
    for number in range(max(total, 1) if batches else 0):
        content, delay = _content(number, total, batches, starts, services)
        result.append({"number": number + 1, "changes": content, "delay": delay})
    return result


def _batches(changes: list[Change], service: Mapping[str, Any] | None) -> list[list[Change]]:
    if service is None:
        return [changes]
    first = [c for c in changes if c["change"] in NOT_ROLLED]
    rolled = [c for c in changes if c["change"] in ROLLED]
    leaving = [c for c in changes if c["change"] == "remove"]
    size = service["update"]["parallelism"] or len(rolled) or 1
    batches = [rolled[start : start + size] for start in range(0, len(rolled), size)]
    if not batches:
        return [first + leaving]
    batches[0] = first + batches[0]
    batches[-1] = batches[-1] + leaving
    return batches


def _first_wave(
    name: str,
    batches: Mapping[str, list[list[Change]]],
    services: Mapping[str, Mapping[str, Any]],
    starts: dict[str, int],
) -> int:
    """The wave in which a service begins: after the last wave of everything it depends on (cycles were refused)."""
    if name not in starts:
        starts[name] = 0
        for needed in services.get(name, {}).get("depends_on", []):
            before = _first_wave(needed, batches, services, starts) + len(batches.get(needed, []))
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
