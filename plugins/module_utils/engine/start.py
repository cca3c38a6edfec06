# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Phase start (and revive): create, start, wait until ready, and undo what did not become ready."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Callable

from ..canonical import dumps
from ..errors import Problem
from . import configured, files, fixed, host, live, payload, payload_host, ready, records, sets, volumes
from .client import Engine, EngineError, printable
from .labels import ours, tampered

THREADS = 8
LOG_LINES, LOG_LINE, LOG_TOTAL = 10, 200, 1000
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 0.3
Share = Mapping[str, Any]
Task = Mapping[str, Any]


class Attempt:
    """One task on its way: what was done for it and how it stands."""

    def __init__(self, task: Task, template: Mapping[str, Any] | None, entry: Mapping[str, Any] | None) -> None:
        """Take the task, its template (None: unknown) and the container of its name, if there is one."""
        self.task, self.template, self.entry = task, template, entry
        self.created = False
        self.acted = False
        self.began_with_live = False
        self.restored = False
        self.error = ""
        self.log: list[str] = []
        self.record: dict[str, Any] | None = records.container(entry) if entry else None
        self.restarts: int | None = None
        self.restarts_before = 0
        self.ended_at: float | None = None
        self.ready_at: float | None = None
        self.since = self.began = time.monotonic()
        self.ended = self.began

    @property
    def condition(self) -> str:
        """The restart policy's condition."""
        return str(((self.template or {}).get("restart") or {}).get("condition", "any"))

    def down(self) -> float:
        """Seconds since its container was first seen ended; 0 while it runs."""
        if (self.record or {}).get("state") != "exited":
            self.ended_at = None
            return 0.0
        self.ended_at = self.ended_at or time.monotonic()
        return time.monotonic() - self.ended_at

    def fail(self, reason: str) -> None:
        """Note why the task failed; the first reason stays."""
        self.error = self.error or reason
        self.ended = time.monotonic()

    def result(self) -> dict[str, Any]:
        """The task's part of host_apply's result."""
        record, task = self.record or {}, self.task
        return {
            **{key: task.get(key, "") for key in ("name", "service", "slot", "node", "ip")},
            "ok": not self.error,
            "changed": self.acted,
            "state": record.get("state", "absent"),
            "health": record.get("health", "none"),
            "seconds": round(self.ended - self.began, 2),
            "error": self.error,
            "log": self.log,
            "restored": self.restored,
        }


def start(
    engine: Engine, paths: host.Paths, share: Share, given: Mapping[str, Any], check: bool = False
) -> dict[str, Any]:
    """Carry out a start share: {changed, tasks: [result], problems}. Shapes: module host_apply.

    given: {files, secrets: {digest: base64}}. Under check it says what would be created or started and touches nothing.
    """
    attempts = _attempts(engine, share["tasks"], share["services"])
    wrote, missing = _deliver(paths, attempts, share, given, check)
    made, blocked = volumes.ensure(engine, paths, share, check)
    joined, closed = fixed.ensure(engine, paths, share, check)
    for attempt in attempts:
        _block(attempt, share["fleet"], missing, blocked)
        subnet = ((attempt.template or {}).get("address") or {}).get("subnet")
        if subnet in closed:
            attempt.fail(str(closed[subnet]))
    if not check:
        _configure(paths, attempts)
    if check:
        for attempt in attempts:
            idle = (attempt.record or {}).get("state") == "running" and attempt.task.get("do") != "reload"
            attempt.acted = not attempt.error and not idle
    else:
        _carry_out(engine, attempts, _creator(engine, paths, share))
        _note_live(paths, attempts)
    changed = wrote or made or joined or any(attempt.acted for attempt in attempts)
    return {"changed": changed, "tasks": [attempt.result() for attempt in attempts], "problems": []}


def _deliver(
    paths: host.Paths, attempts: Iterable[Attempt], share: Share, given: Mapping[str, Any], check: bool
) -> tuple[bool, dict[str, Problem]]:
    """Have the configs and secrets of the tasks on this host: (changed, {digest: why one is not there})."""
    known = [(attempt.template, attempt.task) for attempt in attempts if attempt.template]
    mounted = [one for template, task in known for one in payload.files_of(template, task) if one["kind"] == "config"]
    configs = {payload.file_name(one): one for one in mounted}
    secret = [found for found in (payload.secret_set(template, task) for template, task in known) if found]
    wrote, missing = files.deliver(paths, configs.values(), given, check)
    put, lost = sets.deliver(paths, secret, given.get("secrets") or {}, share.get("persist") or "auto", check)
    return wrote or put, {**missing, **lost}


def _configure(paths: host.Paths, attempts: Iterable[Attempt]) -> None:
    """Tell who pulls configuration on this host of the tasks that will be created."""
    new = [one for one in attempts if one.entry is None and not one.error and (one.template or {}).get("config")]
    wanted = []
    for one in new:
        template = one.template or {}
        made = configured.record(template["config"], one.task, payload.secret_set(template, one.task))
        wanted.append((str(one.task["name"]), made))
    failed = configured.deliver(paths, wanted)
    for one in new:
        if one.task["name"] in failed:
            one.fail(str(failed[one.task["name"]]))


def _note_live(paths: host.Paths, attempts: Iterable[Attempt]) -> None:
    """Note which configs the containers run with that take them while they run."""
    for attempt in attempts:
        if attempt.task.get("live") and attempt.began_with_live:
            note = dumps({"digest": live.wanted(attempt.task)}).encode()
            files.write_atomic(live.note_path(paths, attempt.task), note, 0o644)


def revive(engine: Engine, share: Share, check: bool = False) -> dict[str, Any]:
    """Start stopped containers again and wait until they are ready.

    share: fleet, tasks [{name, ready_timeout, monitor}].
    """
    tasks = [{"one_shot": False, "monitor": 0.0, "ready_timeout": 60.0, **task} for task in share["tasks"]]
    attempts = _attempts(engine, tasks, {})
    for attempt in attempts:
        if attempt.entry is None:
            attempt.fail("it is not on this host any more")
        _block(attempt, share["fleet"], {}, {})
    if check:
        for attempt in attempts:
            attempt.acted = not attempt.error and (attempt.record or {}).get("state") != "running"
    else:
        _carry_out(engine, attempts, None)
    changed = any(attempt.acted for attempt in attempts)
    return {"changed": changed, "tasks": [attempt.result() for attempt in attempts], "problems": []}


def stranger(entry: Mapping[str, Any], fleet: str) -> str:
    """Why a listed container is not ours to touch; "" if it is ours."""
    labels, name = entry.get("Labels") or {}, records.name_of(entry)
    if not ours(labels, fleet):
        return f"container {str(entry['Id'])[:12]} has this name and is not of this fleet"
    return f"the labels of container {str(entry['Id'])[:12]} were changed" if tampered(name, labels) else ""


def in_parallel(work: Callable[[Any], Any], things: Iterable[Any]) -> list[Any]:
    """work(thing) for each, at most THREADS at once; results in order."""
    found = list(things)
    if len(found) < 2:
        return [work(thing) for thing in found]
    with ThreadPoolExecutor(max_workers=min(THREADS, len(found))) as pool:
        return list(pool.map(work, found))


def _attempts(engine: Engine, tasks: Iterable[Task], templates: Mapping[str, Any]) -> list[Attempt]:
    listed = {records.name_of(entry): entry for entry in engine.containers()}
    return [Attempt(task, templates.get(task.get("spec", "")), listed.get(task["name"])) for task in tasks]


def _block(attempt: Attempt, fleet: str, missing: Mapping[str, Problem], blocked: Mapping[str, Problem]) -> None:
    """Fail a task that must not be started at all."""
    task, template, entry = attempt.task, attempt.template or {}, attempt.entry
    fix = "remove or rename that container"
    if entry is not None and stranger(entry, fleet):
        attempt.fail(str(Problem("STW-NAME", f"container {task['name']}", stranger(entry, fleet), fix)))
    elif entry is not None and task.get("do") == "create" and entry["Labels"].get("stowage.spec") != task["spec"]:
        reason = f"container {str(entry['Id'])[:12]} has this name and another spec"
        attempt.fail(str(Problem("STW-NAME", f"container {task['name']}", reason, fix)))
    for name in (name for _stated, name in payload.named_volumes(template, task) if template and name in blocked):
        attempt.fail(str(blocked[name]))
    if entry is None or task.get("do") == "create":
        for wanted in payload.files_of(template, task):
            if wanted["digest"] in missing:
                attempt.fail(str(missing[wanted["digest"]]))


def _creator(engine: Engine, paths: host.Paths, share: Share) -> Callable[[Attempt], None]:
    claim = host.network(paths.network)["claim"] or {}
    context = {
        "fleet": share["fleet"],
        "domain": share["domain"],
        "gateway": str(claim.get("gateway", "")),
        "api": str(engine.facts().get("ApiVersion", "1.41")),
    }

    image_of = cache(engine.image)  # tasks of one service have one image

    def create(attempt: Attempt) -> None:
        if attempt.template is None:
            raise EngineError("it is gone, and its definition is not at hand")
        old = payload_host.too_old(attempt.template, payload.version(context["api"]))
        if old:
            raise EngineError(f"{old}, this host has API {context['api']}")
        known = image_of(attempt.template["image"]) if attempt.template.get("shim") else None
        made = payload.container(attempt.template, attempt.task, {**context, "image": (known or {}).get("Config")})
        try:
            engine.create(made["name"], made["body"])
        except EngineError as error:
            # A lost answer: the name is the idempotency key, so what has it now must be what was asked for.
            found = engine.containers(made["name"]) if error.status == 409 else []
            if not found or (found[0].get("Labels") or {}) != made["body"]["Labels"]:
                raise
        attempt.created = True

    return create


def _carry_out(engine: Engine, attempts: list[Attempt], create: Callable[[Attempt], None] | None) -> None:
    in_parallel(lambda attempt: _begin(engine, attempt, create), [a for a in attempts if not a.error])
    _wait(engine, [attempt for attempt in attempts if not attempt.error])
    in_parallel(lambda attempt: _undo(engine, attempt), [a for a in attempts if a.error])


def _begin(engine: Engine, attempt: Attempt, create: Callable[[Attempt], None] | None) -> None:
    """Get the container running; a stop-first predecessor is stopped at the last moment."""
    name, state = attempt.task["name"], (attempt.record or {}).get("state", "absent")
    try:
        if state in ("dead", "removing"):
            engine.remove(name)
            state = "absent"
        if state == "absent" and create is not None:
            attempt.acted = True
            create(attempt)
        if state in ("running", "restarting"):
            attempt.restarts_before = int(engine.inspect(name).get("RestartCount", 0))
        elif state == "paused":
            attempt.acted = True
            engine.unpause(name)
        else:
            attempt.acted = True
            _stop_predecessor(engine, attempt.task)
            engine.start(name)
        signal = (attempt.task.get("live") or {}).get("signal")
        if attempt.task.get("do") == "reload":
            attempt.acted = True
            if signal and state not in ("absent", "created", "exited"):
                engine.signal(name, signal)
        attempt.began_with_live = True
    except EngineError as error:
        attempt.fail(f"cannot be started: {error}")
    attempt.since = time.monotonic()


def _stop_predecessor(engine: Engine, task: Task) -> None:
    old = task.get("replaces")
    if old and task.get("order") == "stop-first":
        try:
            engine.stop(old)
        except EngineError as error:
            if error.status != 404:
                raise


def _wait(engine: Engine, attempts: list[Attempt]) -> None:
    """Poll one list for all tasks until each has its verdict."""
    pending, pause = list(attempts), FIRST_PAUSE
    while pending:
        try:
            pending = _unsettled(engine, pending)
        except EngineError as error:
            for attempt in pending:
                attempt.fail(f"cannot be watched: {error}")
            return
        if pending:
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)


def _unsettled(engine: Engine, attempts: list[Attempt]) -> list[Attempt]:
    """Those without a verdict yet; side by side where a probe may wait for its answer."""
    listed = {records.name_of(entry): entry for entry in engine.containers()}
    each = in_parallel if any(attempt.task.get("ready") for attempt in attempts) else map
    done = each(lambda attempt: _settled(engine, attempt, listed), attempts)
    return [attempt for attempt, settled in zip(attempts, done) if not settled]


def _settled(engine: Engine, attempt: Attempt, listed: Mapping[str, Any]) -> bool:
    entry = listed.get(attempt.task["name"])
    waited = time.monotonic() - attempt.since
    attempt.record = records.container(entry) if entry else None
    if ready.needs_restarts(attempt.task, attempt.record, waited):
        attempt.restarts = _restarts(engine, attempt)
    look = ready.Look(attempt.record, waited, attempt.restarts, attempt.down())
    found = ready.verdict(attempt.task, attempt.condition, look)
    if found.ok and (attempt.record or {}).get("state") == "running":
        found = _watched(engine, attempt, waited)
    if found.done and not found.ok:
        attempt.fail(found.reason)
    attempt.ended = time.monotonic()
    return found.done


def _restarts(engine: Engine, attempt: Attempt) -> int:
    """How often the Engine has restarted it since this call began with it."""
    return max(int(engine.inspect(attempt.task["name"]).get("RestartCount", 0)) - attempt.restarts_before, 0)


def _watched(engine: Engine, attempt: Attempt, waited: float) -> ready.Verdict:
    """A container that would be ready: does it pass its probe, and does it stay up for as long as it is watched?"""
    task = attempt.task
    if task.get("ready") and attempt.ready_at is None:
        from ..health.probes import probe  # noqa: PLC0415 (only who states a probe needs it)

        reason = probe(task["ready"], task["ip"])
        if reason:
            return ready.late(f"not ready after {waited:.0f} s: {reason}", waited >= task["ready_timeout"])
    now = time.monotonic()
    attempt.ready_at = attempt.ready_at or now
    if now - attempt.ready_at < task.get("observe_for", 0.0):
        return ready.WAIT
    if task.get("observe_for"):
        restarts = _restarts(engine, attempt)
        if restarts:
            return ready.late(f"restarted {restarts} times while it was watched ({task['observe_for']:g} s)", True)
    return ready.READY


def _undo(engine: Engine, attempt: Attempt) -> None:
    """After a failure: keep the last output, remove what this call created, put a stopped predecessor back."""
    task = attempt.task
    try:
        if attempt.record is not None or attempt.created:
            attempt.log = _tail(engine, task["name"])
        if attempt.created:
            # Its nameless volumes were made with it a moment ago: nobody's data.
            engine.remove(task["name"], anonymous=True)
        if task.get("replaces") and task.get("order") == "stop-first" and engine.containers(task["replaces"]):
            engine.start(task["replaces"])
            attempt.restored = True
    except EngineError as error:
        attempt.error += f"; undoing it failed: {error}"


def _tail(engine: Engine, name: str) -> list[str]:
    """The last output: at most 10 lines of 200 and 1000 characters together, the newest first in line to stay."""
    kept: list[str] = []
    for line in reversed(engine.log_tail(name, LOG_LINES).splitlines()[-LOG_LINES:]):
        shown = printable(line, LOG_LINE)
        if sum(map(len, kept)) + len(shown) > LOG_TOTAL:
            break
        kept.insert(0, shown)
    return kept
