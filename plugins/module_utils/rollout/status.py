# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Status: what is wanted, what runs, where, healthy or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import digest
from ..errors import Problem, show
from ..fleet import completed, owned, ready, unknown_tasks
from . import canary

VIEWS = ("services", "network")


def status(
    fleet: Mapping[str, Any],
    services: Iterable[Mapping[str, Any]],
    observations: Mapping[str, Mapping[str, Any]],
    canaries: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The fleet's status, JSON-able and sorted. canaries: canary.Canaries.found, noted at the services that hold them.

    {schema, fleet, services: {name: {want, running, healthy, nodes, image, notes, tasks: [{slot, node, name, state,
    health, ip, current}]}}, nodes: {name: {state: ok|unknown, address, availability, cpus, memory, containers,
    labels, ingress}}, unwanted: [container name], locks: {node: holder}}
    """
    wanted = {service["name"]: service for service in services}
    containers = owned(observations)
    away = unknown_tasks(fleet, observations)
    return {
        "schema": 1,
        "fleet": fleet["name"],
        "services": {
            name: _noted(_service(wanted[name], containers, away), (canaries or {}).get(name))
            for name in sorted(wanted)
        },
        "nodes": {node["name"]: _node(node, observations.get(node["name"])) for node in fleet["nodes"]},
        "unwanted": [container["name"] for container in containers if container["service"] not in wanted],
        "locks": {name: seen["lock"]["holder"] for name, seen in sorted(observations.items()) if seen.get("lock")},
    }


def _noted(entry: dict[str, Any], held: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**entry, "notes": [*entry["notes"], canary.words(held)]} if held else entry


def view_problems(view: Any) -> list[Problem]:
    """What is wrong with the view that was asked for."""
    if view in VIEWS:
        return []
    return [Problem("STW-OPTION", "view", f"{show(view)} is not a view", f"one of {', '.join(VIEWS)}")]


def _service(
    service: Mapping[str, Any],
    containers: list[dict[str, Any]],
    away: list[dict[str, Any]],
) -> dict[str, Any]:
    mine = [container for container in containers if container["service"] == service["name"]]
    lost = [task for task in away if task["service"] == service["name"]]
    spec = digest(service["template"])
    running = [container for container in mine if container["state"] == "running"]
    done = [container for container in mine if completed(container, service)]
    notes = []
    old = sum(1 for container in running if container["spec"] != spec)
    if old:
        notes.append(f"{old} of an older version")
    waiting = sum(1 for container in mine if container.get("lacks") == "secrets" and container["state"] != "running")
    if waiting:
        notes.append(f"{waiting} waiting for secrets: deploy delivers them")
    if done:
        notes.append(f"{len(done)} completed")
    if lost:
        notes.append(f"{len(lost)} on hosts that did not answer")
    return {
        "want": "all" if service["mode"].startswith("global") else service["replicas"],
        "running": len(running),
        "healthy": sum(1 for container in mine if ready(container)),
        "nodes": sorted({container["node"] for container in running} | {f"{task['node']}?" for task in lost}),
        "image": service["template"]["image"],
        "notes": notes,
        "tasks": [_task(container, spec) for container in mine],
    }


def _task(container: Mapping[str, Any], spec: str) -> dict[str, Any]:
    keys = ("slot", "node", "name", "state", "health", "ip", "image")
    return {**{key: container[key] for key in keys}, "current": container["spec"] == spec}


def _node(node: Mapping[str, Any], seen: Mapping[str, Any] | None) -> dict[str, Any]:
    capacity = seen["capacity"] if seen else {}
    return {
        "state": "ok" if seen else "unknown",
        "address": node["address"],
        "availability": node["availability"],
        "cpus": capacity.get("cpus", 0),
        "memory": capacity.get("memory", 0),
        "containers": sum(1 for one in seen["containers"] if one["state"] == "running") if seen else 0,
        "labels": dict(sorted(node["labels"].items())),
        "ingress": node["ingress"],
    }
