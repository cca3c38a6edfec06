# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was observed, seen as a fleet: who holds which slot, who serves, what is unknown.

Shapes: Fleet and Observation are those of docs/architecture.md; observations is {node name: Observation}. A node
without one is unknown. A container is an Observation's container with its `node` added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Container = dict[str, Any]
Observations = Mapping[str, Mapping[str, Any]]

ACTIVE_STATES = ("running", "restarting", "paused")


def unknown_nodes(fleet: Mapping[str, Any], observations: Observations) -> list[str]:
    """Names of the fleet's nodes that gave no observation, sorted."""
    return sorted(node["name"] for node in fleet["nodes"] if node["name"] not in observations)


def owned(observations: Observations) -> list[Container]:
    """Every container of the fleet with its node, sorted by name; tampered ones are left out (never touched)."""
    found = [
        {**container, "node": node}
        for node, seen in observations.items()
        for container in seen["containers"]
        if not container.get("tampered")
    ]
    return sorted(found, key=lambda container: (container["name"], container["node"]))


def ready(container: Mapping[str, Any]) -> bool:
    """True if the container may get traffic: running, and healthy where it has a healthcheck."""
    return container["state"] == "running" and container["health"] in ("none", "healthy")


def completed(container: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    """True if a one-shot container has done its work: it ended with 0 and must not be started again."""
    once = service["template"].get("restart", {}).get("condition", "any") in ("none", "on-failure")
    return once and container["state"] == "exited" and container.get("exit_code") == 0


def holders(containers: Iterable[Container], specs: Mapping[str, str]) -> dict[tuple[str, str], list[Container]]:
    """{(service, slot): its containers}, the slot's holder first.

    specs: {service name: wanted spec digest}. The holder is, in this order: serving, of the wanted spec, active,
    the lowest name. The rest is superseded.
    """
    slots: dict[tuple[str, str], list[Container]] = {}
    for container in containers:
        slots.setdefault((container["service"], str(container["slot"])), []).append(container)
    for (service, _slot), found in slots.items():
        wanted = specs.get(service)
        found.sort(key=lambda one, wanted=wanted: _rank(one, wanted))  # type: ignore[misc]
    return slots


def _rank(container: Container, wanted: str | None) -> tuple[bool, bool, bool, str]:
    current = container["spec"] == wanted
    serves = ready(container)
    return (not (serves and current), not (serves or (current and _active(container))), not current, container["name"])


def _active(container: Container) -> bool:
    return container["state"] in ACTIVE_STATES


def unknown_tasks(fleet: Mapping[str, Any], observations: Observations) -> list[dict[str, Any]]:
    """What the unknown nodes last served, as the other nodes were told: [{service, slot, node, ip}], sorted."""
    missing = set(unknown_nodes(fleet, observations))
    told = {
        (task["service"], str(task["slot"]), task["node"], task["ip"])
        for seen in observations.values()
        for task in seen["endpoints"].get("tasks", [])
        if task["node"] in missing
    }
    return [{"service": s, "slot": slot, "node": node, "ip": ip} for s, slot, node, ip in sorted(told)]


def serving_tasks(
    fleet: Mapping[str, Any], observations: Observations, services: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The tasks that may get traffic now: [{service, slot, node, ip, name}], sorted.

    Ready containers of the wanted services, and what unknown nodes last served (they may well still serve).
    One-shot services never serve.
    """
    wanted = {service["name"] for service in services if not one_shot(service)}
    tasks = [
        {"service": c["service"], "slot": str(c["slot"]), "node": c["node"], "ip": c["ip"], "name": c["name"]}
        for c in owned(observations)
        if c["service"] in wanted and c["ip"] and ready(c)
    ]
    tasks += [{**task, "name": ""} for task in unknown_tasks(fleet, observations) if task["service"] in wanted]
    return sorted(tasks, key=task_key)


def task_key(task: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Sort key of a serving task."""
    return (task["service"], str(task["slot"]), task["node"], task["ip"])


def one_shot(service: Mapping[str, Any]) -> bool:
    """True if the service's tasks are expected to end: jobs, and restart condition none."""
    condition = service["template"].get("restart", {}).get("condition")
    return bool(service["mode"].endswith("-job") or condition == "none")


def schedulable_nodes(
    fleet: Mapping[str, Any], observations: Observations, network_address: str = "address"
) -> list[dict[str, Any]]:
    """The scheduler's nodes (its contract: DESIGN 3), from inventory and observation."""
    nodes = []
    for node in fleet["nodes"]:
        seen = observations.get(node["name"])
        entry = {
            "name": node["name"],
            "labels": dict(node["labels"]),
            "role": node["role"],
            "availability": node["availability"],
            "ip": node[network_address],
            "reserved": {k: v for k, v in node["reserved"].items() if v is not None},
            "unknown": seen is None,
        }
        entry.update({key: node[key] for key in ("taints", "storage") if key in node})
        resources = dict(node.get("resources") or {})
        if seen is not None:
            entry.update(_facts(seen))
        if resources:
            entry["capacity"] = {**entry.get("capacity", {}), **resources}
        nodes.append(entry)
    return nodes


def _facts(seen: Mapping[str, Any]) -> dict[str, Any]:
    engine = seen["engine"]
    known = {"engine": {"version": engine["version"], "api": engine["api"]}, "os": engine["os"], "arch": engine["arch"]}
    return {
        "facts": {**known, **dict(seen.get("facts") or {})},
        "platform": {"os": engine["os"], "arch": engine["arch"]},
        "engine_labels": dict(engine.get("labels") or {}),
        "capacity": dict(seen["capacity"]),
        "ports": [dict(port) for port in seen["foreign"]["ports"]],
        "volumes": sorted({v["name"] for v in seen["volumes"]} | set(seen["volume_claims"])),
    }
