# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Volume pins: a local volume holds its service; a missing or unseen one blocks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem
from .slots import names


def blocked_by_volumes(
    services: Iterable[Mapping[str, Any]],
    observations: Mapping[str, Mapping[str, Any]],
    unknown: Iterable[str],
    recreate: Iterable[str] = (),
    moving: Mapping[str, Problem] | None = None,
) -> dict[str, Problem]:
    """{service name: why nothing of it may be started or moved}.

    Blocked: a volume this fleet once made on a host is gone from it (unless `recreate` names the volume), and a
    replicated service's volume that is nowhere to be seen while hosts are unknown (it may be there). moving: volumes
    that are on their way between hosts, and why nothing may use them (storage.settled).
    """
    seen = _Volumes(
        missing=_missing(observations),
        present={volume["name"] for seen in observations.values() for volume in seen["volumes"]},
        unknown=sorted(unknown),
        recreate=set(recreate),
        moving=moving or {},
    )
    blocked: dict[str, Problem] = {}
    for service in services:
        for volume in service["volumes"]:
            if volume.get("mount"):
                continue  # it is wherever its class is mounted
            for name in names(service, volume["name"]).values():
                problem = _problem(service, {**volume, "name": name}, volume["name"], seen)
                if problem:
                    blocked.setdefault(service["name"], problem)
    return blocked


class _Volumes(NamedTuple):
    missing: dict[str, list[str]]
    present: set[str]
    unknown: list[str]
    recreate: set[str]
    moving: Mapping[str, Problem]


def _problem(service: Mapping[str, Any], volume: Mapping[str, Any], stated: str, seen: _Volumes) -> Problem | None:
    name = volume["name"]
    if name in seen.moving:
        return seen.moving[name]._replace(place=service["name"])
    if name in seen.missing and not {name, stated} & seen.recreate:
        hosts = ", ".join(seen.missing[name])
        reason = f"volume {name} was made on {hosts} and is gone from there"
        fix = f"restore it, or accept an empty one with -e stowage_recreate_volumes={name}"
        return Problem("STW-VOLUME", service["name"], reason, fix)
    if volume.get("external") and name not in seen.present and not seen.unknown:
        reason = f"external volume {name} exists on no host"
        return Problem("STW-VOLUME", service["name"], reason, "create it on the host that shall run the service")
    if seen.unknown and service["mode"] != "global" and name not in seen.present:
        reason = f"volume {name} is on no host that answered; it may be on {', '.join(seen.unknown)}"
        return Problem("STW-VOLUME", service["name"], reason, "bring the host back: nothing starts without its data")
    return None


def _missing(observations: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    gone: dict[str, list[str]] = {}
    for node in sorted(observations):
        seen = observations[node]
        for name in sorted(set(seen["volume_claims"]) - {volume["name"] for volume in seen["volumes"]}):
            gone.setdefault(name, []).append(node)
    return gone
