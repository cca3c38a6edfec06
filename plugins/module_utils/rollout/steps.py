# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Steps: waves spelled out as one share of work per host and phase (docs/architecture.md, "Steps").

A step is {id, wave, phase, delay, hosts: {node: share}}. The share of phase endpoints is empty here: it is rendered
when the step is reached, from the tasks that really serve then. What a wave leaves behind is drained and stopped beside
the next step, if that starts or removes: such a step has `closes: wave`, and its shares have `stop`, a share of phase
stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..fleet.observed import one_shot
from .changes import STARTERS, Change
from .waves import ROLLED

Step = dict[str, Any]
# Without a health check only time tells. A task that replaces nothing has nothing to protect but gets one look.
FIRST_LOOK = 0.5
# Phases that can stop beside their own work, with a share that has nothing else to do.
EMPTY: dict[str, dict[str, Any]] = {"start": {"services": {}, "tasks": [], "volumes": []}, "remove": {"tasks": []}}


def steps(
    waves: Iterable[Mapping[str, Any]],
    cleaned: Iterable[Change],
    services: Mapping[str, Mapping[str, Any]],
    nodes: list[str],
    serving: Iterable[Mapping[str, Any]],
) -> list[Step]:
    """All steps after prepare: each wave's, then the removal of what was stopped.

    nodes: the nodes that answered, sorted: endpoints go to all of them. serving: tasks that serve now.
    """
    live = {task["name"] for task in serving}
    result: list[Step] = []
    gone: list[Change] = list(cleaned)
    for wave in waves:
        result += _wave_steps(wave, services, nodes, live)
        gone += [change for change in wave["changes"] if change["replaces"]]
    if gone:
        result.append(_step("remove", 0, _by_node(gone, _removed)))
    return number(_side_by_side(result))


def number(found: list[Step]) -> list[Step]:
    """The same steps with their ids, from 0."""
    return [{**step, "id": index} for index, step in enumerate(found)]


def _side_by_side(found: list[Step]) -> list[Step]:
    """The steps with each stop at a wave's end joined to the start or removal that follows without a pause.

    Nobody sends to what is stopped there any more, and nothing that follows needs it to be gone.
    """
    result: list[Step] = []
    for step in found:
        last = result[-1] if result else None
        if last and _may_join(last, step):
            result[-1] = _joined(last, step)
        else:
            result.append(step)
    return result


def _may_join(stop: Step, step: Step) -> bool:
    if stop["phase"] != "stop" or stop["wave"] == step["wave"] or stop["delay"] or step["delay"]:
        return False
    # A port of the host may be one that is still held.
    templates = (template for share in step["hosts"].values() for template in share.get("services", {}).values())
    return step["phase"] in EMPTY and not any(template.get("ports") for template in templates)


def _joined(stop: Step, step: Step) -> Step:
    empty = EMPTY[step["phase"]]
    hosts = {node: {**empty, **step["hosts"].get(node, {})} for node in {**step["hosts"], **stop["hosts"]}}
    for node, share in stop["hosts"].items():
        hosts[node]["stop"] = share
    return {**step, "closes": stop["wave"], "hosts": dict(sorted(hosts.items()))}


def _wave_steps(
    wave: Mapping[str, Any], services: Mapping[str, Mapping[str, Any]], nodes: list[str], live: set[str]
) -> list[Step]:
    at, changes = wave["number"], wave["changes"]
    starting = [c for c in changes if c["change"] in STARTERS]
    leaving = [c for c in changes if c["replaces"]]
    before = [c for c in leaving if _stop_first(c, services)]
    after = [c for c in leaving if not _stop_first(c, services)]
    result: list[Step] = []
    if before:
        if any(c["replaces"]["name"] in live for c in before):
            result.append(endpoints_step(at, nodes, _names(before)))
        result.append(_step("stop", at, _stop_shares(before, services)))
    if starting:
        result.append(_step("start", at, _start_shares(starting, services)))
    result.append(endpoints_step(at, nodes, _names(c for c in after if c["change"] not in STARTERS)))
    if after:
        result.append(_step("stop", at, _stop_shares(after, services)))
    result[0]["delay"] = wave["delay"]
    return result


def required_of_images(
    found: Iterable[Step], services: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """{node: [{service, image, labels, shim, pulls}]}: what the images of what starts there must have.

    shim: {Entrypoint, Cmd} as far as they are stated; only for services with a shim. pulls: true for those whose
    configuration the host pulls.
    """
    made: dict[str, dict[str, dict[str, Any]]] = {}
    for step in found:
        for node, share in step["hosts"].items() if step["phase"] == "start" else ():
            for name in sorted({task["service"] for task in share["tasks"]}):
                labels, template = services[name].get("require_labels") or {}, services[name]["template"]
                stated = {"Entrypoint": template.get("entrypoint"), "Cmd": template.get("command")}
                needs: dict[str, Any] = {"shim": stated} if template.get("shim") else {}
                needs.update({"pulls": True} if template.get("config") else {})
                if labels or needs:
                    one = {"service": name, "image": template["image"], "labels": labels}
                    made.setdefault(node, {})[name] = {**one, **needs}
    return {node: [named[name] for name in sorted(named)] for node, named in made.items()}


def endpoints_step(wave: int, nodes: list[str], withdraw: list[str]) -> Step:
    """A step that tells every node who serves; `withdraw` names the containers that stop serving with it."""
    return {**_step("endpoints", wave, {node: {} for node in nodes}), "withdraw": withdraw}


def _step(phase: str, wave: int, hosts: Mapping[str, Any]) -> Step:
    return {"phase": phase, "wave": wave, "delay": 0.0, "hosts": dict(sorted(hosts.items()))}


def _names(changes: Iterable[Change]) -> list[str]:
    return sorted(change["replaces"]["name"] for change in changes)


def _stop_first(change: Change, services: Mapping[str, Mapping[str, Any]]) -> bool:
    service = services.get(change["service"])
    if service is None:
        return False
    # A move shares no host with what it replaces: only a single writer or a fixed address has its old one go first.
    writer = any(volume.get("single_writer") for volume in service["volumes"])
    fixed = bool(service["template"].get("address")) and service["update"]["order"] == "stop-first"
    alone = change["change"] == "move" and (writer or fixed)
    return alone or (change["change"] == "replace" and service["update"]["order"] == "stop-first")


def _by_node(changes: Iterable[Change], entry: Any) -> dict[str, dict[str, Any]]:
    shares: dict[str, dict[str, Any]] = {}
    for change in changes:
        share = shares.setdefault(change["replaces"]["node"], {"tasks": []})
        share["tasks"].append(entry(change))
    return shares


def _removed(change: Change) -> dict[str, Any]:
    return {**_label(change), "name": change["replaces"]["name"]}


def _label(change: Change) -> dict[str, Any]:
    return {"service": change["service"], "slot": change["slot"]}


def _stop_shares(changes: list[Change], services: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    def entry(change: Change) -> dict[str, Any]:
        template = services.get(change["service"], {}).get("template", {})
        return {**_removed(change), "grace": float(template.get("stop_grace_period", 10.0))}

    shares = _by_node(changes, entry)
    for share in shares.values():
        known = [services[task["service"]] for task in share["tasks"] if task["service"] in services]
        share["drain"] = max([float(service["drain"]) for service in known], default=2.0)
    return shares


def _start_shares(changes: list[Change], services: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    shares: dict[str, dict[str, Any]] = {}
    for change in changes:
        service = services[change["service"]]
        share = shares.setdefault(change["node"], {"services": {}, "tasks": [], "volumes": []})
        share["services"][change["spec"]] = service["template"]
        share["tasks"].append(start_task(change, service))
        known = {volume["name"] for volume in share["volumes"]}
        share["volumes"] += [
            {**volume, "stack": service["stack"]} for volume in service["volumes"] if volume["name"] not in known
        ]
    return shares


def start_task(change: Change, service: Mapping[str, Any]) -> dict[str, Any]:
    """The task of a start share that carries out one change."""
    replaced = change["replaces"]
    local = replaced is not None and replaced["node"] == change["node"]
    rolled = change["change"] in ROLLED
    monitor = float(service["update"]["monitor"]) if rolled else FIRST_LOOK * (not service["healthcheck"])
    return {
        "name": change["name"],
        "service": change["service"],
        "stack": service["stack"],
        "slot": change["slot"],
        "node": change["node"],
        "ip": change["ip"],
        "spec": change["spec"],
        "do": change["do"],
        "old": replaced,
        "replaces": replaced["name"] if local and service["update"]["order"] == "stop-first" else None,
        "order": service["update"]["order"],
        "monitor": monitor,
        "ready_timeout": float(service["ready_timeout"]),
        "one_shot": one_shot(service),
        **({"must_end": True} if service.get("must_end") else {}),
        **({"observe_for": service["observe_for"]} if service.get("observe_for") else {}),
        **({"ready": service["health"]["ready"]} if (service.get("health") or {}).get("ready") else {}),
        "publish": not one_shot(service),
        **({"live": service["live"]} if service.get("live") else {}),
        **{key: change[key] for key in ("devices", "ports") if change.get(key)},
    }
