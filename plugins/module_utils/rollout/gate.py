# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gate between steps: what came back decides what goes on, what stops, and what is rolled back.

A State is a plain dict, made by begin() and replaced by judge():
    serving: [{service, slot, node, ip, name}]    who gets traffic now
    done: [container name]                        tasks that were started and are ready
    keep: [container name]                        old containers that stay, because their successor failed
    failed: [{service, slot, node, name, error, log, restored}]
    last_wave: int | None                         no step of a later wave is carried out
    abort: bool                                   nothing more is carried out at all, but the lock is given back
    rollback: [service]                           services whose policy says so
    problems: [{code, place, reason, fix}]
    before_rollback: {failed, problems}           only while and after rolling back: why
    rolled_back: true                             only after the rollback's last step
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem
from ..fleet.observed import task_key
from .changes import STARTERS, Change
from .steps import Step, number, steps
from .waves import waves

State = dict[str, Any]
Results = Mapping[str, "Mapping[str, Any] | None"]


def begin(serving: Iterable[Mapping[str, Any]]) -> State:
    """The state before the first step."""
    return {
        "serving": [dict(task) for task in serving],
        "done": [],
        "keep": [],
        "failed": [],
        "last_wave": None,
        "abort": False,
        "rollback": [],
        "problems": [],
    }


def skips(state: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """True if the step must not be carried out any more."""
    if step["phase"] == "release":
        return False
    if state["abort"]:
        return True
    return _beyond(state, step) and not _only_closes(state, step)


def _beyond(state: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """True if the step's own work is not done any more."""
    last = state["last_wave"]
    return last is not None and bool(step["phase"] == "remove" or step["wave"] > last)


def _only_closes(state: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """True if a wave that was carried out ends in the step, which itself is beyond the last one."""
    return "closes" in step and _beyond(state, step) and step["closes"] <= state["last_wave"]


def due(state: Mapping[str, Any], step: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step as it is still to be carried out: after the last wave, only what it stops for that."""
    if not _only_closes(state, step):
        return step
    hosts = {node: share["stop"] for node, share in step["hosts"].items() if "stop" in share}
    return {**step, "phase": "stop", "wave": step["closes"], "hosts": hosts}


def enter(state: State, step: Mapping[str, Any]) -> State:
    """The state in which the step is carried out: what the step withdraws serves no more."""
    withdrawn = set(step.get("withdraw", ())) - set(state["keep"])
    if not withdrawn:
        return state
    return {**state, "serving": [task for task in state["serving"] if task["name"] not in withdrawn]}


def share(state: Mapping[str, Any], step: Mapping[str, Any], node: str, since: float = 0.0) -> dict[str, Any]:
    """The step's share for one node, without what must stay because its successor failed.

    since: seconds since every host was told who serves. A drain begins there, not when its step is reached.
    """
    step = due(state, step)
    planned = dict(step["hosts"][node])
    if step["phase"] in ("stop", "remove"):
        planned["tasks"] = _leaving(state, planned)
    if "stop" in planned:
        planned["stop"] = _rest({**planned["stop"], "tasks": _leaving(state, planned["stop"])}, since)
    return _rest(planned, since)


def _rest(planned: dict[str, Any], since: float) -> dict[str, Any]:
    """A share with what is left of its drain."""
    if not planned.get("drain"):
        return planned
    return {**planned, "drain": round(max(planned["drain"] - since, 0.0), 2)}


def _leaving(state: Mapping[str, Any], planned: Mapping[str, Any]) -> list[Any]:
    return [task for task in planned["tasks"] if task["name"] not in state["keep"]]


def judge(plan: Mapping[str, Any], state: State, step: Mapping[str, Any], results: Results) -> State:
    """The state after a step. results: {node: host_apply's result, None for a host that did not answer}."""
    state, step = enter(state, step), due(state, step)
    problems = _problems(step, results)
    state = {**state, "problems": state["problems"] + problems}
    if step["phase"] == "start":
        state = _judge_start(plan, state, step, results)
        # What it starts is in order or has failed by itself; what it was to stop may not be.
        return {**state, "last_wave": step["wave"]} if problems and "closes" in step else state
    if not problems:
        return state
    if step["phase"] in ("prepare", "endpoints"):
        return {**state, "abort": True}
    return {**state, "last_wave": step["wave"]}


def _problems(step: Mapping[str, Any], results: Results) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for node in step["hosts"]:
        result = results.get(node)
        if result is None:
            reason = f"did not answer in phase {step['phase']}"
            fix = "look at the host; a new run goes on from what is observed then"
            found.append(Problem("STW-UNREACHABLE", f"host {node}", reason, fix).as_dict())
        else:
            found += [{**problem, "place": f"{node}: {problem['place']}"} for problem in result.get("problems", [])]
    return found


def _judge_start(plan: Mapping[str, Any], state: State, step: Mapping[str, Any], results: Results) -> State:
    serving = {task_key(task): task for task in state["serving"]}
    done, keep, failed = list(state["done"]), set(state["keep"]), list(state["failed"])
    for node, planned in step["hosts"].items():
        came = {entry["name"]: entry for entry in (results.get(node) or {}).get("tasks", [])}
        for task in planned["tasks"]:
            entry, old = came.get(task["name"]), task["old"]
            if entry and entry["ok"]:
                done.append(task["name"])
                _swap(serving, task, old)
                continue
            failed.append(_failure(task, entry))
            if old:
                keep.add(old["name"])
                if entry and entry.get("restored"):
                    _put(serving, {**task, "node": old["node"], "ip": old["ip"], "name": old["name"]})
    tasks = [serving[key] for key in sorted(serving)]
    state = {**state, "serving": tasks, "done": sorted(done), "keep": sorted(keep), "failed": failed}
    return _policy(plan, state, step)


def _swap(serving: dict[Any, dict[str, Any]], task: Mapping[str, Any], old: Mapping[str, Any] | None) -> None:
    if old:
        for key in [key for key, entry in serving.items() if entry["name"] == old["name"]]:
            del serving[key]
    if task["publish"]:
        _put(serving, task)


def _put(serving: dict[Any, dict[str, Any]], task: Mapping[str, Any]) -> None:
    entry = {key: task[key] for key in ("service", "slot", "node", "ip", "name")}
    serving[task_key(entry)] = entry


def _failure(task: Mapping[str, Any], entry: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "service": task["service"],
        "slot": task["slot"],
        "node": task["node"],
        "name": task["name"],
        "error": entry["error"] if entry else "the host did not answer",
        "log": list(entry.get("log") or []) if entry else [],
        "restored": bool(entry and entry.get("restored")),
    }


def _policy(plan: Mapping[str, Any], state: State, step: Mapping[str, Any]) -> State:
    """Apply each failed service's failure_action; a host that did not answer always stops the roll.

    So does a service whose end others wait for, whatever its policy. Under a rollback rollback_config counts, and a
    rollback is never rolled back.
    """
    back = "before_rollback" in state
    rollback, stop = set(state["rollback"]), any(p["code"] == "STW-UNREACHABLE" for p in state["problems"])
    for name in sorted({entry["service"] for entry in state["failed"]}):
        service = plan["services"][name]
        policy = service["rollback" if back else "update"]
        total = sum(1 for c in plan["changes"] if c["service"] == name and c["change"] in STARTERS)
        failures = sum(1 for entry in state["failed"] if entry["service"] == name)
        tolerated = policy["failure_action"] == "continue" or failures / max(total, 1) <= policy["max_failure_ratio"]
        if tolerated and not service.get("must_end"):
            continue
        stop = True
        if policy["failure_action"] == "rollback" and not back:
            rollback.add(name)
    last = step["wave"] if stop else state["last_wave"]
    return {**state, "rollback": sorted(rollback), "last_wave": last}


def rollback_steps(plan: Mapping[str, Any], state: Mapping[str, Any], nodes: list[str]) -> list[Step]:
    """The steps that bring the services in state.rollback back to the containers that were kept."""
    changes = [back for c in plan["changes"] for back in _reverted(c, state)]
    services = {
        name: {**plan["services"][name], "update": plan["services"][name]["rollback"]} for name in state["rollback"]
    }
    if not changes:
        return []
    return number(steps(waves(changes, services), [], services, nodes, state["serving"]))


def _reverted(change: Change, state: Mapping[str, Any]) -> list[Change]:
    if change["service"] not in state["rollback"] or change.get("name") not in state["done"]:
        return []
    new = {"name": change["name"], "node": change["node"], "ip": change["ip"]}
    old = change["replaces"]
    words = {"service": change["service"], "slot": change["slot"], "reason": "rollback", "replaces": new}
    if old:
        kept = {"name": old["name"], "ip": old["ip"], "node": old["node"], "spec": "", "do": "start"}
        return [{**words, **kept, "change": "replace"}]
    if change["change"] == "create":
        return [{**words, "node": change["node"], "change": "remove"}]
    return []


def resume(state: State) -> State:
    """The state in which rollback steps are carried out: the roll's own failures are put aside and no longer bind."""
    aside = {"failed": state["failed"], "problems": state["problems"]}
    return {**state, "last_wave": None, "keep": [], "done": [], "failed": [], "problems": [], "before_rollback": aside}


def outcome(state: Mapping[str, Any]) -> str:
    """How the run ended: "done", "rolled back" or "stopped"."""
    if state["abort"] or state["failed"] or state["problems"] or state["last_wave"] is not None:
        return "stopped"
    return "rolled back" if state.get("rolled_back") else "done"
