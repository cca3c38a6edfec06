# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.health: what a host asks its containers, beside their own healthcheck - ready for traffic, and alive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import show
from .findings import Findings
from .units import seconds

KINDS = ("http", "tcp", "grpc")
PROBES = ("ready", "live")
# As Kubernetes' probes, but for the interval: a dead one shall be out of names within 5 s.
DEFAULTS: dict[str, Any] = {"interval": 1.5, "timeout": 1.0, "retries": 2, "start_period": 0.0}
LIVE_DEFAULTS: dict[str, Any] = {"interval": 10.0, "timeout": 1.0, "retries": 3, "start_period": 0.0}
LEAST_INTERVAL, LONGEST_TIMEOUT = 0.5, 60.0
_PATH = re.compile(r"/[!-~]*")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?")
_SERVICE = re.compile(r"[A-Za-z0-9_.]{0,200}")


def compile_health(own: Mapping[str, Any]) -> dict[str, Any]:
    """{ready: probe, live: probe} of x-stowage.health in its normal form; {} if nothing is stated.

    A probe is {kind: http | tcp | grpc, port, path, host, service, interval, timeout, retries, start_period}, times in
    seconds; path and host with http, service with grpc.
    """
    stated = own.get("health") or {}
    return {name: _probe(name, stated[name]) for name in PROBES if stated.get(name)}


def _probe(name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    kind = next(kind for kind in KINDS if stated.get(kind))
    target, usual = stated[kind], DEFAULTS if name == "ready" else LIVE_DEFAULTS
    made = {"kind": kind, "port": int(target["port"])}
    if kind == "http":
        made.update({"path": target.get("path", "/"), "host": target.get("host", "")})
    if kind == "grpc":
        made["service"] = target.get("service", "")
    times = {key: seconds(stated.get(key), usual[key]) for key in ("interval", "timeout", "start_period")}
    return {**made, **times, "retries": int(stated.get("retries") or usual["retries"])}


def check_health(findings: Findings, path: tuple[str, ...], own: Mapping[str, Any]) -> None:
    """Add a finding for each mistake in x-stowage.health. path: of x-stowage."""
    stated = own.get("health") or {}
    for name in PROBES:
        if name in stated:
            _check_probe(findings, (*path, "health", name), stated[name] or {})


def _check_probe(findings: Findings, path: tuple[str, ...], stated: Mapping[str, Any]) -> None:
    kinds = [kind for kind in KINDS if kind in stated]
    if len(kinds) != 1:
        reason = f"has {' and '.join(kinds) or 'nothing to ask'}"
        findings.add(path, "STW-HEALTH", reason, "write one of http, tcp or grpc, as http: {port: 8080, path: /ready}")
        return
    kind, target = kinds[0], stated[kinds[0]] or {}
    port = target.get("port")
    if not isinstance(port, int) or not 1 <= port <= 65535:
        findings.add(
            (*path, kind, "port"), "STW-HEALTH", f"{show(port)} is no port", "write the container's port, 1 to 65535"
        )
    for key, pattern, fix in (
        ("path", _PATH, "write /path"),
        ("host", _HOST, "write a host name"),
        ("service", _SERVICE, "write package.Service"),
    ):
        if key in target and not pattern.fullmatch(target[key]):
            findings.add((*path, kind, key), "STW-HEALTH", f"{show(target[key])} is no {key} to ask for", fix)
    _check_times(findings, path, stated)


def _check_times(findings: Findings, path: tuple[str, ...], stated: Mapping[str, Any]) -> None:
    if "interval" in stated and seconds(stated["interval"], 0.0) < LEAST_INTERVAL:
        findings.add((*path, "interval"), "STW-HEALTH", "is shorter than 0.5 s", "write 500ms or more")
    if "timeout" in stated and not 0 < seconds(stated["timeout"], 0.0) <= LONGEST_TIMEOUT:
        findings.add((*path, "timeout"), "STW-HEALTH", "is not within 1ms and 60s", "write 1s")
    if "retries" in stated and not 1 <= int(stated["retries"]) <= 100:
        findings.add((*path, "retries"), "STW-HEALTH", "is not within 1 and 100", "write 2")
