# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labels that say whose a container or volume is, and the checksum that shows when somebody changed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..canonical import digest, dumps

SCHEMA = "1"
CHECKED = ("schema", "fleet", "stack", "service", "slot", "spec", "ip")
GIVEN = ("devices", "ports")  # what the plan chose for the task, as JSON; only where it chose any
NAMESPACE = "com.docker.stack.namespace"
SWARM = "com.docker.swarm."
Labels = Mapping[str, str]


def task_labels(fleet: str, task: Mapping[str, Any]) -> dict[str, str]:
    """The labels of a task's container. task: name, stack, service, slot, spec, ip, and what was chosen for it."""
    found = {"schema": SCHEMA, "fleet": fleet, **{key: str(task[key]) for key in CHECKED[2:]}}
    labels = {f"stowage.{key}": found[key] for key in CHECKED}
    labels.update({f"stowage.{key}": dumps(task[key]) for key in GIVEN if task.get(key)})
    return {**labels, "stowage.check": checksum(task["name"], labels), NAMESPACE: str(task["stack"])}


def tool_labels(task: Mapping[str, Any]) -> dict[str, str]:
    """Labels by which dashboards and log collectors made for Swarm group containers; none of our decisions reads them.

    Compose's own are left out on purpose: `docker compose down` of a project of that name would take the containers.
    """
    found = {"service.name": task["service"], "task.name": task["name"], "node.id": task["node"]}
    return {f"{SWARM}{key}": str(value) for key, value in found.items()}


def checksum(name: str, labels: Labels) -> str:
    """16 hex digits over the container's name and its stowage labels: copied labels do not fit another container."""
    given = [labels[f"stowage.{key}"] for key in GIVEN if f"stowage.{key}" in labels]
    return digest([name, *(labels.get(f"stowage.{key}") for key in CHECKED), *given])[:16]


def ours(labels: Labels | None, fleet: str) -> bool:
    """True if the labels claim to be of this fleet (a container may still be tampered with)."""
    return (labels or {}).get("stowage.fleet") == fleet


def tampered(name: str, labels: Labels) -> bool:
    """True if the labels were changed or belong to another container."""
    return labels.get("stowage.check") != checksum(name, labels)


def volume_labels(fleet: str, stack: str, volume: str) -> dict[str, str]:
    """The labels of a volume that we make."""
    return {"stowage.fleet": fleet, "stowage.stack": stack, "stowage.volume": volume, NAMESPACE: stack}
