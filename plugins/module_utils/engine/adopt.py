# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Containers of a Compose project, seen (`look`) and taken over while they run (`take`). Nothing is ever restarted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from ..errors import Problem
from . import adopted, host, lock, payload, records, volumes
from .adopted_unit import ensure_unit
from .client import PATIENCE, Engine, connect, printable
from .comparison import Difference, compare
from .labels import ours, task_labels
from .refusals import REFUSALS, problems_of

PROJECT, SERVICE, NUMBER = (f"com.docker.compose.{key}" for key in ("project", "service", "container-number"))
ONE_OFF = "com.docker.compose.oneoff"
SWARM_TASK, SWARM_NAME = "com.docker.swarm.task.id", "com.docker.swarm.task.name"
SWARM_STACK, SWARM_SERVICE = "com.docker.stack.namespace", "com.docker.swarm.service.name"
LOGGING = ("log-driver", "log-opts")
Request = Mapping[str, Any]
Found = dict[str, Any]
Routes = Callable[[bool], bool]


class _Work(NamedTuple):
    """Where containers are taken over, and whether it is only said."""

    engine: Engine
    paths: host.Paths
    fleet: str
    check: bool


def adopt(
    request: Request,
    root: str = "/",
    check: bool = False,
    engine: Engine | None = None,
    routes: Routes = ensure_unit,
) -> dict[str, Any]:
    """Carry out request["mode"]: {changed, containers | tasks, projects, names, problems: [Problem as dict], seconds}.

    request: the parameters of module host_adopt. routes(check) has the routes of adopted containers put and kept; True
    if that changed something. engine, routes: for tests.
    """
    began, paths, found = time.monotonic(), host.Paths(root), dict[str, Any](changed=False, tasks=[], containers=[])
    problems: list[Problem] = []
    try:
        if request["mode"] == "look":
            found.update(look(engine or connect(), paths, request["share"]))
        else:
            found.update(_locked(engine or connect(PATIENCE), paths, request, check, routes))
        problems = found.pop("problems", [])
    except REFUSALS as error:
        problems = problems_of(error)
    shown = [problem.as_dict() for problem in problems]
    return {**found, "problems": shown, "seconds": round(time.monotonic() - began, 2)}


def look(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> dict[str, Any]:
    """What runs of a project here: {containers: [found], projects: [every name], names: {container name: id}}.

    share: fleet, domain, stack, project, node, services {short: {name, mode, spec, template, ports}}. found: id, name,
    kind (compose|swarm), service (short), number, state, health, image, ip (on the fleet's network, "" if it has none),
    published [[port, protocol]], adopted (the task it is already, or None), differences (comparison.Difference).
    """
    entries = engine.containers()
    context = _context(engine, paths, share)
    containers = [_found(engine, entry, share, context) for entry in entries if project_of(entry) == share["project"]]
    return {
        "containers": sorted(containers, key=lambda one: (one["service"], one["number"], one["name"])),
        "projects": sorted({project_of(entry) for entry in entries} - {""}),
        "names": {records.name_of(entry): str(entry["Id"]) for entry in entries},
    }


def project_of(entry: Mapping[str, Any]) -> str:
    """The Compose project or Swarm stack that a listed container belongs to; "" if to none."""
    labels = entry.get("Labels") or {}
    if labels.get(SWARM_TASK):
        return str(labels.get(SWARM_STACK, ""))
    return "" if labels.get(ONE_OFF) == "True" else str(labels.get(PROJECT, ""))


def _found(engine: Engine, entry: Mapping[str, Any], share: Mapping[str, Any], context: Mapping[str, Any]) -> Found:
    labels = entry.get("Labels") or {}
    swarm, record = bool(labels.get(SWARM_TASK)), records.container(entry)
    whole, stack = str(labels.get(SWARM_SERVICE, "")), f"{share['project']}_"
    short = whole[len(stack) :] if swarm and whole.startswith(stack) else str(labels.get(SERVICE, ""))
    number = labels.get(SWARM_NAME, "")[len(whole) + 1 :].partition(".")[0] if swarm else labels.get(NUMBER, "")
    found: Found = {
        "id": str(entry["Id"]),
        "kind": "swarm" if swarm else "compose",
        "service": short,
        "number": int(number) if str(number).isdigit() else 0,
        "ip": _joined(entry),
        "published": sorted(
            {
                (port["PublicPort"], port.get("Type", "tcp"))
                for port in entry.get("Ports") or ()
                if port.get("PublicPort")
            }
        ),
        "adopted": _adopted(entry, record) if ours(labels, share["fleet"]) else None,
        "differences": [],
        **{key: record[key] for key in ("name", "state", "health", "image")},
    }
    service = share["services"].get(short)
    if service is not None and not swarm and found["adopted"] is None:
        found["differences"] = _differences(engine, found["id"], service, _task(found, service, share), context)
    return found


def _adopted(entry: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("service", "slot", "spec", "tampered")}


def _joined(entry: Mapping[str, Any]) -> str:
    """The address that a listed container was once given on the fleet's network; "" if it is not there."""
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    endpoint = networks.get(records.NETWORK) or {}
    return str((endpoint.get("IPAMConfig") or {}).get("IPv4Address") or "")


def _task(found: Found, service: Mapping[str, Any], share: Mapping[str, Any]) -> dict[str, Any]:
    """The task it would be, as far as placeholders in its template need it."""
    slot = share["node"] if str(service["mode"]).startswith("global") else str(found["number"])
    named = {"name": found["name"], "stack": share["stack"], "service": service["name"], "node": share["node"]}
    return {**named, "slot": slot, "spec": service["spec"], "ip": found["ip"] or "0.0.0.0"}


def _context(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> dict[str, Any]:
    daemon = host.read_json(paths.daemon)
    driver, options = (daemon.get(key) for key in LOGGING)
    return {
        "fleet": share["fleet"],
        "domain": share["domain"],
        "gateway": str((host.network(paths.network)["claim"] or {}).get("gateway", "")),
        "api": str(engine.facts().get("ApiVersion", "1.41")),
        "log": {"Type": str(driver or "json-file"), "Config": options if isinstance(options, dict) else {}},
    }


def _differences(
    engine: Engine,
    identity: str,
    service: Mapping[str, Any],
    task: Mapping[str, Any],
    context: Mapping[str, Any],
) -> list[Difference]:
    body = payload.container(service["template"], task, context)["body"]
    return compare(service, body, engine.inspect(identity), engine.image(body["Image"]), context["log"])


def _locked(engine: Engine, paths: host.Paths, request: Request, check: bool, routes: Routes) -> dict[str, Any]:
    run = request["run"]
    if check:
        lock.refuse_other(paths, run, request.get("takeover"))
        return take(engine, paths, request["share"], True, routes)
    with lock.working(paths, float(request.get("lock_wait") or 0)):
        lock.refuse_other(paths, run, request.get("takeover"))
        lock.take(paths, run)
        try:
            return take(engine, paths, request["share"], False, routes)
        finally:
            lock.unlock(run["id"], paths.root)


def take(
    engine: Engine, paths: host.Paths, share: Mapping[str, Any], check: bool = False, routes: Routes = ensure_unit
) -> dict[str, Any]:
    """Take containers over: {changed, tasks: [{name, service, slot, done: [words]}], problems}.

    share: fleet, domain, services {spec: {template, ports}}, volumes, tasks [{id, name, stack, service, slot, node, ip,
    spec}]. The record comes last: until then a container is nobody's, and everything before is harmless when repeated.
    """
    entries = {str(entry["Id"]): entry for entry in engine.containers()}
    context = _context(engine, paths, share)
    wanted, problems = [], []
    for task in share["tasks"]:
        found, refusal = _ready(engine, entries, task, share, context)
        problems += [refusal] if refusal else []
        wanted += [] if refusal else [(task, found)]
    templates = {spec: service["template"] for spec, service in share["services"].items()}
    claim = {**share, "services": templates, "tasks": [task for task, _found in wanted]}
    claimed, blocked = volumes.ensure(engine, paths, claim, check)
    problems += list(blocked.values())
    done = []
    for task, found in wanted:
        names = payload.named_volumes(templates[task["spec"]], task)
        if not any(name in blocked for _stated, name in names):
            words = _take_one(_Work(engine, paths, share["fleet"], check), task, entries[task["id"]], found)
            done.append({**{key: task[key] for key in ("name", "service", "slot")}, "done": words})
    known = {key for key in entries if key in adopted.records(paths.adopted)}
    if not check:
        adopted.prune(paths.adopted, entries)
    routed = bool(known or done) and routes(check)
    changed = claimed or routed or any(one["done"] for one in done)
    return {"changed": changed, "tasks": done, "problems": problems}


def _ready(
    engine: Engine, entries: Mapping[str, Any], task: Mapping[str, Any], share: Mapping[str, Any], context: Any
) -> tuple[list[Difference], Problem | None]:
    """The differences that can be made up while it runs; or why this container is not what was looked at."""
    place, fix = f"container {printable(task['name'], 100)}", "run stowage.fleet.adopt again"
    entry = entries.get(task["id"])
    if entry is None or entry["State"] != "running":
        reason = "is gone" if entry is None else f"is {entry['State']} now"
        return [], Problem("STW-ADOPT-STOPPED", place, reason, fix)
    other = [key for key, one in entries.items() if records.name_of(one) == task["name"] and key != task["id"]]
    if other:
        return [], Problem("STW-ADOPT-NAME", place, f"container {other[0][:12]} has this name", "remove or rename it")
    found = _differences(engine, task["id"], share["services"][task["spec"]], task, context)
    words = [one["words"] for one in found if one["kind"] == "replace"]
    if words:
        return [], Problem("STW-ADOPT-DIFFERS", place, f"would be replaced: {', '.join(words)}", fix)
    return found, None


def _take_one(work: _Work, task: Mapping[str, Any], entry: Mapping[str, Any], found: list[Difference]) -> list[str]:
    """Limits, address, name, record, each where it is missing. Returns what was done."""
    engine, check = work.engine, work.check
    labels, done = task_labels(work.fleet, task), []
    changes = [one for one in found if one["kind"] == "live"]
    update = {key: value for one in changes for key, value in one["update"].items()}
    done += [one["words"] for one in changes]
    if update and not check:
        engine.update(task["id"], update)
    if task.get("joins", True) and _joined(entry) != task["ip"]:
        done.append(f"address {task['ip']}")
        if not check:
            _join(engine, task)
    if records.name_of(entry) != task["name"]:
        done.append(f"name {task['name']}")
        if not check:
            engine.rename(task["id"], str(task["name"]))
    kept = adopted.records(work.paths.adopted)
    if kept.get(str(task["id"])) != labels:
        done.append("record")
        if not check:
            adopted.write(work.paths.adopted, {**kept, str(task["id"]): labels})
    return done


def _join(engine: Engine, task: Mapping[str, Any]) -> None:
    """Give it the planned address, and the MAC address that the other hosts expect to go with it."""
    api = payload.version(str(engine.facts().get("ApiVersion", "1.41")))
    endpoint: dict[str, Any] = {"IPAMConfig": {"IPv4Address": task["ip"]}}
    if api >= payload.ENDPOINT_MAC_API:
        endpoint["MacAddress"] = payload.mac(str(task["ip"]))
    engine.connect(records.NETWORK, str(task["id"]), endpoint)
