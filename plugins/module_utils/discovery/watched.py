# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's own watch is told of a service's health: which probes, and what its restart policy allows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .defaults import health_path

# A dead one is out of names within 5 s: two looks, each of at most a second.
GUESSED = {"interval": 1.5, "timeout": 1.0, "retries": 2, "start_period": 0.0, "guess": True}


def watched_health(service: Mapping[str, Any]) -> dict[str, Any]:
    """{ready: probe, live: probe, restart: condition, max_attempts} of a Service; only what differs from nothing.

    A probe is {kind: http | tcp | grpc, port, path, host, service, interval, timeout, retries, start_period}, seconds
    as numbers. Without x-stowage.health.ready it is made from the container's own healthcheck, where that fetches one
    local http URL; such a `guess` counts only after it was right once, and never takes a service's last task away.
    """
    stated = service.get("health") or {}
    found: dict[str, Any] = {key: dict(stated[key]) for key in ("ready", "live") if stated.get(key)}
    guessed = None if found.get("ready") else guess(service)
    if guessed:
        found["ready"] = guessed
    restart = (service.get("template") or {}).get("restart") or {}
    if restart.get("condition", "any") != "any":
        found["restart"] = restart["condition"]
    if restart.get("max_attempts"):
        found["max_attempts"] = int(restart["max_attempts"])
    return found


def guess(service: Mapping[str, Any]) -> dict[str, Any] | None:
    """The http probe that the container's own healthcheck amounts to, or None."""
    check = health_path(service)
    if check is None or not check["port"]:
        return None
    return {"kind": "http", "port": int(check["port"]), "path": check["path"], "host": check["hostname"], **GUESSED}
