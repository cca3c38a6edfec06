# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which of a host's own tasks do not serve now, and which containers are to be restarted. Pure: no clock, no socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0  # seconds between two restarts of one container
Task = Mapping[str, Any]


class Container(NamedTuple):
    """What the Engine lists of a container: its full id, state (running, exited...), health and its task's labels."""

    id: str
    state: str
    health: str
    status: str
    service: str
    slot: str
    ip: str


class Streak(NamedTuple):
    """What a probe saw of one container: how often in a row it failed, why last, and whether it ever passed."""

    failures: int = 0
    reason: str = ""
    passed: bool = False
    asked: bool = False


class Restarts(NamedTuple):
    """How often the watch has restarted a container, and when last (monotonic seconds)."""

    times: int = 0
    last: float = float("-inf")


def step(streak: Streak, reason: str) -> Streak:
    """A probe's streak after one more look; reason "" means that it passed."""
    if not reason:
        return Streak(0, "", True, True)
    return Streak(streak.failures + 1, reason, streak.passed, True)


def withheld(
    tasks: Iterable[Task],
    node: str,
    containers: Iterable[Container],
    health: Mapping[str, Mapping[str, Any]],
    streaks: Mapping[tuple[str, str], Streak],
) -> dict[str, dict[str, Any]]:
    """{address: {service, slot, reason}} of this node's tasks that do not serve.

    tasks: all that the plan gave. health: {service: {ready: probe, ...}}. streaks: {(container id, ready | live)}. A
    guessed probe counts once it has passed, and never takes away what would be the last task of its service.
    """
    listed = list(tasks)
    found = {(one.service, one.slot, one.ip): one for one in containers}
    out: dict[str, dict[str, Any]] = {}
    guessed: dict[str, dict[str, Any]] = {}
    for task in listed:
        if task["node"] != node or not task["ip"]:
            continue
        container = found.get((str(task["service"]), str(task["slot"]), str(task["ip"])))
        ready = (health.get(str(task["service"])) or {}).get("ready")
        streak = streaks.get((container.id, "ready"), Streak()) if container else Streak()
        reason, guess = _reason(container, ready, streak)
        if reason:
            entry = {"service": str(task["service"]), "slot": str(task["slot"]), "reason": reason}
            (guessed if guess else out)[str(task["ip"])] = entry
    for ip, entry in guessed.items():
        others = [one["ip"] for one in listed if one["service"] == entry["service"]]
        if any(other not in out and other not in guessed for other in others):
            out[ip] = entry
    return dict(sorted(out.items()))


def _reason(container: Container | None, ready: Mapping[str, Any] | None, streak: Streak) -> tuple[str, bool]:
    """(why it does not serve, whether that is only a guess)."""
    if container is None:
        return "its container is gone", False
    if container.state != "running":
        return container.status or container.state, False
    if container.health == "unhealthy":
        return "unhealthy", False
    passes = bool(ready) and streak.passed and not streak.failures
    if container.health == "starting" and not passes:
        return "starting, not healthy yet", False
    return _unready(ready, streak) if ready else ("", False)


def _unready(ready: Mapping[str, Any], streak: Streak) -> tuple[str, bool]:
    guess = bool(ready.get("guess"))
    never = not guess and streak.asked and not streak.passed
    if never or (streak.passed and streak.failures >= int(ready["retries"])):
        return f"not ready: {streak.reason}", guess
    return "", False


def must_restart(
    container: Container,
    health: Mapping[str, Any],
    streak: Streak,
    done: Restarts,
    now: float,
) -> str:
    """Why the container is to be restarted now; "" if it is not. health: its service's; streak: of its live probe.

    With a live probe only that decides, else the Engine's own healthcheck. A restart policy of none restarts nothing.
    """
    if container.state != "running" or health.get("restart") == "none":
        return ""
    live = health.get("live")
    if live:
        failed = streak.failures >= int(live["retries"])
        reason = f"not alive: {streak.reason}" if failed else ""
    else:
        reason = "unhealthy" if container.health == "unhealthy" else ""
    attempts = int(health.get("max_attempts") or 0)
    if not reason or (attempts and done.times >= attempts):
        return ""
    wait = min(FIRST_BACKOFF * 2 ** max(done.times - 1, 0), LONGEST_BACKOFF) if done.times else 0.0
    return reason if now - done.last >= wait else ""
