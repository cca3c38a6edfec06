# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan: a pure function of what is wanted, what was observed, and the options. Same input, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest
from ..errors import Problem, StowageError, raise_all
from ..fleet import holders, owned, schedulable_nodes, serving_tasks, unknown_nodes, unknown_tasks
from ..scheduler import schedule
from ..storage import blocked_by_volumes
from .addresses import Addresses
from .changes import STARTERS, Change, Wanted, leaving_changes, name_changes, wanted_change
from .steps import Step, endpoints_step, number, steps
from .waves import waves

SCHEMA = 1
STATED = ("affinities", "groups", "tolerations", "priority", "preempt", "stateful")  # in a placement only if stated
Plan = dict[str, Any]
Placements = dict[str, list[tuple[str, str]]]
Digests = Callable[[list[dict[str, Any]]], Mapping[str, str]]


class World(NamedTuple):
    """What one plan is made from: the arguments of plan(), and what follows from them at once."""

    fleet: Mapping[str, Any]
    compiled: Mapping[str, Any]
    observations: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]
    services: dict[str, dict[str, Any]]
    specs: dict[str, str]
    containers: list[dict[str, Any]]
    away: list[dict[str, Any]]
    serving: list[dict[str, Any]]


def plan(
    fleet: Mapping[str, Any],
    compiled: Mapping[str, Any],
    observations: Mapping[str, Mapping[str, Any]],
    endpoint_digests: Digests,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """The Plan that brings the fleet from what was observed to what is wanted.

    fleet: Fleet. compiled: {"services": [Service], "files": {...}, "warnings": [str]} over all stacks, and "stacks":
    [names]. observations: {node: Observation}; a node without one is unknown. endpoint_digests(tasks) gives, per node,
    the digest of the endpoints that these serving tasks mean ({node: hex}); what a host has on disk is compared
    with it. options: assume_lost [nodes], recreate_volumes [names], prune_stacks [names],
    allow_unknown (true: tasks that nobody ever told of are placed although hosts are unknown).
    Raises StowageError (STW-NETWORK, STW-ADDRESSES, and what the scheduler refuses).
    """
    world = _world(fleet, compiled, observations, options or {})
    unknown = unknown_nodes(fleet, observations)
    recreate = sorted(world.options.get("recreate_volumes", ()))
    blocked = blocked_by_volumes(world.services.values(), observations, unknown, recreate)
    placed, result = _place(world, blocked)
    changes = _changes(world, placed, result, blocked) + _blocked_changes(blocked, result)
    changes += _leaving(world, changes, placed)
    changes.sort(key=lambda c: (c["service"], _natural(c["slot"]), c["change"], c["node"], str(c["replaces"])))
    name_changes(changes, Addresses(observations, world.serving))
    made: Plan = {
        "schema": SCHEMA,
        "fleet": {"name": fleet["name"], "domain": fleet["domain"], "ingress": dict(fleet.get("ingress") or {})},
        "made_from": made_from(fleet, compiled, observations, world.options),
        "unknown": unknown,
        "nodes": {node["name"]: {"ingress": node["ingress"], "address": node["address"]} for node in fleet["nodes"]},
        "services": world.services,
        "files": {key: compiled["files"][key] for key in sorted(compiled["files"])},
        "changes": changes,
        "serving": world.serving,
        "reasons": result["reasons"],
        "summary": _summary(changes, placed, world.away),
        "warnings": _warnings(world, result),
        "expect": {node: observations[node]["objects"] for node in sorted(observations)},
        "options": {"recreate_volumes": recreate},
        "steps": _steps(world, changes, endpoint_digests),
    }
    return {**made, "digest": digest(made)}


def _world(
    fleet: Mapping[str, Any],
    compiled: Mapping[str, Any],
    observations: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any],
) -> World:
    services = {service["name"]: service for service in sorted(compiled["services"], key=lambda one: one["name"])}
    return World(
        fleet=fleet,
        compiled=compiled,
        observations=observations,
        options=options,
        services=services,
        specs={name: digest(service["template"]) for name, service in services.items()},
        containers=owned(observations),
        away=unknown_tasks(fleet, observations),
        serving=serving_tasks(fleet, observations, services.values()),
    )


def made_from(
    fleet: Mapping[str, Any],
    compiled: Mapping[str, Any],
    observations: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Digests of what the plan was made from: {inputs: hex, options, services: {name: hex}, hosts: {node: hex}}."""
    services = {service["name"]: digest(service) for service in compiled["services"]}
    return {
        "inputs": digest([fleet, services, dict(options)]),
        "options": dict(options),
        "services": dict(sorted(services.items())),
        "hosts": {node: observations[node]["digest"] for node in sorted(observations)},
    }


def _natural(slot: str) -> tuple[int, int, str]:
    return (0, int(slot), "") if slot.isdigit() else (1, 0, slot)


def _place(world: World, blocked: Mapping[str, Problem]) -> tuple[Placements, dict[str, Any]]:
    """Ask the scheduler; a blocked service keeps exactly what it has."""
    slots = holders(world.containers, world.specs)
    services = world.services
    held = [(name, slot, found[0]["node"]) for (name, slot), found in slots.items()]
    held += [
        (task["service"], task["slot"], task["node"])
        for task in world.away
        if (task["service"], task["slot"]) not in slots
    ]
    current = [
        {"service": name, "slot": _slot(services[name], slot), "node": node}
        for name, slot, node in held
        if name in services
    ]
    wanted = [scheduled(service) for name, service in services.items() if name not in blocked]
    free = [entry for entry in current if entry["service"] not in blocked]
    nodes = schedulable_nodes(world.fleet, world.observations)
    asked: dict[str, Any] = {"assume_lost": list(world.options.get("assume_lost", ()))}
    if world.options.get("allow_unknown"):
        asked["unknown_missing"] = "place"
    result = schedule(nodes, wanted, free, asked)
    placed: Placements = {name: [] for name in services}
    for entry in result["placements"] + [entry for entry in current if entry["service"] in blocked]:
        placed[entry["service"]].append((str(entry["slot"]), entry["node"]))
    return placed, result


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
        "volumes": sorted({volume["name"] for volume in service["volumes"]}),
        **{key: placement[key] for key in STATED if placement.get(key) is not None},
    }


def _changes(
    world: World, placed: Placements, result: Mapping[str, Any], blocked: Mapping[str, Problem]
) -> list[Change]:
    slots = holders(world.containers, world.specs)
    changes = []
    for name, service in world.services.items():
        for slot, node in placed[name]:
            if node not in world.observations or name in blocked:
                continue
            why = reason_words(result["reasons"].get(f"{name}.{slot}"))
            wanted = Wanted(service, slot, node, world.specs[name], why)
            change = wanted_change(wanted, slots.get((name, slot), []))
            if change:
                changes.append(change)
    return changes


def reason_words(reason: Any) -> str:
    """A scheduler's reason in words."""
    if isinstance(reason, Mapping):
        return str(reason.get("why") or reason.get("words") or reason.get("text") or "")
    return str(reason or "")


def _blocked_changes(blocked: Mapping[str, Problem], result: Mapping[str, Any]) -> list[Change]:
    entry = {"change": "blocked", "node": "", "replaces": None}
    changes = [
        {**entry, "service": name, "slot": "*", "reason": f"{problem.reason}; {problem.fix}"}
        for name, problem in sorted(blocked.items())
    ]
    changes += [
        {**entry, "service": one["service"], "slot": str(one["slot"]), "reason": reason_words(one.get("why"))}
        for one in result["unplaced"]
    ]
    return changes


def _leaving(world: World, changes: list[Change], placed: Placements) -> list[Change]:
    """Everything of ours that no slot needs. Whole stacks that vanished stay, unless pruned by name."""
    managed = set(world.compiled.get("stacks", ())) | set(world.options.get("prune_stacks", ()))
    ours = [container for container in world.containers if container["stack"] in managed]
    homeless = {(c["service"], c["slot"]) for c in changes if c["change"] == "blocked"}
    needed = homeless | {(name, slot) for name, tasks in placed.items() for slot, _node in tasks}
    used = {c["name"] for c in changes if "name" in c} | {c["replaces"]["name"] for c in changes if c["replaces"]}
    used |= {found[0]["name"] for key, found in holders(ours, world.specs).items() if key in needed}
    return leaving_changes(ours, used, world.services)


def _steps(world: World, changes: list[Change], endpoint_digests: Digests) -> list[Step]:
    """prepare and the waves; none when nothing changes and every host's endpoints are as they must be."""
    nodes = sorted(world.observations)
    cleaned = [change for change in changes if change["change"] == "clean"]
    found = steps(waves(changes, world.services), cleaned, world.services, nodes, world.serving)
    if not any(step["phase"] == "endpoints" for step in found):
        wanted = endpoint_digests(world.serving)
        drifted = [node for node in nodes if world.observations[node]["endpoints"]["digest"] != wanted[node]]
        found = number([endpoints_step(1, drifted, []), *found]) if drifted else found
    if not found:
        return []
    touched = sorted({node for step in found for node in step["hosts"]})
    images = _images(found)
    hosts = {node: {"images": images.get(node, [])} for node in touched}
    return number([{"phase": "prepare", "wave": 0, "delay": 0.0, "hosts": hosts}, *found])


def _images(found: Iterable[Step]) -> dict[str, list[str]]:
    images: dict[str, set[str]] = {}
    for step in found:
        if step["phase"] == "start":
            for node, share in step["hosts"].items():
                images.setdefault(node, set()).update(template["image"] for template in share["services"].values())
    return {node: sorted(names) for node, names in images.items()}


def _summary(changes: list[Change], placed: Placements, unknown: list[dict[str, str]]) -> dict[str, int]:
    kinds = ("create", "replace", "move", "start", "await", "remove", "clean", "blocked")
    counts = {kind: sum(1 for c in changes if c["change"] == kind) for kind in kinds}
    touched = {(c["service"], c["slot"]) for c in changes if c["change"] in STARTERS}
    elsewhere = {(task["service"], task["slot"]) for task in unknown}
    every = {(name, slot) for name, tasks in placed.items() for slot, _node in tasks}
    counts["unknown"] = len(every & elsewhere)
    counts["unchanged"] = len(every - touched - elsewhere)
    return counts


def _warnings(world: World, result: Mapping[str, Any]) -> list[str]:
    found = [str(text) for text in [*world.compiled.get("warnings", ()), *result.get("warnings", ())]]
    for node, seen in world.observations.items():
        for container in seen["containers"]:
            if container.get("tampered"):
                found.append(f"{node}: {container['name']} has altered labels: it is left alone (STW-TAMPERED)")
    managed = set(world.compiled.get("stacks", ())) | set(world.options.get("prune_stacks", ()))
    for stack in sorted({container["stack"] for container in world.containers} - managed):
        found.append(f"stack {stack} runs but has no stack file: it stays; -e stowage_prune_stacks={stack} removes it")
    return sorted(set(found))


def refuse_unknown(made: Mapping[str, Any], allowed: bool) -> None:
    """Raise STW-UNREACHABLE if hosts are unknown and the user did not say that the others may be served."""
    if allowed:
        return
    raise_all(
        Problem(
            "STW-UNREACHABLE",
            f"host {node}",
            "did not answer: what runs there is unknown, nothing of it is moved or removed",
            "bring it back, or serve the other hosts with -e stowage_allow_unknown=true",
        )
        for node in made["unknown"]
    )


def refuse_stale_inputs(made: Mapping[str, Any], fresh: Mapping[str, Any]) -> None:
    """Raise STW-STALE if the plan was made from other inputs. fresh: made_from() of the present inputs."""
    if made["made_from"]["inputs"] == fresh["inputs"]:
        return
    before, now = made["made_from"]["services"], fresh["services"]
    names = sorted(name for name in set(before) | set(now) if before.get(name) != now.get(name))
    what = [f"service {name}" for name in names] or ["the inventory"]
    fix = "make the plan again"
    raise StowageError([Problem("STW-STALE", thing, "changed since the plan was made", fix) for thing in what])
