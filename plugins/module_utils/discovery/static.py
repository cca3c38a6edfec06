# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Traefik's static configuration: entry points, the fence, the watched directory; no API, no telemetry home."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fence import FENCE_HOST
from .options import FENCE_ENTRYPOINT, SETTINGS, ingress_options

DYNAMIC_DIRECTORY = "/var/lib/stowage/traefik/dynamic"
# The default of 2 s would hold back the second of two changes; one rename is one event, so little is coalesced.
THROTTLE = "250ms"


def traefik_static(settings: Any) -> dict[str, Any]:
    """Traefik's static configuration for the variable `stowage_ingress`, as a mapping (its file is YAML).

    Routers without entry points go to all public ones over TCP, never to the fence's. `static` in the settings is
    merged over the result, mapping by mapping. Raises StowageError as `ingress_options` does.
    """
    ingress_options(settings)
    merged = {**SETTINGS, **(settings or {})}
    result: dict[str, Any] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "WARN"},
        "ping": {"manualRouting": True},
        "entryPoints": {
            **_public(merged["entrypoints"]),
            FENCE_ENTRYPOINT: {"address": f"{FENCE_HOST}:{merged['fence_port']}"},
        },
        "providers": {
            "providersThrottleDuration": THROTTLE,
            "file": {"directory": DYNAMIC_DIRECTORY, "watch": True},
        },
    }
    if merged["drain"]:
        _draining(result["entryPoints"], float(merged["drain"]))
    if merged["access_log"]:
        result["accessLog"] = {"format": "json"}
    if merged["metrics"]:
        result["metrics"] = {"prometheus": {}}
    return _closed(_over(result, merged["static"]))


def _draining(entrypoints: dict[str, Any], seconds: float) -> None:
    """On SIGTERM say not ready at once, but serve so much longer; connections end before that time is over.

    So a balancer has found out, and no client has a connection left, when Traefik stops listening.
    """
    for name, one in entrypoints.items():
        if one["address"].lower().endswith("/udp"):
            continue
        transport: dict[str, Any] = {"lifeCycle": {"requestAcceptGraceTimeout": f"{seconds:g}s", "graceTimeOut": "10s"}}
        if name != FENCE_ENTRYPOINT:
            transport["keepAliveMaxTime"] = f"{seconds / 2:g}s"
        one["transport"] = _over(transport, one.get("transport") or {})


def _closed(static: dict[str, Any]) -> dict[str, Any]:
    """Metrics on the fence's loopback port where no entry point is named: Traefik would open port 8080 to all."""
    metrics = static.get("metrics")
    if isinstance(metrics, Mapping) and "prometheus" in metrics:
        prometheus = {"entryPoint": FENCE_ENTRYPOINT, **(metrics["prometheus"] or {})}
        static["metrics"] = {**metrics, "prometheus": prometheus}
    return static


def _public(entrypoints: Mapping[str, Any]) -> dict[str, Any]:
    full = {name: dict(one) if isinstance(one, Mapping) else {"address": one} for name, one in entrypoints.items()}
    chosen = any(one.get("asDefault") for one in full.values())
    for one in full.values():
        if not chosen and not one["address"].lower().endswith("/udp"):
            one["asDefault"] = True
    return full


def _over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """base with more merged over it, mapping by mapping."""
    result = dict(base)
    for key, value in more.items():
        mine = result.get(key)
        result[key] = _over(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return result
