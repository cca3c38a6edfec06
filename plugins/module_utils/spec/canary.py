# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.canary: a few tasks of a new version beside the old ones, and which requests they get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..amounts import part_of
from ..errors import show
from .findings import Findings
from .rolling import stops_first
from .units import seconds

WHOLE = 100
CODE = "STW-CANARY"


def compile_canary(own: Mapping[str, Any]) -> dict[str, Any]:
    """{canary: {replicas, weight, match, mirror, hold}} of x-stowage.canary; {} if it is not stated.

    replicas: a number or a percentage of the service's, as much as the weight if not stated. weight: percent of the
    requests. match: a Traefik rule or "". mirror: percent of the requests or None. hold: seconds until the canary is
    promoted by itself, or None: it waits for a word.
    """
    stated = own.get("canary")
    if not stated:
        return {}
    weight = stated.get("weight", 0)
    made = {
        "replicas": stated.get("replicas", f"{weight}%"),
        "weight": weight,
        "match": stated.get("match", ""),
        "mirror": (stated.get("mirror") or {}).get("percent"),
        "hold": seconds(stated["hold"]) if stated.get("hold") else None,
    }
    return {"canary": made}


def canary_replicas(canary: Mapping[str, Any], replicas: int) -> int:
    """How many tasks the canary of a service with so many has: at least 1."""
    return max(1, part_of(canary["replicas"], replicas, up=True))


def check_canaries(findings: Findings, services: Mapping[str, Any]) -> None:
    """Mistakes in x-stowage.canary of each service that do not need its routes (those: discovery)."""
    for name, service in services.items():
        own = service.get("x-stowage") or {}
        if "canary" in own:
            path = ("services", name, "x-stowage", "canary")
            _place(findings, path, service)
            _shares(findings, path, own["canary"] or {})


def _place(findings: Findings, path: tuple[str, ...], service: Mapping[str, Any]) -> None:
    mode = (service.get("deploy") or {}).get("mode", "replicated")
    if mode != "replicated":
        findings.add(path, CODE, f"a service of mode {mode} has no canary", "write mode: replicated, or remove canary")
    elif stops_first(service):
        reason = "its old and new tasks cannot run side by side (stop-first)"
        findings.add(path, CODE, reason, "remove what they would share and order: stop-first, or remove canary")


def _shares(findings: Findings, path: tuple[str, ...], stated: Mapping[str, Any]) -> None:
    weight, mirror = stated.get("weight"), stated.get("mirror")
    _percent(findings, (*path, "weight"), weight, 0)
    if mirror is not None:
        if "percent" not in mirror:
            findings.add((*path, "mirror"), CODE, "says not how much is copied", "write mirror: {percent: 10}")
        _percent(findings, (*path, "mirror", "percent"), mirror.get("percent"), 1)
        if weight:
            reason = "what is copied is answered by the old tasks: the canary cannot have a weight too"
            findings.add((*path, "mirror"), CODE, reason, "remove weight, or mirror")
    if not weight and mirror is None and not stated.get("match"):
        findings.add(path, CODE, "its canary would get no request", "write weight: 20, match or mirror")
    replicas = stated.get("replicas")
    if replicas in (0, "0%"):
        findings.add((*path, "replicas"), CODE, f"{show(replicas)} tasks are no canary", "write 1 or more, or 25%")
    if stated.get("hold") and not seconds(stated["hold"]):
        findings.add((*path, "hold"), CODE, "0s is no time to watch", "write hold: 10m, or remove it")


def _percent(findings: Findings, path: tuple[str, ...], value: int | None, least: int) -> None:
    if value is not None and not least <= value <= WHOLE:
        findings.add(path, CODE, f"{value} is not within {least} and {WHOLE}", "write a percentage such as 20")
