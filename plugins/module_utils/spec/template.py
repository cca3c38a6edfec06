# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The part of a Service that defines its container, with canonical values: its digest decides about restarts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .check_rights import host_network
from .fixed import fixed_address
from .ports import span
from .shim import compile_shim
from .units import parse_cpus, parse_size, seconds

# Taken over as they stand, when stated.
PLAIN = (
    *("image", "command", "entrypoint", "user", "working_dir", "hostname", "domainname", "init", "read_only", "tty"),
    *("stdin_open", "dns", "dns_search", "extra_hosts", "sysctls", "ulimits", "tmpfs", "stop_signal", "logging"),
    *("dns_opt", "privileged", "security_opt", "devices", "device_cgroup_rules", "group_add", "ipc", "pid", "uts"),
    *("userns_mode", "cgroup_parent", "oom_score_adj", "oom_kill_disable", "cpu_shares", "cpu_period", "cpu_quota"),
    *("cpuset", "mem_swappiness", "memswap_limit", "runtime", "storage_opt", "annotations", "blkio_config"),
)
DEFAULT_GRACE = 10.0
_RESTART = {"no": "none", "always": "any", "unless-stopped": "any"}


def container_template(
    stack: str, normal: Mapping[str, Any], service: Mapping[str, Any], files: list[dict[str, Any]]
) -> dict[str, Any]:
    """The template of a service in normal form; files: its configs and secrets with their digests."""
    resources = (service.get("deploy") or {}).get("resources") or {}
    made: dict[str, Any] = {key: service[key] for key in PLAIN if key in service}
    made["environment"] = dict(sorted(service.get("environment", {}).items()))
    made["labels"] = dict(sorted(service.get("labels", {}).items()))
    made["mounts"] = [_mount(stack, normal, mount) for mount in service.get("volumes", ())]
    made["files"] = files
    made["restart"] = restart_policy(service)
    made["stop_grace_period"] = seconds(service.get("stop_grace_period"), DEFAULT_GRACE)
    optional = {
        "address": fixed_address(stack, normal, service),
        "healthcheck": _healthcheck(service.get("healthcheck") or {}),
        "limits": _amounts(resources.get("limits") or {}),
        "reservations": _memory(resources.get("reservations") or {}),
        "ports": [port for port in published(service, normal) if port["mode"] == "host"],
        "cap_add": _capabilities(service.get("cap_add", ())),
        "cap_drop": _capabilities(service.get("cap_drop", ())),
        "cgroup": service.get("cgroup") or service.get("cgroupns_mode"),
        "gpus": [*service.get("gpus", ()), *(resources.get("reservations") or {}).get("devices", ())],
        "network_mode": "host" if host_network(service, normal) else "",
        **compile_shim(service),
    }
    made.update({key: value for key, value in optional.items() if value})
    if "shm_size" in service:
        made["shm_size"] = parse_size(service["shm_size"])
    return made


def published(service: Mapping[str, Any], normal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ports that a service publishes: none if it is on its host's own network."""
    return [] if host_network(service, normal) else [_full_port(port) for port in service.get("ports", ())]


def _full_port(port: Mapping[str, Any]) -> dict[str, Any]:
    """A port with every key stated; published 0 is none, published_end the last of a range."""
    first, last = span(port)
    made = {
        "target": port["target"],
        "published": first,
        **({"published_end": last} if last > first else {}),
        "protocol": port.get("protocol") or "tcp",
        "mode": port.get("mode") or "ingress",
    }
    return {**made, "host_ip": port["host_ip"]} if port.get("host_ip") else made


def _mount(stack: str, normal: Mapping[str, Any], mount: Mapping[str, Any]) -> dict[str, Any]:
    """A mount with its real volume name; without source it is an anonymous volume."""
    made = {"type": mount["type"], "target": mount["target"], "read_only": bool(mount.get("read_only", False))}
    source = mount.get("source")
    if source and mount["type"] == "volume":
        source = ((normal.get("volumes") or {}).get(source) or {}).get("name") or f"{stack}_{source}"
    if source:
        made["source"] = source
    made.update({key: dict(mount[key]) for key in ("bind", "volume", "tmpfs") if mount.get(key)})
    return made


def _healthcheck(stated: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated, in seconds; disabled is the test NONE."""
    if stated.get("disable"):
        return {"test": ["NONE"]}
    made: dict[str, Any] = {
        key: seconds(stated[key]) for key in ("interval", "timeout", "start_period", "start_interval") if key in stated
    }
    made.update({key: stated[key] for key in ("test", "retries") if key in stated})
    return made


def restart_policy(service: Mapping[str, Any]) -> dict[str, Any]:
    """deploy.restart_policy, else restart, else any; a job's is on-failure if it does not say."""
    deploy = service.get("deploy") or {}
    usual = "on-failure" if str(deploy.get("mode", "")).endswith("-job") else "any"
    policy = deploy.get("restart_policy")
    if policy is not None:
        return {"condition": policy.get("condition", usual), "max_attempts": policy.get("max_attempts", 0)}
    word, _colon, attempts = str(service.get("restart", usual)).partition(":")
    return {"condition": _RESTART.get(word, word), "max_attempts": int(attempts or 0)}


def _amounts(limits: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"cpus": parse_cpus(limits["cpus"])} if "cpus" in limits else {}
    made.update(_memory(limits))
    return {**made, "pids": limits["pids"]} if limits.get("pids") else made


def _memory(amounts: Mapping[str, Any]) -> dict[str, int]:
    return {"memory": int(amounts["memory"])} if "memory" in amounts else {}


def _capabilities(names: Any) -> list[str]:
    """Names without CAP_, in capitals, sorted: as the Engine knows them."""
    return sorted({name.upper().removeprefix("CAP_") for name in names})
