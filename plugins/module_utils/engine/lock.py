# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two runs never work on one host: a lease says whose turn it is, a kernel lock that a module is working right now.

The lease (/run/stowage/lock.json) outlives a module call and names its run; it ends by time (CLOCK_BOOTTIME: no wall
clock is trusted) and with the boot. The flock (/run/stowage/apply.lock) is held for as long as a module changes
anything: a module whose controller was killed works on to its end, and nobody else starts until then.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..errors import Problem, StowageError
from .client import printable
from .host import Paths, read_json

Lease = dict[str, Any]
# What a module is told of its run, as an argument spec.
RUN: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "holder": {"type": "str", "required": True},
    "controller": {"type": "dict", "default": {}},
    "ttl": {"type": "int", "default": 600},
}
# Who works here and whose lock does not count, as the fragment `run` documents it.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "run": {"type": "dict", "options": RUN},
    "takeover": {"type": "str"},
    "lock_wait": {"type": "float", "default": 30},
}
TRY_SECONDS = 0.1  # even a caller that does not wait outlasts somebody's glance at the lock


@contextmanager
def working(paths: Paths, wait: float = 0.0) -> Iterator[None]:
    """Hold the flock. Raises StowageError (STW-LOCKED) if another module holds it for longer than `wait` seconds."""
    os.makedirs(paths.run, mode=0o755, exist_ok=True)
    handle = os.open(paths.flock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(handle, paths, wait)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, paths: Paths, wait: float) -> None:
    end = time.monotonic() + max(wait, TRY_SECONDS)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise StowageError(_still_working(paths, wait)) from None
            time.sleep(0.02)


def _still_working(paths: Paths, wait: float) -> Problem:
    lease = current(paths)
    whose = f"of run {_shown(lease['run'])} by {_shown(lease['holder'])}" if lease else "of another run"
    reason = f"a module {whose} still works here (waited {wait:.0f} s)"
    return Problem("STW-LOCKED", "host", reason, "wait until it has ended, then start again")


def busy(paths: Paths) -> bool:
    """True if a module holds the flock right now."""
    try:
        handle = os.open(paths.flock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(handle)


def current(paths: Paths) -> Lease | None:
    """The lease that binds now, with `until` and `age` in seconds from now, or None: no lease, expired, other boot."""
    lease = read_json(paths.lease)
    try:
        left = float(lease["until_boot"]) - uptime()
        if lease["boot_id"] != boot_id(paths) or left <= 0:
            return None
        age = uptime() - float(lease["since_boot"])
        known = {key: lease[key] for key in ("run", "holder", "controller")}
    except (KeyError, TypeError, ValueError):
        return None
    return {**known, "until": round(left, 1), "age": round(age, 1)}


def take(paths: Paths, run: Mapping[str, Any], preparing: bool = False) -> None:
    """Write this run's lease; call it with the flock held, after `refuse_other`. run: id, holder, controller, ttl.

    preparing: the run may still have to give its locks back, because another one has some of the hosts.
    """
    held = current(paths)
    since = uptime() - held["age"] if held and held["run"] == run["id"] else uptime()
    lease = {
        "run": run["id"],
        "holder": run["holder"],
        "controller": dict(run.get("controller") or {}),
        "since_boot": since,
        "until_boot": uptime() + float(run.get("ttl") or 600),
        "boot_id": boot_id(paths),
        "preparing": preparing,
    }
    stage = f"{paths.lease}.{os.getpid()}"
    with open(os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(lease, file)
    os.replace(stage, paths.lease)


def refuse_other(paths: Paths, run: Mapping[str, Any], takeover: str | None = None) -> None:
    """Raise StowageError (STW-LOCKED) if another run holds the lease, unless that run is `takeover` (proved dead)."""
    lease = current(paths)
    if lease is None or lease["run"] in (run["id"], takeover):
        return
    reason = f"locked by {_shown(lease['holder'])}, run {_shown(lease['run'])}, for {lease['age']:.0f} s"
    fix = (
        f"wait for it (the lock ends by itself in {lease['until']:.0f} s without work); if it is gone for good, unlock"
    )
    raise StowageError(Problem("STW-LOCKED", "host", reason, fix))


def may_yield(paths: Paths, run: Mapping[str, Any], takeover: str | None = None) -> bool:
    """True if a younger run (by its id) prepares here: when two runs take the same hosts at once, the older one waits.

    The younger one does not wait: it refuses where it meets the older one, and gives back what it has. So exactly one
    of the two proceeds, although both take all hosts at the same time.
    """
    lease = read_json(paths.lease) if current(paths) else {}
    return bool(lease.get("preparing")) and lease["run"] != takeover and str(lease["run"]) > run["id"]


def renew(paths: Paths, run: Mapping[str, Any]) -> None:
    """Prolong this run's lease. Raises StowageError (STW-LOCKED) if it is not ours any more.

    An expired lease that nobody took meanwhile is still ours.
    """
    lease = read_json(paths.lease)
    if lease.get("run") == run["id"] and lease.get("boot_id") == boot_id(paths):
        take(paths, run)
        return
    other = current(paths)
    if other:
        whose = f"run {_shown(other['run'])} by {_shown(other['holder'])} has it"
    elif not lease:
        whose = "its file is gone: the host was rebooted, or somebody removed it"
    else:
        whose = f"its file names run {_shown(lease.get('run'))}, which does not bind any more"
    reason = f"the lock of run {_shown(run['id'])} is lost: {whose}"
    raise StowageError(Problem("STW-LOCKED", "host", reason, "start again: a new plan from what runs now"))


def unlock(run_id: str, root: str = "/") -> bool:
    """Remove the lease of this run, whoever asks; True if there was one. Call it with the flock held."""
    paths = Paths(root)
    if read_json(paths.lease).get("run") != run_id:
        return False
    os.unlink(paths.lease)
    return True


def uptime() -> float:
    """Seconds since boot, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id(paths: Paths) -> str:
    """The kernel's name for this boot."""
    try:
        with open(os.path.join(paths.proc, "sys/kernel/random/boot_id"), encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _shown(text: Any) -> str:
    return printable(str(text), 80)
