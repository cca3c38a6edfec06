# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which running containers become tasks of a stack, with which slot, name and address; and the proof by a plan. Pure.

A survey is one host's answer to module host_adopt's mode look: {containers, projects, names}. A Candidate is a found
container with its fate:
    {node, found, fate: take|adopted|differs|stopped|surplus|unknown|swarm, words: [str],
     service (full name, "" if unknown), slot, task: {id, name, stack, service, slot, node, ip, spec} | None}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest
from ..errors import Problem, raise_all, show
from ..fleet import serving_tasks
from .addresses import Addresses
from .changes import container_name
from .plan import plan

Candidate = dict[str, Any]
Surveys = Mapping[str, Mapping[str, Any]]
Planner = Callable[[Mapping[str, Mapping[str, Any]]], dict[str, Any]]


class Wish(NamedTuple):
    """What the user asks for: stack, project, the stack's name again to have it done, and whether a part is enough."""

    stack: str
    project: str
    confirm: str = ""
    partial: bool = False


class World(NamedTuple):
    """What a decision is made from: Fleet, compiled stacks, {node: Observation}, {host: survey}, endpoint digests."""

    fleet: Mapping[str, Any]
    compiled: Mapping[str, Any]
    observations: Mapping[str, Mapping[str, Any]]
    surveys: Surveys
    endpoint_digests: Callable[[list[dict[str, Any]], list[dict[str, Any]]], Mapping[str, str]]


def refuse(wish: Wish, stacks: list[str]) -> None:
    """Raise StowageError if the wish names no stack, an unknown one, or confirms another."""
    problems = []
    if not wish.stack:
        problems.append(Problem("STW-ADOPT-STACK", "stack", "is not stated", "give it with -e stack=NAME"))
    elif wish.stack not in stacks:
        fix = f"one of {', '.join(sorted(stacks))}" if stacks else "write its stack file first"
        problems.append(Problem("STW-ADOPT-STACK", f"stack {show(wish.stack)}", "has no stack file", fix))
    if wish.confirm and wish.confirm != wish.stack:
        reason = f"{show(wish.confirm)} is not the stack {show(wish.stack)}"
        problems.append(Problem("STW-ADOPT-CONFIRM", "confirm", reason, f"say -e confirm={wish.stack}"))
    raise_all(problems)


def asked(fleet: Mapping[str, Any], compiled: Mapping[str, Any], wish: Wish) -> dict[str, Any]:
    """The share of host_adopt's mode look, without `node`."""
    services = {
        one["short"]: {
            **{key: one[key] for key in ("name", "mode", "template")},
            "ports": one.get("ports") or [],
            "spec": digest(one["template"]),
        }
        for one in compiled["services"]
        if one["stack"] == wish.stack
    }
    named = {"fleet": fleet["name"], "domain": fleet["domain"], "stack": wish.stack, "project": wish.project}
    return {**named, "services": services}


def decide(world: World, wish: Wish) -> dict[str, Any]:
    """{candidates, changes, shares, problems}: every container's fate, and what is still to be done for the stack.

    changes: what a plan would still change in the stack once those with fate `take` are taken over. shares: {node:
    share of mode take}. problems: why nothing may be taken now; with `partial` the others are left out instead.
    """
    services = {one["short"]: one for one in world.compiled["services"] if one["stack"] == wish.stack}
    problems = _hosts_problems(world, wish)
    raise_all(problems)
    candidates = [
        _candidate(node, found, services.get(found["service"]))
        for node in sorted(world.surveys)
        for found in sorted(world.surveys[node]["containers"], key=_order)
    ]
    _give_slots(candidates, services)
    _give_names(candidates, world, services)
    seen = _imagined(candidates, world.observations)
    made = plan(world.fleet, world.compiled, seen, world.endpoint_digests)
    changes = [change for change in made["changes"] if _of(change, wish.stack, world.compiled)]
    _blame(candidates, changes)
    wanted = [one for one in candidates if one["fate"] == "take"]
    return {
        "candidates": candidates,
        "changes": changes,
        "shares": _shares(wanted, world, services),
        "problems": _name_problems(candidates, world.surveys) + ([] if wish.partial else _problems(candidates)),
    }


def remaining(world: World, stack: str) -> list[dict[str, Any]]:
    """The changes that a plan from the present observations has for the stack: none proves the adoption."""
    made = plan(world.fleet, world.compiled, world.observations, world.endpoint_digests)
    return [change for change in made["changes"] if _of(change, stack, world.compiled)]


def unproved(changes: list[dict[str, Any]], shares: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """A Problem for each task that was taken over and that the plan would change all the same."""
    taken = {(task["service"], task["slot"]) for share in shares.values() for task in share["tasks"]}
    fix = "look at it with stowage.fleet.plan; it is Stowage's now, and the next deploy does what the plan says"
    return [
        Problem("STW-ADOPT-PLAN", f"{one['service']}.{one['slot']}", f"would {one['change']}: {one['reason']}", fix)
        for one in changes
        if (one["service"], one["slot"]) in taken
    ]


def _of(change: Mapping[str, Any], stack: str, compiled: Mapping[str, Any]) -> bool:
    stacks = {one["name"]: one["stack"] for one in compiled["services"]}
    return bool(stacks.get(change["service"], str(change["service"]).partition("_")[0]) == stack)


def _order(found: Mapping[str, Any]) -> tuple[str, int, str]:
    return (found["service"], found["number"], found["name"])


def _hosts_problems(world: World, wish: Wish) -> list[Problem]:
    """No such project anywhere; or on a host that is not of the fleet."""
    members = {node["name"] for node in world.fleet["nodes"]}
    found = {node: survey for node, survey in world.surveys.items() if survey["containers"]}
    if not found:
        projects = sorted({name for survey in world.surveys.values() for name in survey.get("projects", ())})
        fix = f"projects here: {', '.join(show(one) for one in projects)}; -e project=NAME" if projects else ""
        reason = f"no container of it on {len(world.surveys)} hosts that answered"
        return [Problem("STW-ADOPT-PROJECT", f"project {show(wish.project)}", reason, fix or "start it first")]
    fix = "put it into stowage_nodes and stowage_fleet.nodes, and run stowage.fleet.bootstrap"
    reason = f"runs containers of project {show(wish.project)} and is not a host of the fleet"
    return [Problem("STW-ADOPT-HOST", f"host {node}", reason, fix) for node in sorted(set(found) - members)]


def _candidate(node: str, found: Mapping[str, Any], service: Mapping[str, Any] | None) -> Candidate:
    base: Candidate = {"node": node, "found": found, "slot": "", "task": None, "words": []}
    base["service"] = service["name"] if service else ""
    adopted = found.get("adopted")
    if found["kind"] == "swarm":
        words = ["it is Swarm's own task: Swarm removes it when its service or its node leaves"]
        return {**base, "fate": "swarm", "words": words}
    if adopted:
        return {**base, "fate": "adopted", "service": adopted["service"], "slot": adopted["slot"]}
    if service is None:
        return {**base, "fate": "unknown", "words": [f"the stack file has no service {show(found['service'])}"]}
    if found["state"] != "running":
        return {**base, "fate": "stopped", "words": [f"it is {found['state']}"]}
    words = [one["words"] for one in found["differences"] if one["kind"] == "replace"]
    return {**base, "fate": "differs" if words else "take", "words": words}


def _give_slots(candidates: list[Candidate], services: Mapping[str, Mapping[str, Any]]) -> None:
    """Slots by container number; a number that is taken or too high gets the lowest free slot, or is surplus."""
    by_name = {one["name"]: one for one in services.values()}
    used = {(one["service"], one["slot"]) for one in candidates if one["fate"] == "adopted"}
    hopeful = [one for one in candidates if one["service"] in by_name and one["fate"] in ("take", "differs", "stopped")]
    late = []
    for one in sorted(hopeful, key=lambda c: (c["fate"] != "take", c["found"]["number"], c["node"])):
        service = by_name[one["service"]]
        number = one["node"] if service["mode"].startswith("global") else str(one["found"]["number"])
        fits = number == one["node"] or 0 < one["found"]["number"] <= service["replicas"]
        if fits and (one["service"], number) not in used:
            one["slot"] = number
            used.add((one["service"], number))
        else:
            late.append((one, service))
    for one, service in late:
        free = [] if service["mode"].startswith("global") else range(1, service["replicas"] + 1)
        slots = [str(slot) for slot in free if (one["service"], str(slot)) not in used]
        if slots:
            one["slot"] = slots[0]
            used.add((one["service"], slots[0]))
        else:
            count = "one on each host" if service["mode"].startswith("global") else f"{service['replicas']} wanted"
            one.update(fate="surplus", words=[f"there are more than the stack file says ({count})"])


def _give_names(candidates: list[Candidate], world: World, services: Mapping[str, Mapping[str, Any]]) -> None:
    """Addresses as a plan gives them (one that a broken run gave stays), and names that follow from them."""
    by_name = {one["name"]: one for one in services.values()}
    serving = serving_tasks(world.fleet, world.observations, world.compiled["services"])
    addresses = Addresses(world.observations, serving, world.fleet["nodes"])
    given = {one["found"]["ip"] for one in candidates if one["found"]["ip"]}
    for one in (one for one in candidates if one["fate"] == "take"):
        service, node = by_name[one["service"]], one["node"]
        host = service["template"].get("network_mode") == "host"
        ip = addresses.of_host(node) if host else one["found"]["ip"]
        while not ip or (ip in given and ip != one["found"]["ip"] and not host):
            ip = addresses.take(node, f"{one['service']}.{one['slot']}")
            if not ip:
                break
        spec = digest(service["template"])
        task = {"id": one["found"]["id"], "stack": service["stack"], "service": service["name"], "slot": one["slot"]}
        name = container_name(service["name"], one["slot"], spec, node, ip)
        one["task"] = {**task, "node": node, "ip": ip, "spec": spec, "name": name, "joins": not host}
    addresses.check()


def _imagined(
    candidates: list[Candidate], observations: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The observations as they will be when those with fate `take` are taken over."""
    seen: dict[str, Mapping[str, Any]] = dict(observations)
    for one in (one for one in candidates if one["task"]):
        before, found, task = seen[one["node"]], one["found"], one["task"]
        record = {
            **{key: task[key] for key in ("name", "stack", "service", "slot", "spec", "ip")},
            **{key: found[key] for key in ("state", "health", "image")},
            "id": found["id"][:12],
            "exit_code": 0,
            "tampered": False,
        }
        published = {tuple(port) for port in found["published"]}
        ports = [port for port in before["foreign"]["ports"] if (port["port"], port["protocol"]) not in published]
        names = [name for name in before["foreign"]["containers"] if name != found["name"]]
        foreign = {**before["foreign"], "ports": ports, "containers": names}
        seen[one["node"]] = {**before, "containers": [*before["containers"], record], "foreign": foreign}
    return seen


def _blame(candidates: list[Candidate], changes: list[dict[str, Any]]) -> None:
    """A container that the next plan would replace, move or remove is not what is wanted, however alike."""
    by_name = {change["replaces"]["name"]: change for change in changes if change.get("replaces")}
    for one in candidates:
        change = by_name.get(one["task"]["name"]) if one["task"] else None
        if change and change["change"] in ("replace", "move", "remove"):
            one.update(fate="differs", words=[f"the plan would {change['change']} it: {change['reason']}"])


def _problems(candidates: list[Candidate]) -> list[Problem]:
    found = []
    for one in candidates:
        place = f"container {show(one['found']['name'])[1:-1]} on {one['node']}"
        reason = "; ".join(one["words"])
        if one["fate"] == "differs":
            fix = "write the stack file as it runs, or take the others with -e partial=true"
            found.append(Problem("STW-ADOPT-DIFFERS", place, f"would be replaced: {reason}", fix))
        elif one["fate"] == "stopped":
            fix = "start it (docker compose start) or remove it, or take the others with -e partial=true"
            found.append(Problem("STW-ADOPT-STOPPED", place, reason, fix))
        elif one["fate"] == "surplus":
            fix = "state more replicas, or remove it; or take the others with -e partial=true"
            found.append(Problem("STW-ADOPT-SURPLUS", place, reason, fix))
        elif one["fate"] == "swarm":
            fix = "deploy beside it and then remove the Swarm stack: docs/adopt.md"
            found.append(Problem("STW-ADOPT-SWARM", place, reason, fix))
    return found


def _name_problems(candidates: list[Candidate], surveys: Surveys) -> list[Problem]:
    """Names that are to be given and that other containers have."""
    found = []
    for one in (one for one in candidates if one["fate"] == "take"):
        task = one["task"]
        holder = surveys[one["node"]].get("names", {}).get(task["name"], task["id"])
        if holder != task["id"]:
            reason = f"container {holder[:12]} on {one['node']} has this name and is not of the project"
            fix = f"look at it, then docker rename or remove it: {holder[:12]}"
            found.append(Problem("STW-ADOPT-NAME", f"container {task['name']}", reason, fix))
    return found


def _shares(
    wanted: list[Candidate], world: World, services: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    shares: dict[str, dict[str, Any]] = {}
    by_name = {one["name"]: one for one in services.values()}
    for one in wanted:
        service, fleet = by_name[one["service"]], world.fleet
        empty = {"fleet": fleet["name"], "domain": fleet["domain"], "services": {}, "volumes": [], "tasks": []}
        share = shares.setdefault(one["node"], empty)
        share["services"][one["task"]["spec"]] = {
            "template": service["template"],
            "ports": service.get("ports") or [],
        }
        known = {volume["name"] for volume in share["volumes"]}
        share["volumes"] += [
            {**volume, "stack": service["stack"]}
            for volume in service.get("volumes") or ()
            if volume["name"] not in known
        ]
        share["tasks"].append(one["task"])
    return shares
