# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.update and x-stowage.before: how a new version replaces an old one, as far as Compose cannot say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..amounts import part_of
from ..errors import show
from .check_deploy import host_ports
from .depending import before, runs_for_ever
from .document import KeyPath
from .findings import Findings
from .forms import read_int
from .interpolation import Substituted
from .keys import nearest
from .reader import Reader, form
from .units import seconds

_PERCENT = re.compile(r"([0-9]{1,3})%")
DEFAULT_MONITOR = 5.0  # seconds, where only time tells
ENGINE_INTERVAL = 30.0  # seconds between two checks of a healthcheck that does not say
Service = Mapping[str, Any]


@form("number_or_percent")
def read_amount(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A whole number from 0, or `25%` of the replicas."""
    if isinstance(value, str) and not (isinstance(value, Substituted) and value.isdigit()):
        match = _PERCENT.fullmatch(value)
        if match and int(match.group(1)) <= 100:
            return f"{int(match.group(1))}%"
        return reader.refuse(path, "STW-UPDATE", f"{show(value)} is no amount", "write a number such as 2, or 25%")
    value = read_int(reader, path, value)
    if isinstance(value, int) and value < 0:
        return reader.refuse(path, "STW-UPDATE", f"{value} is negative", "write a number from 0, or 25%")
    return value


def compile_update(stated: Mapping[str, Any], service: Service, tested: bool) -> dict[str, Any]:
    """update_config or rollback_config with defaults; start-first unless two copies would share something.

    tested: the service has a healthcheck. delay and monitor are seconds.
    """
    return {
        "parallelism": stated.get("parallelism", 1),
        "delay": seconds(stated.get("delay")),
        "monitor": seconds(stated.get("monitor"), 0.0 if tested else DEFAULT_MONITOR),
        "order": stated.get("order", "stop-first" if shares(service) else "start-first"),
        "failure_action": stated.get("failure_action", "pause"),
        "max_failure_ratio": float(stated.get("max_failure_ratio", 0)),
    }


def versions(services: Mapping[str, Service]) -> dict[str, list[str]]:
    """{job before a roll: images of the services that wait for it}: the job runs once for each of these."""
    found: dict[str, set[str]] = {}
    for service in services.values():
        for job in before(service):
            found.setdefault(job, set()).add(service.get("image", ""))
    return {job: sorted(images) for job, images in found.items()}


def check_rolling(findings: Findings, services: Mapping[str, Any]) -> None:
    """Mistakes in how services are rolled: what can never finish, jobs that are none."""
    for name, service in services.items():
        own = service.get("x-stowage") or {}
        if own.get("update"):
            _limits(findings, name, service)
        _ready_timeout(findings, name, service)
        for job in before(service):
            _job(findings, name, job, services)


def stops_first(service: Service) -> bool:
    """True if an update stops the old task before the new one starts, stated or not."""
    stated = ((service.get("deploy") or {}).get("update_config") or {}).get("order")
    return bool(stated == "stop-first" if stated else shares(service))


def shares(service: Service) -> bool:
    """True if two tasks of a service in normal form would share data that they write, an address, or a host port."""
    mounts = service.get("volumes", ())
    writes = any(not m.get("read_only") and m.get("source") and m.get("type") in ("volume", "bind") for m in mounts)
    fixed = any((item or {}).get("ipv4_address") for item in (service.get("networks") or {}).values())
    return writes or fixed or bool(host_ports(service))


def _replicas(service: Service) -> int | None:
    """How many tasks are wanted; None where the number of hosts decides."""
    deploy = service.get("deploy") or {}
    return None if str(deploy.get("mode", "")).startswith("global") else deploy.get("replicas", 1)


def _limits(findings: Findings, name: str, service: Service) -> None:
    """Updates that could never begin: refused before they wait for ever."""
    own, whole = service["x-stowage"]["update"], _replicas(service)
    path, first = ("services", name, "x-stowage", "update"), stops_first(service)
    if own.get("parallelism") == "0%":
        fix = "write 1% or more; a plain 0 is all at once"
        findings.add((*path, "parallelism"), "STW-UPDATE-NEVER", "0% of the tasks at a time never ends", fix)
    if "max_unavailable" in own and first and whole != 0:
        allowed = part_of(own["max_unavailable"], 100 if whole is None else whole)
        if not allowed:
            shown = f"{own['max_unavailable']} of {'all' if whole is None else whole} tasks may be away"
            reason = f"{shown}, but stop-first takes one away at a time"
            fix = "allow 1 or more, or write order: start-first"
            findings.add((*path, "max_unavailable"), "STW-UPDATE-NEVER", reason, fix)
    if "min_available" in own and whole:
        wanted = part_of(own["min_available"], whole, up=True)
        if wanted > whole - first:
            reason = (
                f"{wanted} of {whole} tasks must stay available{', but stop-first takes one away' if first else ''}"
            )
            fix = "allow one less, or write order: start-first" if first else f"write {whole} or less"
            findings.add((*path, "min_available"), "STW-UPDATE-NEVER", reason, fix)


def _ready_timeout(findings: Findings, name: str, service: Service) -> None:
    """The Engine checks health for the first time after one interval: who waits less never sees a healthy task."""
    own, check = service.get("x-stowage") or {}, service.get("healthcheck") or {}
    if "ready_timeout" not in own or not check.get("test") or check.get("disable") or check["test"][0] == "NONE":
        return
    first = seconds(check.get("start_interval") or check.get("interval"), ENGINE_INTERVAL)
    if seconds(own["ready_timeout"]) <= first:
        reason = f"waits {own['ready_timeout']}, but health is checked for the first time after {first:g} s"
        path = ("services", name, "x-stowage", "ready_timeout")
        findings.add(path, "STW-UPDATE-NEVER", reason, "wait longer, or give healthcheck.interval a smaller value")


def _job(findings: Findings, name: str, job: str, services: Mapping[str, Any]) -> None:
    path = ("services", name, "x-stowage", "before", job)
    if job not in services:
        fix = nearest(job, services) or "name a service of this stack, in an active profile"
        findings.add(path, "STW-BEFORE", f"service {show(job)} is not in the stack", fix)
        return
    if runs_for_ever(services[job]):
        reason = f"service {show(job)} is started again whenever it ends"
        findings.add(path, "STW-BEFORE", reason, f"write restart: no or on-failure in {job}")
    if _replicas(services[job]) != 1:
        reason = f"{show(job)} has {'one task on every host' if _replicas(services[job]) is None else 'not one task'}"
        findings.add(path, "STW-BEFORE", reason, "a job before a roll runs once: write replicas: 1")
