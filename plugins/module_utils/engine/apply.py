# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carry out one share of a step on this host: the lock, then the phase, then one result. Never raises for a refusal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

from ..errors import Problem
from . import adopted, configured, files, fixed, host, live, lock, records, releases, sets
from .client import PATIENCE, Engine, EngineError, connect, printable
from .prepare import prepare
from .refusals import REFUSALS, problems_of
from .start import in_parallel, revive, start, stranger

PHASES = ("prepare", "start", "endpoints", "stop", "remove", "revive", "release")
GLANCE = 0.1  # seconds between two looks at a lock that may be given back
Request = Mapping[str, Any]
Result = dict[str, Any]


def apply(request: Request, root: str = "/", check: bool = False, engine: Engine | None = None) -> Result:
    """Carry out request["phase"]: {changed, phase, tasks, problems: [Problem as dict], seconds}.

    request: the parameters of module host_apply. check: nothing is touched, `changed` tells what would be. engine: for
    tests.
    """
    began, paths = time.monotonic(), host.Paths(root)
    try:
        found = _check(request, paths, engine) if check else _locked(request, paths, engine)
    except REFUSALS as error:
        found = _refused(request, problems_of(error))
        # A disk that fails may have failed half-way.
        found["changed"] = found["changed"] or isinstance(error, OSError)
    found["problems"] = [problem.as_dict() for problem in found["problems"]]
    return {**found, "phase": request["phase"], "seconds": round(time.monotonic() - began, 2)}


def _locked(request: Request, paths: host.Paths, engine: Engine | None) -> Result:
    """Do the work with the flock held and, but for prepare and release, under this run's lease."""
    run, phase = request["run"], request["phase"]
    if phase == "prepare":
        return _prepare(request, paths, engine)
    with lock.working(paths, float(request.get("lock_wait") or 0)):
        if phase == "release":
            return _release(request, paths)
        lock.renew(paths, run)
        try:
            return _phase(request, paths, engine, check=False)
        finally:
            lock.renew(paths, run)


def _prepare(request: Request, paths: host.Paths, engine: Engine | None) -> Result:
    """Prepare, as soon as no younger run does: for as long as that one may still give way."""
    wait = float(request.get("lock_wait") or 0)
    end = time.monotonic() + wait
    while True:
        with lock.working(paths, wait):
            if time.monotonic() >= end or not lock.may_yield(paths, request["run"], request.get("takeover")):
                return prepare(engine or connect(PATIENCE), paths, request)
        time.sleep(GLANCE)


def _release(request: Request, paths: host.Paths) -> Result:
    """Keep the records of the releases that run now, and give the lock back whatever becomes of that."""
    problems = []
    try:
        releases.write(paths, request["share"].get("releases") or ())
        if "aborted" in request["share"]:
            releases.remember_aborted(paths, request["share"]["aborted"])
    except OSError as error:
        reason = f"cannot be kept: {error.strerror or error}"
        problems.append(Problem("STW-RELEASE", "record of the release", reason, "free space on the host's disk"))
    return {**_nothing(), "changed": lock.unlock(request["run"]["id"], paths.root), "problems": problems}


def _check(request: Request, paths: host.Paths, engine: Engine | None) -> Result:
    if request["phase"] == "release":
        return _nothing()
    if request["phase"] == "prepare":
        return prepare(engine or connect(), paths, request, check=True)
    return _phase(request, paths, engine, check=True)


def _phase(request: Request, paths: host.Paths, engine: Engine | None, check: bool) -> Result:
    phase, share = request["phase"], request["share"]
    if phase == "endpoints":
        return _endpoints(share, paths, check)
    engine = engine or connect(0.0 if check else PATIENCE)
    if phase == "start":
        return _beside(engine, share, check, lambda: start(engine, paths, share, request, check))
    if phase == "revive":
        return revive(engine, share, check)
    if phase == "stop":
        return _stop(engine, share, check)
    # What is stopped first may be among what is removed.
    stopped = _stop_part(engine, share, check)
    return _with(_remove(engine, paths, share, check), stopped)


def _beside(engine: Engine, share: Mapping[str, Any], check: bool, work: Callable[[], Result]) -> Result:
    """Do the work while what else the share wants stopped drains and stops."""
    if "stop" not in share or check:
        return _with(work(), _stop_part(engine, share, check))
    with ThreadPoolExecutor(max_workers=1) as pool:
        stopping = pool.submit(_stop_part, engine, share, check)
        return _with(work(), stopping.result())


def _stop_part(engine: Engine, share: Mapping[str, Any], check: bool) -> Result:
    """A share's own share of phase stop. Never raises for a refusal: what is done beside it must not be lost."""
    if "stop" not in share:
        return _nothing()
    try:
        return _stop(engine, {**share["stop"], "fleet": share["fleet"]}, check)
    except REFUSALS as error:
        return {**_nothing(), "problems": problems_of(error)}


def _with(found: Result, stopped: Result) -> Result:
    changed, problems = found["changed"] or stopped["changed"], [*found["problems"], *stopped["problems"]]
    more = {"stopped": stopped["tasks"]} if stopped["tasks"] else {}
    return {**found, "changed": changed, "problems": problems, **more}


def _endpoints(share: Mapping[str, Any], paths: host.Paths, check: bool) -> Result:
    from ..discovery.deliver import deliver  # noqa: PLC0415 (only this phase needs that room)

    try:
        found = deliver(share, paths.root, check)
    except Exception as error:
        from ..network.converge import NetworkError  # noqa: PLC0415 (that room is not loaded just to name its error)

        if not isinstance(error, NetworkError):
            raise
        problem = Problem("STW-PORTS", "published ports", printable(str(error), 300), "look at `nft list ruleset`")
        return {"changed": True, "tasks": [], "problems": [problem]}
    return {**found, "tasks": []}


def _stop(engine: Engine, share: Mapping[str, Any], check: bool) -> Result:
    """Wait the drain once, then stop all at once; what is stopped or gone already is fine. They are kept."""
    tasks, problems = _own(engine, share)
    running = [task for task in tasks if task["state"] in records.RUNNING_STATES]
    if running and not check:
        time.sleep(float(share.get("drain") or 0))
        problems += _each(running, lambda task: engine.stop(task["name"], task.get("grace")), "STW-STOP")
    return {"changed": bool(running), "tasks": [_named(task) for task in tasks], "problems": problems}


def _remove(engine: Engine, paths: host.Paths, share: Mapping[str, Any], check: bool) -> Result:
    """Remove containers, then files that no container mounts. Volumes stay."""
    tasks, problems = _own(engine, share)
    there = [task for task in tasks if task["state"] != "absent"]
    if not check:
        problems += _each(there, lambda task: engine.remove(task["name"]), "STW-REMOVE")
        if adopted.records(paths.adopted):
            adopted.prune(paths.adopted, (str(entry["Id"]) for entry in engine.containers()))
    pruned = not check and fixed.drop_idle(engine, [name for task in there for name in task["networks"]])
    if share.get("prune"):
        leaving = {task["name"] for task in there} if check else set()
        left = [entry for entry in engine.containers() if records.name_of(entry) not in leaving]
        mounted = [mount.get("Source") or "" for entry in left for mount in entry.get("Mounts") or []]
        names = [records.name_of(entry) for entry in left]
        pruned = files.prune(paths, share["prune"], mounted, check) or pruned
        pruned = live.prune(paths, names, check) or pruned
        pruned = sets.prune(paths, mounted, names, check) or pruned
        pruned = configured.forget(paths, names, check) or pruned
    return {"changed": bool(there) or pruned, "tasks": [_named(task) for task in tasks], "problems": problems}


def _own(engine: Engine, share: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """The share's tasks with their present state, and a Problem for each that is not ours to touch."""
    listed = {records.name_of(entry): entry for entry in engine.containers()}
    tasks, problems = [], []
    for task in share["tasks"]:
        entry = listed.get(task["name"])
        reason = stranger(entry, share["fleet"]) if entry else ""
        if reason:
            fix = "look at it, then remove or rename it by hand"
            problems.append(Problem("STW-NAME", f"container {task['name']}", reason, fix))
        else:
            found = fixed.of_container(entry or {})
            tasks.append({**task, "state": entry["State"] if entry else "absent", "networks": found})
    return tasks, problems


def _each(tasks: list[dict[str, Any]], work: Any, code: str) -> list[Problem]:
    def attempt(task: dict[str, Any]) -> Problem | None:
        try:
            work(task)
        except EngineError as error:
            if error.status != 404:
                return Problem(code, f"container {task['name']}", str(error), "look at the host's Docker Engine")
        return None

    return [problem for problem in in_parallel(attempt, tasks) if problem]


def _named(task: Mapping[str, Any]) -> dict[str, Any]:
    return {key: task.get(key, "") for key in ("name", "service", "slot")}


def _nothing() -> Result:
    return {"changed": False, "tasks": [], "problems": []}


def _refused(request: Request, problems: list[Problem]) -> Result:
    """Nothing was done; the tasks of a start say so, each for itself."""
    tasks = []
    if request["phase"] in ("start", "revive"):
        for task in request["share"].get("tasks") or ():
            named = {key: task.get(key, "") for key in ("name", "service", "slot", "node", "ip")}
            tasks.append({**named, "ok": False, "error": str(problems[0]), "log": [], "restored": False})
    return {"changed": False, "tasks": tasks, "problems": problems}
