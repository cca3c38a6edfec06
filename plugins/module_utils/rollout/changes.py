# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The difference between what is wanted and what was observed, one change per slot, each with its reason.

A Change is a dict:
    {change: create|replace|move|start|await|reload|remove|clean|blocked, service, slot, node, reason,
     name, ip, spec, do: create|start|reload,             # the container that shall run; not for the last three kinds
     replaces: {name, node, ip} | None}                   # the container that leaves when the new one is ready
"clean" removes a stopped container that nobody needs; it changes nothing that runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest
from ..fleet import completed
from ..fleet.observed import ACTIVE_STATES
from .addresses import Addresses

Change = dict[str, Any]
STARTERS = ("create", "replace", "move", "start", "await", "reload")


def container_name(service: str, slot: str, spec: str, node: str, ip: str) -> str:
    """Name of a task's container: the idempotency key. The same decision always gives the same name."""
    return f"{service}.{slot}.{digest([spec, node, ip])[:8]}"


class Wanted(NamedTuple):
    """One slot as it shall be: its Service, slot, node, spec digest, and the scheduler's words for this node."""

    service: Mapping[str, Any]
    slot: str
    node: str
    spec: str
    why: str


def wanted_change(wanted: Wanted, found: list[dict[str, Any]]) -> Change | None:
    """The change that brings one wanted slot about, without name and address yet; None if all is well.

    found: the slot's containers, its holder first.
    """
    service, slot, node, spec, why = wanted
    base: Change = {"service": service["name"], "slot": slot, "node": node, "spec": spec, "replaces": None}
    holder = found[0] if found else None
    if holder is None:
        return {**base, "change": "create", "reason": why}
    same_place = holder["node"] == node
    if holder["spec"] == spec and same_place:
        return _same(base, service, holder)
    again = _startable(found, spec, node)
    change = "replace" if same_place else "move"
    reason = _difference_words(service, holder) if same_place else why
    if not same_place and holder["spec"] != spec:
        reason = f"{reason}; {_difference_words(service, holder)}"
    return {**base, **_reuse(again), "change": change, "reason": reason, "replaces": _leaving(holder)}


def _same(base: Change, service: Mapping[str, Any], holder: Mapping[str, Any]) -> Change | None:
    """The holder is what is wanted and where: keep it, put it back, wait for it, or replace it when unhealthy."""
    if completed(holder, service):
        return None
    worn = _worn(holder)
    if worn:
        return {**base, "change": "replace", "reason": worn, "replaces": _leaving(holder)}
    reload = _reload(base, service, holder)
    if reload or (holder["state"] == "running" and holder["health"] in ("none", "healthy")):
        return reload
    kept = {**base, **_reuse(holder)}
    if holder["state"] in ("running", "restarting"):
        return {**kept, "change": "await", "reason": f"it is {holder['state']}, not ready yet"}
    if holder["state"] == "paused":
        return {**kept, "change": "start", "reason": "it was paused"}
    ended = f" ({holder['exit_code']})" if holder["state"] == "exited" else ""
    why = f"waits for its {holder['lacks']}" if holder.get("lacks") else "should run"
    return {**kept, "change": "start", "reason": f"it is {holder['state']}{ended} and {why}"}


def _worn(holder: Mapping[str, Any]) -> str:
    """Why a container is replaced although it is the right one at the right place; "" if it need not be."""
    if holder["state"] == "running" and holder["health"] == "unhealthy":
        return "it is unhealthy"
    return f"it is {holder['state']}, and its secrets have no place any more" if _spent(holder) else ""


def _reload(base: Change, service: Mapping[str, Any], holder: Mapping[str, Any]) -> Change | None:
    """The change that gives a container new contents while it runs; None if it has them."""
    live = service.get("live")
    if not live or holder["state"] not in ACTIVE_STATES or holder.get("live") == digest(live["files"]):
        return None
    how = f"signal {live['signal']}" if live["signal"] else "no signal"
    return {
        **base,
        **_reuse(holder),
        "do": "reload",
        "change": "reload",
        "reason": f"its {_kinds(service)} changed ({how})",
    }


def _kinds(service: Mapping[str, Any]) -> str:
    """What of a service changes while it runs: configs, secrets, or `configs or secrets`."""
    kinds = {f"{one['kind']}s" for one in service["template"].get("files", ()) if one.get("live")}
    return " or ".join(sorted(kinds)) or "configs"


def _startable(found: list[dict[str, Any]], spec: str, node: str) -> dict[str, Any] | None:
    """A leftover of an interrupted run that is just what is wanted."""
    return next((c for c in found if c["spec"] == spec and c["node"] == node and c["ip"] and not _spent(c)), None)


def _spent(container: Mapping[str, Any]) -> bool:
    """Whether a container can never start again: where it looks for its secrets, no delivery puts any."""
    return container["state"] not in ACTIVE_STATES and container.get("lacks") == "place"


def _reuse(container: Mapping[str, Any] | None) -> Change:
    if container is None:
        return {}
    return {"name": container["name"], "ip": container["ip"], "do": "start"}


def _leaving(container: Mapping[str, Any]) -> dict[str, str]:
    return {"name": container["name"], "node": container["node"], "ip": container["ip"]}


def _difference_words(service: Mapping[str, Any], holder: Mapping[str, Any]) -> str:
    image = service["template"]["image"]
    if holder["image"] != image:
        return f"image {holder['image']} -> {image}"
    config = service["template"].get("config")
    if config and holder.get("config") not in (None, config["revision"]):
        return f"its configuration in the store changed ({config['type']} {config['prefix']})"
    return "its definition changed"


def leaving_changes(containers: Iterable[Mapping[str, Any]], used: set[str], wanted: Mapping[str, Any]) -> list[Change]:
    """Changes for containers that no slot needs: surplus ones that run are removed, stopped ones cleaned.

    used: names of containers that stay or are replaced by another change.
    """
    changes = []
    for container in containers:
        if container["name"] in used:
            continue
        runs = container["state"] in ("running", "restarting", "paused")
        changes.append(
            {
                "change": "remove" if runs else "clean",
                "service": container["service"],
                "slot": str(container["slot"]),
                "node": container["node"],
                "reason": _why_leaving(container, wanted),
                "replaces": _leaving(container),
            }
        )
    return changes


def _why_leaving(container: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if container["service"] not in wanted:
        return "its service is no longer in the stack file"
    if container["state"] in ("running", "restarting", "paused"):
        return "surplus: its slot is not wanted or has another holder"
    return "superseded and stopped"


def name_changes(changes: list[Change], addresses: Addresses, services: Mapping[str, Mapping[str, Any]]) -> None:
    """Give every change that creates a container its address and name, in the changes' order."""
    for change in changes:
        if change["change"] in STARTERS and "name" not in change:
            template = services[change["service"]]["template"]
            if template.get("network_mode") == "host":
                change["ip"] = addresses.of_host(change["node"])
            elif template.get("address"):
                own = [
                    one["replaces"]["name"]
                    for one in changes
                    if one["replaces"] and one["service"] == change["service"]
                ]
                change["ip"] = addresses.fixed(template["address"]["ip"], f"{change['service']}.{change['slot']}", own)
            else:
                change["ip"] = addresses.take(change["node"], f"{change['service']}.{change['slot']}")
            change["name"] = container_name(
                change["service"], change["slot"], change["spec"], change["node"], change["ip"]
            )
            change["do"] = "create"
    addresses.check()
