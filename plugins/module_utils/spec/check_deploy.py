# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mistakes in how many run, where, and how they are updated: deploy, ports, restart, x-stowage."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from ..errors import show
from ..scheduler.constraints import network_of
from .depending import runs_for_ever
from .findings import Findings
from .health import check_health
from .keys import nearest
from .placement import beyond_swarm
from .ports import is_range, span
from .short import PROTOCOLS
from .units import parse_cpus

MODES = ("replicated", "global", "replicated-job", "global-job")
MAX_REPLICAS = 10_000
MIN_MEMORY = 6 * 1024 * 1024  # the Engine refuses less
CONDITIONS = ("any", "on-failure", "none")
STRATEGIES = ("spread", "binpack", "round_robin")
RESERVED_PORTS = {(22, "tcp"): "sshd", (2375, "tcp"): "Docker", (2376, "tcp"): "Docker", (4789, "udp"): "VXLAN"}
NODE_KEYS = ("node.id", "node.hostname", "node.role", "node.ip", "node.platform.os", "node.platform.arch")
NODE_PREFIXES = ("node.labels.", "engine.labels.")
NETWORK = "write node.ip == 192.0.2.7 or node.ip == 192.0.2.0/24"
_CONSTRAINT = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.\-/]*)\s*(==|!=)\s*(\S(?:.*\S)?)\s*")
_VALUE = re.compile(r"[A-Za-z0-9:\-_.*()?+\[\]\\^$|/ ]+")
_PLATFORM = re.compile(r"[a-z0-9]+(/[a-z0-9_]+(/[a-z0-9]+)?)?")
_RESTART = re.compile(r"no|always|unless-stopped|on-failure(?::[0-9]{1,6})?")


def check(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    """Note the mistakes of one service's deployment."""
    deploy = service.get("deploy") or {}
    path = ("services", name, "deploy")
    _mode(findings, path, deploy)
    _placement(findings, path, deploy.get("placement") or {})
    _resources(findings, path, deploy.get("resources") or {})
    _restart(findings, name, service)
    for part in ("update_config", "rollback_config"):
        _update(findings, (*path, part), deploy.get(part) or {}, service)
    _ports(findings, name, service)
    _platform(findings, ("services", name), service)
    _own(findings, name, service.get("x-stowage") or {})
    findings.labels((*path, "labels"), deploy.get("labels"))


def _mode(findings: Findings, path: tuple[Any, ...], deploy: Mapping[str, Any]) -> None:
    mode, replicas = deploy.get("mode", "replicated"), deploy.get("replicas")
    if mode not in MODES:
        fix = nearest(mode, MODES) or "write replicated or global"
        findings.add((*path, "mode"), "STW-MODE", f"mode {show(mode)} is not supported", fix)
    if mode.startswith("global") and replicas is not None:
        findings.add((*path, "replicas"), "STW-REPLICAS", "a global service has no replicas", "remove replicas")
    if replicas is not None and not 0 <= replicas <= MAX_REPLICAS:
        reason = f"{show(replicas)} replicas are outside 0 to {MAX_REPLICAS}"
        findings.add((*path, "replicas"), "STW-REPLICAS", reason, "give a number in this range")
    if deploy.get("endpoint_mode", "vip") not in ("vip", "dnsrr"):
        reason = f"{show(deploy['endpoint_mode'])} is unknown"
        findings.add((*path, "endpoint_mode"), "STW-MODE", reason, "write dnsrr or vip")


def _placement(findings: Findings, path: tuple[Any, ...], placement: Mapping[str, Any]) -> None:
    at = (*path, "placement", "constraints")
    for text in placement.get("constraints", ()):
        mistake = constraint_mistake(text)
        if mistake:
            findings.add((*at, text), "STW-CONSTRAINT", f"{show(text)} {mistake[0]}", mistake[1])
    for item in placement.get("preferences", ()):
        spread = item.get("spread", "")
        if spread not in NODE_KEYS and not (spread.startswith(NODE_PREFIXES) and not spread.endswith(".")):
            fix = nearest(spread, NODE_KEYS) or "write spread: node.labels.zone"
            reason = f"spread {show(spread)} is no node key"
            findings.add((*path, "placement", "preferences"), "STW-CONSTRAINT", reason, fix, item)


def constraint_mistake(text: str) -> tuple[str, str] | None:
    """(reason, fix) if the text is no constraint `key == value` or `key != value` with a known key; None if it is."""
    if beyond_swarm(text):
        return "is more than Swarm's == and !=", "write it under x-stowage.placement.constraints"
    match = _CONSTRAINT.fullmatch(text)
    if not match or not _VALUE.fullmatch(match.group(3)):
        single = re.fullmatch(r"\s*([^=!\s]+)\s*=\s*([^=\s]+)\s*", text)
        fix = f"write {single.group(1)} == {single.group(2)}" if single else "write node.labels.zone == a"
        return "is no constraint", fix
    key = match.group(1)
    low = key.lower()
    if low == "node.ip" and network_of(match.group(3)) is None:
        return f"compares with {show(match.group(3))}: neither an address nor a network", NETWORK
    if low in NODE_KEYS or any(low.startswith(p) and len(low) > len(p) for p in NODE_PREFIXES):
        return None
    known = [*NODE_KEYS, *(f"{prefix}<name>" for prefix in NODE_PREFIXES)]
    return f"has the unknown key {show(key)}", nearest(key, known) or f"known: {', '.join(known)}"


def _resources(findings: Findings, path: tuple[Any, ...], resources: Mapping[str, Any]) -> None:
    limits, reserved = resources.get("limits") or {}, resources.get("reservations") or {}
    at = (*path, "resources")
    for key, read in (("cpus", parse_cpus), ("memory", int)):
        limit, wanted = (read(part[key]) if key in part else None for part in (limits, reserved))
        if limit is not None and wanted is not None and wanted > limit > 0:
            reason = f"reserves {reserved[key]} {key} but is limited to {limits[key]}"
            findings.add((*at, "reservations", key), "STW-RESOURCES", reason, "raise the limit or reserve less")
    if 0 < int(limits.get("memory", 0)) < MIN_MEMORY:
        reason = f"limit of {limits['memory']} bytes is under {MIN_MEMORY}"
        findings.add((*at, "limits", "memory"), "STW-RESOURCES", reason, "give at least 6m")
    for item in reserved.get("generic_resources", ()):
        spec = item["discrete_resource_spec"]
        if spec["value"] < 1 or spec["kind"] in ("cpus", "memory"):
            reason = f"{show(spec['kind'])}: {spec['value']} is no generic resource"
            findings.add((*at, "reservations"), "STW-RESOURCES", reason, "give a kind and a number from 1", item)


def _restart(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    condition = ((service.get("deploy") or {}).get("restart_policy") or {}).get("condition", "any")
    if condition not in CONDITIONS:
        path = ("services", name, "deploy", "restart_policy", "condition")
        fix = "write any" if condition in ("always", "unless-stopped") else nearest(condition, CONDITIONS)
        reason = f"condition {show(condition)} is unknown"
        findings.add(path, "STW-RESTART", reason, fix or f"write {', '.join(CONDITIONS)}")
    if str((service.get("deploy") or {}).get("mode", "")).endswith("-job") and runs_for_ever(service):
        at = ("services", name, "deploy", "mode")
        findings.add(at, "STW-RESTART", "a job that is started again whenever it ends", "write condition: on-failure")
    restart = service.get("restart", "no")
    if not _RESTART.fullmatch(restart):
        fix = "write no, always, unless-stopped, on-failure or on-failure:3"
        findings.add(("services", name, "restart"), "STW-RESTART", f"{show(restart)} is unknown", fix)


def _update(findings: Findings, path: tuple[Any, ...], update: Mapping[str, Any], service: Mapping[str, Any]) -> None:
    actions = ("pause", "continue", "rollback") if path[-1] == "update_config" else ("pause", "continue")
    action = update.get("failure_action", "pause")
    if action not in actions:
        fix = nearest(action, actions) or f"write {', '.join(actions)}"
        findings.add((*path, "failure_action"), "STW-UPDATE", f"failure_action {show(action)} is unknown", fix)
    if not 0 <= update.get("max_failure_ratio", 0) <= 1:
        reason = f"{update['max_failure_ratio']} is outside 0 to 1"
        findings.add((*path, "max_failure_ratio"), "STW-UPDATE", reason, "give a share such as 0.2")
    if update.get("order") == "start-first" and host_ports(service):
        reason = f"start-first, but port {host_ports(service)[0]} of the host is held by the old container"
        findings.add((*path, "order"), "STW-UPDATE", reason, "write stop-first, or publish in mode ingress")


def host_ports(service: Mapping[str, Any]) -> list[int]:
    """Host ports (mode host) of a service in normal form that a replica holds; of a range, the first."""
    ports = service.get("ports", ())
    return [span(port)[0] for port in ports if port.get("mode") == "host" and port.get("published")]


def _ports(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    for index, port in enumerate(service.get("ports", ())):
        at = ("services", name, "ports", index)
        target, (published, last) = port.get("target", 0), span(port)
        protocol = port.get("protocol", "tcp")
        if not (1 <= target <= 65535 and 0 <= published <= 65535):
            reason = f"target {show(target)}, published {show(published)}: not both from 1 to 65535"
            findings.add(at, "STW-PORT", reason, "give ports in this range", port)
        if is_range(port) and port.get("mode") != "host":
            reason = f"published {show(port['published'])} is any one free port of a host, and mode is ingress"
            fix = f'write mode: host; or "{port["published"]}:{target}" as text, which publishes all of them'
            findings.add(at, "STW-PORT", reason, fix, port)
        if protocol not in PROTOCOLS or port.get("mode", "ingress") not in ("ingress", "host"):
            reason = f"protocol {show(protocol)}, mode {show(port.get('mode', 'ingress'))}"
            findings.add(at, "STW-PORT", reason, f"write {', '.join(PROTOCOLS)}; ingress or host", port)
        if not _address(port.get("host_ip", "::")):
            reason = f"host_ip {show(port['host_ip'])} is no address"
            findings.add(at, "STW-PORT", reason, "write an IP address of the hosts", port)
        held = next((at for at in RESERVED_PORTS if at[1] == protocol and published <= at[0] <= last), None)
        if held:
            reason = f"port {held[0]}/{protocol} of the hosts belongs to {RESERVED_PORTS[held]}"
            findings.add(at, "STW-PORT", reason, "publish another port", port)


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _platform(findings: Findings, path: tuple[Any, ...], service: Mapping[str, Any]) -> None:
    text = service.get("platform", "linux")
    if not _PLATFORM.fullmatch(text):
        findings.add((*path, "platform"), "STW-TYPE", f"{show(text)} is no platform", "write linux/amd64")


def _own(findings: Findings, name: str, own: Mapping[str, Any]) -> None:
    """x-stowage."""
    path = ("services", name, "x-stowage")
    check_health(findings, path, own)
    strategy = (own.get("placement") or {}).get("strategy", "spread")
    if strategy not in STRATEGIES:
        fix = nearest(strategy, STRATEGIES) or f"write {' or '.join(STRATEGIES)}"
        findings.add((*path, "placement", "strategy"), "STW-PLACEMENT", f"{show(strategy)} is unknown", fix)
    for host_path in own.get("allow_host_paths", ()):
        if not host_path.startswith("/") or ".." in host_path.split("/"):
            reason = f"{show(host_path)} is no plain absolute path"
            findings.add((*path, "allow_host_paths", host_path), "STW-BIND", reason, "write /path")
