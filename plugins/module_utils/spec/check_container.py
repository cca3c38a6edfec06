# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mistakes in what makes a container: image, mounts, files, healthcheck, environment, rights."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import show
from .findings import Findings
from .image import image_mistake
from .units import parse_duration

MOUNT_TYPES = ("volume", "bind", "tmpfs")
GUARDED = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/root", "/sbin", "/sys", "/usr"),
    *("/run/docker.sock", "/run/stowage", "/run/containerd", "/var/run/docker.sock", "/var/run/stowage"),
    *("/var/lib/docker", "/var/lib/containerd", "/var/lib/stowage"),
)
HARMLESS = ("/etc/localtime", "/etc/timezone", "/etc/hostname", "/etc/os-release", "/usr/share/zoneinfo")
_SYSTEM_TARGETS = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/sudoers", "/etc/hosts", "/etc/resolv.conf")
_TEMPLATE = re.compile(r"\{\{[^{}]*\.(Task|Service|Node)\.([A-Za-z.]+)[^{}]*\}\}")
_FILLED = ("Task.Slot", "Task.Name", "Task.ID", "Service.Name", "Service.ID", "Node.Hostname", "Node.ID")
_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9]*(?:[+-][0-9]+)?|[0-9]{1,2}")
MIN_HEALTH = 10**6  # nanoseconds: the Engine refuses less than 1 ms


def check(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    """Note the mistakes of one service's container."""
    _image(findings, name, service)
    _targets(findings, name, service)
    for index, mount in enumerate(service.get("volumes", ())):
        _mount(findings, ("services", name, "volumes", index), mount, service)
    for kind in ("configs", "secrets"):
        for index, item in enumerate(service.get(kind, ())):
            _file(findings, ("services", name, kind, index), item)
    _healthcheck(findings, name, service.get("healthcheck"))
    _texts(findings, name, service)
    findings.labels(("services", name, "labels"), service.get("labels"))


def _image(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    image = service.get("image")
    if not image:
        reason = "has build but no image, and nothing is built" if "build" in service else "has no image"
        findings.add(("services", name, "image"), "STW-IMAGE", reason, "add image: name:tag")
        return
    mistake = image_mistake(image)
    if mistake:
        shown = "the image" if "credentials" in mistake[0] else show(image)
        findings.add(("services", name, "image"), "STW-IMAGE", f"{shown} {mistake[0]}", mistake[1])


def file_target(kind: str, item: Mapping[str, Any]) -> str:
    """Where a config or secret (kind: configs or secrets) is seen in the container."""
    target = item.get("target") or item.get("source", "")
    return posixpath.join("/run/secrets" if kind == "secrets" else "/", str(target))


def _targets(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    """Every path in the container is taken once."""
    taken: set[str] = set()
    for path, target, entry in _all_targets(name, service):
        clean = posixpath.normpath(target) if target else ""
        if clean in taken:
            findings.add(path, "STW-MOUNT", f"target {show(target)} is taken twice", "choose another target", entry)
        taken.add(clean)


def _all_targets(name: str, service: Mapping[str, Any]) -> Iterator[tuple[tuple[Any, ...], str, Any]]:
    for kind in ("volumes", "configs", "secrets"):
        for index, item in enumerate(service.get(kind, ())):
            target = str(item.get("target", "")) if kind == "volumes" else file_target(kind, item)
            yield ("services", name, kind, index), target, item
    for index, text in enumerate(service.get("tmpfs", ())):
        yield ("services", name, "tmpfs", index), text.partition(":")[0], None


def _mount(findings: Findings, path: tuple[Any, ...], mount: Mapping[str, Any], service: Mapping[str, Any]) -> None:
    kind, source, target = mount.get("type"), mount.get("source", ""), mount.get("target", "")
    if kind not in MOUNT_TYPES:
        code = "STW-UNSUPPORTED" if kind in ("cluster", "npipe", "image") else "STW-MOUNT"
        findings.add(path, code, f"mount type {show(kind)} is not supported", f"write {', '.join(MOUNT_TYPES)}", mount)
    if not target.startswith("/") or posixpath.normpath(target) == "/":
        findings.add(path, "STW-MOUNT", f"target {show(target)} is no absolute path", "write /path", mount)
    if ".." in target.split("/"):
        findings.add(path, "STW-MOUNT", f"target {show(target)} goes up with ..", "write the path itself", mount)
    if kind == "bind":
        _bind(findings, path, mount, service)
    if kind == "tmpfs" and source:
        findings.add(path, "STW-MOUNT", "a tmpfs has no source", "leave the source out", mount)


def _bind(findings: Findings, path: tuple[Any, ...], mount: Mapping[str, Any], service: Mapping[str, Any]) -> None:
    source = mount.get("source", "")
    if not source.startswith("/") or ".." in source.split("/"):
        fix = "write the path itself"
        findings.add(path, "STW-MOUNT", f"bind source {show(source)} is no plain absolute path", fix, mount)
        return
    allowed = (service.get("x-stowage") or {}).get("allow_host_paths", ())
    if guarded(source) and not any(_below(source, str(path)) for path in allowed):
        fix = f"add it to x-stowage.allow_host_paths: [{source}]"
        findings.add(path, "STW-BIND", f"host path {show(source)} gives power over the host", fix, mount)


def guarded(source: str) -> bool:
    """True if a host path is, holds, or lies below one that gives power over the host."""
    source = posixpath.normpath("/" + source.lstrip("/"))
    if any(_below(source, path) for path in HARMLESS):
        return False
    return any(_below(source, path) or _below(path, source) for path in GUARDED)


def _below(path: str, parent: str) -> bool:
    return path == parent or path.startswith(parent.rstrip("/") + "/")


def _file(findings: Findings, path: tuple[Any, ...], item: Mapping[str, Any]) -> None:
    target = file_target(path[2], item)
    parts = target.split("/")
    clean = posixpath.normpath(target)
    system = clean in (*_SYSTEM_TARGETS, "/", "/run/secrets") or clean.startswith(("/proc/", "/sys/", "/dev/"))
    if system or ".." in parts or "\0" in target:
        findings.add(path, "STW-TARGET", f"target {show(target)} is not allowed", "write a path of its own", item)
    for key in ("uid", "gid"):
        if not str(item.get(key, "0")).isdigit():
            findings.add(path, "STW-TARGET", f"{key} {show(item[key])} is no number", 'write it as "1000"', item)


def _healthcheck(findings: Findings, name: str, health: Mapping[str, Any] | None) -> None:
    path = ("services", name, "healthcheck")
    if not health:
        return
    test = health.get("test", [])
    if health.get("disable"):
        if test and test != ["NONE"]:
            findings.add(path, "STW-HEALTH", "has both test and disable", "keep one of the two")
        return
    if test and test[0] not in ("CMD", "CMD-SHELL", "NONE"):
        fix = f"write [CMD, {test[0]}, ...] or one text"
        findings.add((*path, "test"), "STW-HEALTH", f"test begins with {show(test[0])}", fix)
    elif test and test[0] != "NONE" and not "".join(test[1:]).strip():
        findings.add((*path, "test"), "STW-HEALTH", "test has no command", "add a command, or disable: true")
    elif test and test[0] == "CMD-SHELL" and len(test) > 2:
        findings.add((*path, "test"), "STW-HEALTH", "CMD-SHELL takes one text", "write CMD, or one text")
    for key in ("interval", "timeout", "start_period"):
        if 0 < parse_duration(health.get(key, "0s")) < MIN_HEALTH or (
            health.get(key) == "0s" and key != "start_period"
        ):
            findings.add((*path, key), "STW-HEALTH", f"{key} {health[key]} is under 1ms", "write 1s or more")


def _texts(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    """Values with a grammar of their own."""
    path = ("services", name)
    hostname = service.get("hostname", "")
    if hostname and "{{" not in hostname and not _HOSTNAME.fullmatch(hostname):
        fix = "use letters, digits, - and ."
        findings.add((*path, "hostname"), "STW-NAME", f"{show(hostname)} is no host name", fix)
    if not _SIGNAL.fullmatch(service.get("stop_signal", "TERM")):
        reason = f"{show(service['stop_signal'])} is no signal"
        findings.add((*path, "stop_signal"), "STW-TYPE", reason, "write SIGTERM or a number")
    if not service.get("working_dir", "/").startswith("/"):
        findings.add((*path, "working_dir"), "STW-TYPE", "is no absolute path", "write /path")
    for server in service.get("dns", ()):
        if not _is_address(server):
            findings.add((*path, "dns", server), "STW-TYPE", f"{show(server)} is no address", "write an IP address")
    for text in service.get("tmpfs", ()):
        if not text.startswith("/"):
            findings.add((*path, "tmpfs", text), "STW-MOUNT", f"{show(text)} is no absolute path", "write /path")
    for key, text in service.get("environment", {}).items():
        if text and "\0" in text:
            findings.add((*path, "environment", key), "STW-ENV", "the value holds NUL", "remove it")
    _templates(findings, name, service)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _templates(findings: Findings, name: str, service: Mapping[str, Any]) -> None:
    """Placeholders that would reach the container unfilled."""
    path = ("services", name)
    texts: list[tuple[tuple[Any, ...], str]] = [((*path, "hostname"), service.get("hostname", ""))]
    texts += [((*path, "environment", key), text) for key, text in service.get("environment", {}).items()]
    for index, mount in enumerate(service.get("volumes", ())):
        texts += [((*path, "volumes", index), mount.get(part, "")) for part in ("source", "target")]
    for at, text in texts:
        for found in _TEMPLATE.finditer(text or ""):
            field = f"{found.group(1)}.{found.group(2)}"
            if field not in _FILLED:
                fix = f"known: {', '.join(_FILLED)}"
                findings.add(at, "STW-UNSUPPORTED", f"placeholder .{field} is not supported", fix)
