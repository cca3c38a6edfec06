# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the scheduler is asked, and its answer: the arguments of schedule() from services, fleet and observations."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any, NamedTuple

from ..scheduler import schedule

Slots = Mapping[tuple[str, str], list[dict[str, Any]]]
STATED = ("affinities", "groups", "tolerations", "priority", "preempt", "stateful")  # in a placement only if stated
PIN = " (blocked)"  # ends the names of stand-ins: no service can be called so
MOST_PRIORITY = 1_000_000


class Question(NamedTuple):
    """The arguments of schedule(): nodes, services, current, options."""

    nodes: list[dict[str, Any]]
    services: list[dict[str, Any]]
    current: list[dict[str, Any]]
    options: dict[str, Any]


def question(
    nodes: list[dict[str, Any]],
    services: Mapping[str, Mapping[str, Any]],
    held: list[dict[str, Any]],
    blocked: Container[str],
    options: Mapping[str, Any],
) -> Question:
    """What is asked. nodes: the scheduler's. held: entries of `current` over all services.

    blocked: services that keep just what they have.

    What blocked services hold is counted: each of their replicas stands in as a service of its own, pinned to its
    host, with a group in the place of the service's name for the affinities of others.
    """
    free = [entry for entry in held if entry["service"] not in blocked]
    pins = [entry for entry in held if entry["service"] in blocked]
    asked: dict[str, Any] = {"assume_lost": list(options.get("assume_lost", ()))}
    if options.get("allow_unknown"):
        asked["unknown_missing"] = "place"
    if options.get("rebalance"):
        asked["rebalance"] = dict(options["rebalance"])
    known = {node["name"] for node in nodes}
    wanted = [_renamed(scheduled(one), blocked) for name, one in services.items() if name not in blocked]
    wanted += [_pin(services[entry["service"]], entry) for entry in pins if entry["node"] in known]
    current = [*free, *({**entry, "service": _pin_name(entry), "slot": 1} for entry in pins)]
    return Question(nodes, wanted, current, asked)


def answer(asked: Question) -> dict[str, Any]:
    """The result of schedule(), without the stand-ins of blocked services."""
    result = schedule(*asked)
    for key in ("placements", "unplaced", "moves"):
        result[key] = [entry for entry in result[key] if not entry["service"].endswith(PIN)]
    result["reasons"] = {name: why for name, why in result["reasons"].items() if PIN not in name}
    result["warnings"] = [text for text in result["warnings"] if PIN not in text]
    return result


def _pin_name(entry: Mapping[str, Any]) -> str:
    return f"{entry['service']}.{entry['slot']}@{entry['node']}{PIN}"


def _pin(service: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """One replica of a blocked service as a service that can be nowhere else."""
    whole = scheduled(service)
    return {
        "name": _pin_name(entry),
        "reservations": whole["reservations"],
        "ports": whole["ports"],
        "hosts": [entry["node"]],
        "groups": [*whole.get("groups", ()), _group(service["name"])],
        "tolerations": ["*"],
        "priority": MOST_PRIORITY,
        "stateful": True,
    }


def _group(service: str) -> str:
    return f"service {service}{PIN}"


def _renamed(service: dict[str, Any], blocked: Container[str]) -> dict[str, Any]:
    """The service with its affinities to blocked services turned to their stand-ins."""
    if not service.get("affinities"):
        return service
    turned = [
        {**{key: value for key, value in one.items() if key != "service"}, "group": _group(one["service"])}
        if one.get("service") in blocked
        else one
        for one in service["affinities"]
    ]
    return {**service, "affinities": turned}


def held_entries(
    services: Mapping[str, Mapping[str, Any]], slots: Slots, away: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Who holds a slot of a wanted service now, and of what: entries of the scheduler's `current`."""
    found = []
    for (name, slot), containers in slots.items():
        if name in services:
            holder = containers[0]
            entry: dict[str, Any] = {"service": name, "slot": _slot(services[name], slot), "node": holder["node"]}
            found.append({**entry, **{key: holder[key] for key in ("devices", "ports") if holder.get(key)}})
    for task in away:
        if (task["service"], task["slot"]) not in slots and task["service"] in services:
            number = _slot(services[task["service"]], task["slot"])
            found.append({"service": task["service"], "slot": number, "node": task["node"]})
    return found


def _slot(service: Mapping[str, Any], slot: str) -> int | str:
    return int(slot) if slot.isdigit() and not service["mode"].startswith("global") else slot


def scheduled(service: Mapping[str, Any]) -> dict[str, Any]:
    """The scheduler's view of a Service (its public contract: DESIGN 3)."""
    placement = service["placement"]
    return {
        "name": service["name"],
        "mode": service["mode"],
        "replicas": service["replicas"],
        "reservations": dict(service["reservations"]),
        "ports": [dict(port) for port in service["ports"] if port["mode"] == "host" and port["published"]],
        "constraints": list(placement["constraints"]),
        "preferences": [dict(preference) for preference in placement["preferences"]],
        "max_replicas_per_node": placement["max_replicas_per_node"],
        "strategy": placement.get("strategy") or "spread",
        "hosts": list(placement.get("hosts") or []),
        "volumes": _volumes(service),
        **{key: placement[key] for key in STATED if placement.get(key) is not None},
    }


def _volumes(service: Mapping[str, Any]) -> list[Any]:
    """What binds the service to hosts. A volume of one slot does not bind the others: storage.slots sees to those."""
    plain = {volume["name"] for volume in service["volumes"] if "{{" not in volume["name"] and not volume.get("class")}
    classed = {
        volume["name"]: {
            "name": volume["name"],
            "shared": bool(volume.get("mount")),
            "class": volume["class"],
            **_size(volume),
        }
        for volume in service["volumes"]
        if volume.get("class")
    }
    return [*sorted(plain), *(classed[name] for name in sorted(classed))]


def _size(volume: Mapping[str, Any]) -> dict[str, int]:
    return {"size": volume["size"]} if volume.get("size") else {}
