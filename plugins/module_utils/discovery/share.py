# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one host is told about who serves: its endpoints share, and the digest that shows drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .convert import Task, task_order
from .disk import disk_digest
from .dns import dns_files
from .render import traefik_file

TASK_KEYS = ("service", "slot", "node", "ip")


def share(
    services: Iterable[Mapping[str, Any]],
    tasks: Iterable[Task],
    node: Mapping[str, Any],
    options: Mapping[str, Any],
    cache: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The endpoints share of one host (docs/architecture.md): {tasks, traefik, dns, ports}.

    services, tasks (those that serve now), node: docs/architecture.md; options: `ingress_options`. Only `ports` depends
    on the node beyond whether it is an ingress: give one `cache` dict for all hosts of one step to render once.
    Raises StowageError as `traefik_file` and `dns_files` do.
    """
    services, serving = list(services), sorted(tasks, key=task_order)
    kept: dict[str, Any] = {} if cache is None else cache
    if "dns" not in kept:
        kept["tasks"] = [{key: str(task[key]) for key in TASK_KEYS} for task in serving]
        kept["dns"] = dns_files(services, serving, str(options["domain"]))
    if node.get("ingress") and "traefik" not in kept:
        kept["traefik"] = {**traefik_file(services, serving, options), "port": int(options["fence_port"])}
    return {
        "tasks": kept["tasks"],
        "traefik": kept["traefik"] if node.get("ingress") else None,
        "dns": kept["dns"],
        "ports": _ports(services, serving, node),
    }


def share_digest(value: Mapping[str, Any]) -> str:
    """Digest of what a host has on disk once it carried this share out; equals `observe_endpoints`' digest then."""
    traefik = value["traefik"]["text"] if value["traefik"] else None
    return disk_digest(value["tasks"], traefik, value["dns"], value["ports"])


def _ports(services: list[Mapping[str, Any]], tasks: list[Task], node: Mapping[str, Any]) -> str:
    from ..network.tables import published_ports  # noqa: PLC0415 (only where endpoints are rendered)

    return str(published_ports(services, tasks, node))
