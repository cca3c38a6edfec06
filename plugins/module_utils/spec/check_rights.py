# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mistakes in what a container may do on its host: rights, namespaces, devices, limits of the kernel."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import show
from .findings import Findings

# Capabilities with which a container can take over its host.
POWERFUL = (
    *("ALL", "BPF", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE"),
    *("SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_RAWIO"),
)
# Devices that show nothing of the host, or that people attach for a service to use.
HARMLESS_DEVICES = ("/dev/net/tun", "/dev/fuse", "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_ATTACHED = re.compile(r"/dev/(dri|snd|kvm|video[0-9]*|tty(USB|ACM|S|AMA)[0-9]+|nvidia[a-z0-9-]*|rtc[0-9]*)(/[\w-]+)*")
_DEVICE_RULE = re.compile(r"[abc] (\*|[0-9]+):(\*|[0-9]+) [rwm]{1,3}")
_CPUSET = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*")
_SECURITY = re.compile(r"(seccomp|apparmor|label|systempaths|no-new-privileges|writable-cgroups)([=:].*)?")
# namespace key -> (words that need allow_privileged, words that are fine)
_NAMESPACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pid": (("host",), ()),
    "ipc": (("host",), ("private", "shareable", "none")),
    "uts": (("host",), ()),
    "userns_mode": (("host",), ()),
    "cgroup": (("host",), ("private",)),
    "cgroupns_mode": (("host",), ("private",)),
    "network_mode": (("host",), ("bridge", "default")),
}
Path = tuple[Any, ...]


def check(findings: Findings, name: str, service: Mapping[str, Any], normal: Mapping[str, Any]) -> None:
    """Note the mistakes of one service's rights."""
    path = ("services", name)
    own = service.get("x-stowage") or {}
    for at, what in _powers(path, service, normal):
        if not own.get("allow_privileged"):
            fix = "leave it out, or set x-stowage.allow_privileged: true"
            findings.add(at, "STW-PRIVILEGED", f"{what} gives power over the host", fix)
    _namespaces(findings, path, service)
    _networks(findings, path, service, normal)
    _devices(findings, path, service, own.get("allow_host_paths", ()))
    _security(findings, path, service)
    _ulimits(findings, path, service)
    _kernel(findings, path, service)


def host_network(service: Mapping[str, Any], normal: Mapping[str, Any]) -> bool:
    """True if the service uses its host's own network: network_mode host, or the external network host."""
    return service.get("network_mode") == "host" or any(
        _is_host((normal.get("networks") or {}).get(name)) for name in service.get("networks") or {}
    )


def _is_host(network: Mapping[str, Any] | None) -> bool:
    stated = network or {}
    return bool(stated.get("external")) and stated.get("name") == "host"


def _powers(path: Path, service: Mapping[str, Any], normal: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What of a service needs allow_privileged: (place, words)."""
    if service.get("privileged"):
        yield (*path, "privileged"), "privileged"
    for key, (guarded, _fine) in _NAMESPACES.items():
        if service.get(key) in guarded:
            yield (*path, key), f"{key}: {service[key]}"
    if service.get("network_mode") != "host" and host_network(service, normal):
        yield (*path, "networks"), "the network host"
    for name in service.get("cap_add", ()):
        if name.upper().removeprefix("CAP_") in POWERFUL:
            yield (*path, "cap_add"), name.upper()
    for text in service.get("security_opt", ()):
        if text.replace(":", "=").endswith(("=unconfined", "label=disable")) or text == "writable-cgroups=true":
            yield (*path, "security_opt", text), show(text)
    if service.get("device_cgroup_rules"):
        yield (*path, "device_cgroup_rules"), "device_cgroup_rules"


def _namespaces(findings: Findings, path: Path, service: Mapping[str, Any]) -> None:
    for key, (guarded, fine) in _NAMESPACES.items():
        value = service.get(key)
        known = guarded + fine
        if value is None or value in known:
            continue
        shared = value.startswith(("service:", "container:"))
        reason = "shares with another container, which may be on another host" if shared else "is not supported"
        findings.add((*path, key), "STW-UNSUPPORTED", f"{key} {show(value)} {reason}", f"write {' or '.join(known)}")


def _networks(findings: Findings, path: Path, service: Mapping[str, Any], normal: Mapping[str, Any]) -> None:
    mode, networks = service.get("network_mode"), service.get("networks") or {}
    if mode and networks:
        findings.add((*path, "network_mode"), "STW-KEY", "network_mode and networks exclude each other", "keep one")
    if not host_network(service, normal):
        return
    if len(networks) > 1:
        reason = "the network host and others exclude each other"
        findings.add((*path, "networks"), "STW-UNSUPPORTED", reason, "keep one of them")


def _devices(findings: Findings, path: Path, service: Mapping[str, Any], allowed: Any) -> None:
    for text in service.get("devices", ()):
        source = posixpath.normpath(text.partition(":")[0])
        fine = source in HARMLESS_DEVICES or _ATTACHED.fullmatch(source)
        below = any(source == entry or source.startswith(entry.rstrip("/") + "/") for entry in map(str, allowed))
        if not fine and not below:
            fix = f"add it to x-stowage.allow_host_paths: [{source}]"
            at = (*path, "devices", text)
            findings.add(at, "STW-DEVICE", f"host device {show(source)} gives power over the host", fix)
    for rule in service.get("device_cgroup_rules", ()):
        if not _DEVICE_RULE.fullmatch(rule):
            at = (*path, "device_cgroup_rules", rule)
            findings.add(at, "STW-DEVICE", f"{show(rule)} is no rule", "write c 189:* rmw")


def _security(findings: Findings, path: Path, service: Mapping[str, Any]) -> None:
    for text in service.get("security_opt", ()):
        at = (*path, "security_opt", text)
        if not _SECURITY.fullmatch(text):
            fix = "write no-new-privileges:true, apparmor=..., label=... or seccomp=unconfined"
            findings.add(at, "STW-TYPE", f"{show(text)} is no security option", fix)
        elif text.startswith("seccomp") and text[8:] not in ("unconfined", "builtin"):
            fix = "put the profile into the Engine's configuration on the hosts"
            findings.add(at, "STW-UNSUPPORTED", "a seccomp profile in a file is not supported", fix)


def _ulimits(findings: Findings, path: Path, service: Mapping[str, Any]) -> None:
    for limit, value in service.get("ulimits", {}).items():
        soft, hard = (value["soft"], value["hard"]) if isinstance(value, dict) else (value, value)
        if min(soft, hard) < -1 or (hard != -1 and (soft > hard or soft == -1)):
            reason = f"soft {soft}, hard {hard}"
            findings.add((*path, "ulimits", limit), "STW-RANGE", reason, "give soft up to hard; -1 is no limit")


def _kernel(findings: Findings, path: Path, service: Mapping[str, Any]) -> None:
    """Limits that the Engine refuses, or would not apply."""
    ranges = {"oom_score_adj": (-1000, 1000), "mem_swappiness": (0, 100), "cpu_period": (1000, 1_000_000)}
    for key, (least, most) in ranges.items():
        if not least <= service.get(key, most) <= most:
            findings.add((*path, key), "STW-RANGE", f"{service[key]} is outside {least} to {most}", "give one inside")
    if 0 < service.get("cpu_quota", 1000) < 1000:
        findings.add((*path, "cpu_quota"), "STW-RANGE", f"{service['cpu_quota']} is under 1000", "give 1000 or more")
    limits = ((service.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    memory, swap = int(limits.get("memory", 0)), service.get("memswap_limit")
    if "cpus" in limits and ("cpu_period" in service or "cpu_quota" in service):
        findings.add(path, "STW-KEY", "cpus and cpu_quota or cpu_period exclude each other", "keep cpus")
    if swap is not None and (not memory or 0 <= swap < memory):
        reason = f"is {swap}, the memory limit {memory or 'is not stated'}"
        findings.add((*path, "memswap_limit"), "STW-RESOURCES", reason, "memory and swap together: not under the limit")
    if service.get("oom_kill_disable") and not memory:
        reason = "without a memory limit it would stop the host"
        findings.add((*path, "oom_kill_disable"), "STW-RESOURCES", reason, "add deploy.resources.limits.memory")
    if not _CPUSET.fullmatch(service.get("cpuset", "0")):
        findings.add((*path, "cpuset"), "STW-TYPE", f"{show(service['cpuset'])} is no list of CPUs", "write 0-3,6")
    if service.get("uts") == "host" and service.get("hostname"):
        findings.add((*path, "hostname"), "STW-KEY", "hostname and uts: host exclude each other", "keep one")
