# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When is a new container ready? Pure predicates over what an Engine lists; the waiting is in `start`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

STEADY_SECONDS = 0.5  # without a health check, a container is looked at for at least this long
DOWN_SECONDS = 10.0  # a container that the Engine itself will start again may be down that long: the Engine restarts
LOOP_RESTARTS = 3  # with a health check, an application may give up twice (its database starts too) before it is a loop


class Look(NamedTuple):
    """What was seen of a container.

    record: the Observation's record, None if it is gone. waited: seconds since it was started. restarts: how often the
    Engine has restarted it since, None if nobody looked. down: seconds since it was first seen ended.
    """

    record: Mapping[str, Any] | None
    waited: float = 0.0
    restarts: int | None = None
    down: float = 0.0


class Verdict(NamedTuple):
    """Whether the waiting is over, and how it went."""

    done: bool
    ok: bool = False
    reason: str = ""


WAIT, READY = Verdict(False), Verdict(True, True)


def verdict(task: Mapping[str, Any], condition: str, look: Look) -> Verdict:
    """Judge one container. task: one_shot, monitor, ready_timeout (seconds). condition: its restart policy's."""
    record = look.record
    if record is None:
        return _failed("it was removed by somebody else")
    state, late = record["state"], look.waited >= task["ready_timeout"]
    if state in ("exited", "dead"):
        return _ended(task, condition, record, look.down)
    if state == "running":
        return _running(task, record, look.waited, look.restarts)
    if state == "restarting" and _loops(task, look.restarts):
        return _failed(f"it ends again and again: exited ({record['exit_code']}), {look.restarts} restarts")
    return _failed(f"still {state} after {look.waited:.0f} s") if late else WAIT


def needs_restarts(task: Mapping[str, Any], record: Mapping[str, Any] | None, waited: float) -> bool:
    """True if the verdict depends on the restart count: it restarts now, or its time without a health check is over."""
    if record is None or record["state"] not in ("running", "restarting"):
        return False
    if record["state"] == "restarting":
        return True
    return record["health"] == "none" and not task["one_shot"] and 0 < task["monitor"] <= waited


def _ended(task: Mapping[str, Any], condition: str, record: Mapping[str, Any], down: float) -> Verdict:
    if record["exit_code"] == 0 and (task["one_shot"] or condition == "on-failure") and record["state"] == "exited":
        return READY
    if condition == "any" and not task["one_shot"] and record["state"] == "exited" and down < DOWN_SECONDS:
        # Its policy never leaves it like that, unless the Engine is just stopping or coming back.
        return WAIT
    return _failed(f"{record['state']} ({record['exit_code']})")


def _running(task: Mapping[str, Any], record: Mapping[str, Any], waited: float, restarts: int | None) -> Verdict:
    if record["health"] == "healthy" and not task.get("must_end"):
        return READY
    if record["health"] == "unhealthy":
        return _failed("unhealthy")
    if task["one_shot"] or task.get("must_end"):
        # A job may take longer than anybody waits: it was started, and it works. Unless others need it done.
        late = _failed(f"has not ended after {waited:.0f} s") if task.get("must_end") else READY
        return late if waited >= task["ready_timeout"] else WAIT
    if record["health"] == "starting":
        return _failed(f"not healthy after {waited:.0f} s") if waited >= task["ready_timeout"] else WAIT
    if waited < max(task["monitor"], STEADY_SECONDS):
        return WAIT
    return _failed(f"restarted {restarts} times in {waited:.0f} s") if task["monitor"] > 0 and restarts else READY


def late(reason: str, over: bool) -> Verdict:
    """Wait on, or fail if the time is over."""
    return _failed(reason) if over else WAIT


def _loops(task: Mapping[str, Any], restarts: int | None) -> bool:
    return not task["one_shot"] and restarts is not None and restarts >= LOOP_RESTARTS


def _failed(reason: str) -> Verdict:
    return Verdict(True, False, reason)
