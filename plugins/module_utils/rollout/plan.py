# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The plan: a pure function of what is wanted, what was observed, and the options. Same input, same bytes."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest
from ..errors import Problem, StowageError, raise_all
from ..fleet import holders, owned, schedulable_nodes, serving_tasks, unknown_nodes, unknown_tasks
from ..network import reach
from ..network.allocation import mistakes
from ..network.fixed import problems as fixed_problems
from ..storage import blocked_by_volumes, homes, misplaced, settled
from . import canary
from .addresses import Addresses
from .changes import STARTERS, Change, Wanted, leaving_changes, name_changes, wanted_change
from .placing import Question, answer, held_entries, question
from .steps import Step, endpoints_step, number, required_of_images, steps
from .vips import vip_warnings, with_vips
from .waves import waves

SCHEMA = 1
OPTIONAL = ("preempted", "rebalance", "repair")  # causes of moves that nothing on the host itself asks for
Plan = dict[str, Any]
Placements = dict[str, list[tuple[str, str, dict[str, Any]]]]  # {service: [(slot, node, devices and ports)]}
Digests = Callable[[list[dict[str, Any]], list[dict[str, Any]]], Mapping[str, str]]


class World(NamedTuple):
    """What one plan is made from: the arguments of plan(), and what follows from them at once."""

    fleet: Mapping[str, Any]
    compiled: Mapping[str, Any]
    held: Mapping[str, Problem]  # services that hold a canary and that nobody remembers
    observations: Mapping[str, Mapping[str, Any]]
    moving: Mapping[str, Problem]  # volumes that nothing may use now, because they are on their way
    homes: Mapping[tuple[str, str], str]  # of slots with volumes of their own, the host that has them
    split: Mapping[tuple[str, str], Problem]  # of those whose volumes are on several hosts, why they have no one home
    options: Mapping[str, Any]
    services: dict[str, dict[str, Any]]
    specs: dict[str, str]
    containers: list[dict[str, Any]]
    away: list[dict[str, Any]]
    serving: list[dict[str, Any]]
    slots: dict[tuple[str, str], list[dict[str, Any]]]  # the containers of each slot, its holder first


def plan(
    fleet: Mapping[str, Any],
    compiled: Mapping[str, Any],
    observations: Mapping[str, Mapping[str, Any]],
    endpoint_digests: Digests,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """The Plan that brings the fleet from what was observed to what is wanted.

    fleet: Fleet. compiled: {"services": [Service], "files": {...}, "warnings": [str]} over all stacks, and "stacks":
    [names]. observations: {node: Observation}; a node without one is unknown. endpoint_digests(services, tasks) gives,
    per node, the digest of the endpoints that these services and serving tasks mean ({node: hex}); what a host has on
    disk is compared with it. options: assume_lost [nodes], recreate_volumes [names], prune_stacks [names],
    allow_unknown (true: tasks that nobody ever told of are placed although hosts are unknown), rebalance
    {max_moves, stateful}.
    Raises StowageError (STW-NETWORK, STW-ADDRESSES, STW-ADDRESS, STW-CIDR-OVERLAP, and what the scheduler refuses).
    """
    raise_all(mistakes(fleet))
    raise_all(fixed_problems(compiled["services"], fleet, observations))
    canaries = canary.settle(compiled, observations, options or {})
    world = _world(fleet, canaries, observations, options or {})
    unknown = unknown_nodes(fleet, observations)
    blocked = _blocked(world)
    placed, result = _place(world, blocked)
    changes = _changes(world, placed, result, blocked) + _blocked_changes(blocked, result)
    changes += _leaving(world, changes, placed)
    changes.sort(key=lambda c: (c["service"], _natural(c["slot"]), c["change"], c["node"], str(c["replaces"])))
    addresses = Addresses(observations, world.serving, fleet["nodes"])
    name_changes(changes, addresses, world.services)
    made: Plan = {
        "schema": SCHEMA,
        "fleet": {"name": fleet["name"], "domain": fleet["domain"], "ingress": dict(fleet.get("ingress") or {})},
        "made_from": made_from(fleet, compiled, observations, world.options),
        "unknown": unknown,
        "nodes": {node["name"]: {"ingress": node["ingress"], "address": node["address"]} for node in fleet["nodes"]},
        "services": world.services,
        "files": {key: world.compiled["files"][key] for key in sorted(world.compiled["files"])},
        "changes": changes,
        "serving": world.serving,
        "members": _members(world, changes),
        **_reach(world),
        **canary.planned(canaries.found, observations),
        "reasons": result["reasons"],
        "summary": _summary(changes, placed, world.away),
        "warnings": sorted([*_warnings(world, result), *addresses.foretell()]),
        "expect": {node: observations[node]["objects"] for node in sorted(observations)},
        "options": {"recreate_volumes": sorted(world.options.get("recreate_volumes", ()))},
        "steps": _steps(world, changes, {name: len(tasks) for name, tasks in placed.items()}, endpoint_digests),
    }
    return {**made, "digest": digest(made)}


def _world(
    fleet: Mapping[str, Any],
    canaries: canary.Canaries,
    observations: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any],
) -> World:
    compiled = canaries.compiled
    listed = with_vips(compiled["services"], observations)
    services = {service["name"]: service for service in sorted(listed, key=lambda one: one["name"])}
    specs = {name: digest(service["template"]) for name, service in services.items()}
    containers = owned(observations)
    observations, moving = settled(observations, unknown_nodes(fleet, observations))
    own, split = homes(services, observations)
    return World(
        fleet=fleet,
        compiled=compiled,
        held=canaries.blocked,
        observations=observations,
        moving=moving,
        homes=own,
        split=split,
        options=options,
        services=services,
        specs=specs,
        containers=containers,
        away=unknown_tasks(fleet, observations),
        serving=serving_tasks(fleet, observations, services.values()),
        slots=holders(containers, specs),
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


def _members(world: World, changes: list[Change]) -> list[dict[str, str]]:
    """Every task that talks while the plan is carried out: what is there, and what starts (it counts, of one address).

    [{service, stack, node, ip}]; unknown tasks are without stack.
    """
    there = [
        {**{key: c[key] for key in ("stack", "node", "ip")}, "service": canary.of(c["service"], world.services)}
        for c in world.containers
        if c["ip"]
    ]
    away = [{key: task[key] for key in ("service", "node", "ip")} for task in world.away]
    new = [
        {**{key: change[key] for key in ("service", "node", "ip")}, "stack": world.services[change["service"]]["stack"]}
        for change in changes
        if change["change"] in STARTERS
    ]
    return list({member["ip"]: member for member in [*away, *there, *new]}.values())


def _reach(world: World) -> dict[str, list[dict[str, str]]]:
    """{reach: what is opened and closed}; nothing if nothing is, or if a host cannot tell what it lets through."""
    told = [world.observations[node]["endpoints"].get("reach") for node in sorted(world.observations)]
    kept = {one["service"] for one in [*world.containers, *world.serving]}
    if None in told and kept:
        return {}
    before = {name: one for records in told for name, one in (records or {}).items() if name in kept}
    policed = {k: one for k, one in world.services.items() if one["template"].get("network_mode") != "host"}
    found = reach.changes(before, {name: reach.record(one) for name, one in policed.items()}, kept)
    return {"reach": found} if found else {}


def _natural(slot: str) -> tuple[int, int, str]:
    return (0, int(slot), "") if slot.isdigit() else (1, 0, slot)


def _blocked(world: World) -> dict[str, Problem]:
    unknown = unknown_nodes(world.fleet, world.observations)
    recreate = sorted(world.options.get("recreate_volumes", ()))
    apart = {service: problem for (service, _slot), problem in sorted(world.split.items())}
    return {
        **apart,
        **world.held,
        **blocked_by_volumes(world.services.values(), world.observations, unknown, recreate, world.moving),
    }


def asked_of(
    fleet: Mapping[str, Any],
    compiled: Mapping[str, Any],
    observations: Mapping[str, Mapping[str, Any]],
    options: Mapping[str, Any] | None = None,
) -> tuple[Question, dict[str, str]]:
    """What plan() asks of the scheduler, and {service: why it is blocked}. Arguments as those of plan()."""
    world = _world(fleet, canary.settle(compiled, observations, options or {}), observations, options or {})
    blocked = _blocked(world)
    return _question(world, blocked), {name: str(problem.reason) for name, problem in blocked.items()}


def _question(world: World, blocked: Container[str]) -> Question:
    """What the scheduler is asked."""
    held = held_entries(world.services, world.slots, world.away)
    held += _waiting(world, {(entry["service"], str(entry["slot"])) for entry in held})
    nodes = schedulable_nodes(world.fleet, world.observations)
    return question(nodes, world.services, held, blocked, world.options)


def _waiting(world: World, held: Container[tuple[str, str]]) -> list[dict[str, Any]]:
    """Slots that nothing holds although their own volumes are on a host: they go back there, as if they were."""
    return [
        {"service": service, "slot": int(slot), "node": node}
        for (service, slot), node in sorted(world.homes.items())
        if (service, slot) not in held
    ]


def _at_home(world: World, result: dict[str, Any]) -> dict[str, Any]:
    """The scheduler's answer without slots that would leave their own volumes behind: those have no home now."""
    kept, homeless = [], []
    for entry in result["placements"]:
        service, slot, node = entry["service"], str(entry["slot"]), entry["node"]
        home = world.homes.get((service, slot), node)
        if home == node or node not in world.observations:
            kept.append(entry)
            continue
        why = misplaced(home, node, world.services[service], slot)
        homeless.append({"service": service, "slot": entry["slot"], "why": why, "rejected": {}})
    return {**result, "placements": kept, "unplaced": [*result["unplaced"], *homeless]}


def _place(world: World, blocked: Mapping[str, Problem]) -> tuple[Placements, dict[str, Any]]:
    """Ask the scheduler; a blocked service keeps exactly what it has."""
    result = _at_home(world, answer(_question(world, blocked)))
    held = held_entries(world.services, world.slots, world.away)
    placed: Placements = {name: [] for name in world.services}
    for entry in result["placements"] + [entry for entry in held if entry["service"] in blocked]:
        given = {key: entry[key] for key in ("devices", "ports") if entry.get(key)}
        placed[entry["service"]].append((str(entry["slot"]), entry["node"], given))
    return placed, result


def _changes(
    world: World, placed: Placements, result: Mapping[str, Any], blocked: Mapping[str, Problem]
) -> list[Change]:
    changes = []
    causes = {(one["service"], str(one["slot"])): one["cause"] for one in result["moves"] if one["to"]}
    for name, service in world.services.items():
        for slot, node, given in placed[name]:
            if node not in world.observations or name in blocked:
                continue
            why = reason_words(result["reasons"].get(f"{name}.{slot}"))
            wanted = Wanted(service, slot, node, world.specs[name], why)
            change = wanted_change(wanted, world.slots.get((name, slot), []))
            if change and change["change"] == "move" and causes.get((name, slot)) in OPTIONAL:
                change["reason"] = f"{causes[(name, slot)]}: {change['reason']}"
            if change:
                changes.append({**change, **given})
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
    needed = homeless | {(name, slot) for name, tasks in placed.items() for slot, _node, _given in tasks}
    used = {c["name"] for c in changes if "name" in c} | {c["replaces"]["name"] for c in changes if c["replaces"]}
    for key in needed.intersection(world.slots):
        used |= {one["name"] for one in [c for c in world.slots[key] if c["stack"] in managed][:1]}
    return leaving_changes(ours, used, world.services)


def _steps(world: World, changes: list[Change], wanted: Mapping[str, int], endpoint_digests: Digests) -> list[Step]:
    """prepare and the waves; none when nothing changes and every host's endpoints are as they must be."""
    nodes = sorted(world.observations)
    cleaned = [change for change in changes if change["change"] == "clean"]
    found = steps(waves(changes, world.services, wanted), cleaned, world.services, nodes, world.serving)
    if not any(step["phase"] == "endpoints" for step in found):
        told = endpoint_digests(list(world.services.values()), world.serving)
        drifted = [node for node in nodes if world.observations[node]["endpoints"]["digest"] != told[node]]
        found = number([endpoints_step(1, drifted, []), *found]) if drifted else found
    if not found:
        return []
    touched = sorted({node for step in found for node in step["hosts"]})
    images = _images(found)
    required = required_of_images(found, world.services)
    hosts = {
        node: {"images": images.get(node, []), **({"require": required[node]} if node in required else {})}
        for node in touched
    }
    return number([{"phase": "prepare", "wave": 0, "delay": 0.0, "hosts": hosts}, *found])


def _images(found: Iterable[Step]) -> dict[str, list[str]]:
    images: dict[str, set[str]] = {}
    for step in found:
        if step["phase"] == "start":
            for node, share in step["hosts"].items():
                images.setdefault(node, set()).update(template["image"] for template in share["services"].values())
    return {node: sorted(names) for node, names in images.items()}


def _summary(changes: list[Change], placed: Placements, unknown: list[dict[str, str]]) -> dict[str, int]:
    kinds = ("create", "replace", "move", "start", "await", "reload", "remove", "clean", "blocked")
    counts = {kind: sum(1 for c in changes if c["change"] == kind) for kind in kinds}
    touched = {(c["service"], c["slot"]) for c in changes if c["change"] in STARTERS}
    elsewhere = {(task["service"], task["slot"]) for task in unknown}
    every = {(name, slot) for name, tasks in placed.items() for slot, _node, _given in tasks}
    counts["unknown"] = len(every & elsewhere)
    counts["unchanged"] = len(every - touched - elsewhere)
    return counts


def _warnings(world: World, result: Mapping[str, Any]) -> list[str]:
    found = [str(text) for text in [*world.compiled.get("warnings", ()), *result.get("warnings", ())]]
    found += vip_warnings(world.services.values(), world.observations)
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
