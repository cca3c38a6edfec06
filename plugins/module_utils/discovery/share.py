# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one host is told about who serves: its endpoints share, and the digest that shows drift."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import canonical
from .convert import Task, task_order
from .disk import disk_digest
from .dns import dns_files
from .render import traefik_file
from .watched import watched_health

TASK_KEYS = ("service", "slot", "node", "ip")


def share(
    services: Iterable[Mapping[str, Any]],
    tasks: Iterable[Task],
    node: Mapping[str, Any],
    options: Mapping[str, Any],
    cache: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The endpoints share of one host (docs/architecture.md): {tasks, vips, traefik, dns, ports, watch, policy}.

    services, tasks (those that serve now), node: docs/architecture.md; options: `ingress_options`. Only `ports`
    and `policy` depend on the node beyond whether it is an ingress: give one `cache` dict for all hosts of one step to
    render once. The policy is that of the serving tasks alone; `policy_share` knows of others.
    Raises StowageError as `traefik_file` and `dns_files` do.
    """
    services, serving = list(services), sorted(tasks, key=task_order)
    kept: dict[str, Any] = {} if cache is None else cache
    if "dns" not in kept:
        kept["tasks"] = [{key: str(task[key]) for key in TASK_KEYS} for task in serving]
        kept["dns"] = dns_files(services, serving, str(options["domain"]))
        kept["watch"] = watched(services)
    if node.get("ingress") and "traefik" not in kept:
        kept["traefik"] = {**traefik_file(services, serving, options), "port": int(options["fence_port"])}
    return {
        "tasks": kept["tasks"],
        "vips": {str(service["name"]): service["vip"] for service in services if service.get("vip")},
        "traefik": kept["traefik"] if node.get("ingress") else None,
        "dns": kept["dns"],
        "ports": _ports(services, serving, node),
        "watch": {"node": str(node["name"]), "services": kept["watch"]},
        "policy": policy_share(services, serving, str(node["name"]), kept),
    }


def watched(services: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the host's own watch knows of services: name, and ports, vip and health where there are any. Sorted."""
    found = []
    for service in sorted(services, key=lambda one: str(one["name"])):
        health = watched_health(service)
        parts = {"ports": service.get("ports"), "vip": service.get("vip"), "health": health}
        if any(parts.values()):
            found.append({"name": str(service["name"]), **{key: part for key, part in parts.items() if part}})
    return canonical.plain(found)  # type: ignore[no-any-return]


def policy_share(
    services: Iterable[Mapping[str, Any]],
    tasks: Iterable[Task],
    node: str,
    cache: dict[str, Any],
    members: Iterable[Mapping[str, Any]] = (),
) -> dict[str, str]:
    """One host's policy: {text: nft script for all members, core: digest of what the serving tasks alone need}.

    members: containers that do not serve but talk: they start, end, or run to an end. {service, stack, node, ip}.
    Members that come and go during a roll are in the text only, so that a plan after it finds nothing to do.
    """
    from ..network.policy import model, policy_table  # noqa: PLC0415 (only where endpoints are rendered)

    services, serving, others = list(services), list(tasks), list(members)
    if "core" not in cache:
        cache["core"] = model(services, serving)
    core = policy_table(cache["core"], node)
    text = policy_table(model(services, [*others, *serving]), node) if others else core
    return {"text": text, "core": canonical.text_digest(core)}


def share_digest(value: Mapping[str, Any]) -> str:
    """Digest of what a host has on disk once it carried this share out; equals `observe_endpoints`' digest then."""
    traefik = value["traefik"]["text"] if value["traefik"] else None
    digests = (value["policy"]["core"], canonical.digest(value["watch"]))
    return disk_digest(value, traefik, value["dns"], value["ports"], *digests)


def _ports(services: list[Mapping[str, Any]], tasks: list[Task], node: Mapping[str, Any]) -> str:
    from ..network.services import service_table  # noqa: PLC0415 (only where endpoints are rendered)

    return str(service_table(services, tasks, node))
