# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One host's part of a step of work on a volume (moving, backing): under the lock where it must be, and one result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from . import host, lock
from .client import PATIENCE, Engine, connect
from .refusals import REFUSALS, problems_of

Found = dict[str, Any]
Mode = Callable[[Engine, host.Paths, Mapping[str, Any]], Found]


class Kind(NamedTuple):
    """What can be asked for: {mode: function}, with `look` and `close`; and the modes that need this run's lease."""

    modes: Mapping[str, Mode]
    locked: tuple[str, ...]


def run(
    kind: Kind, request: Mapping[str, Any], root: str = "/", check: bool = False, engine: Engine | None = None
) -> Found:
    """Carry out request["mode"]: {changed, problems: [Problem as dict], seconds} and what the mode finds.

    request: mode, share, run, takeover, lock_wait. check: only looks; engine: for tests. Never raises for a refusal.
    """
    began, paths = time.monotonic(), host.Paths(root)
    found: Found = {"changed": False}
    problems = []
    try:
        found.update(_carry_out(kind, engine or connect(0.0 if check else PATIENCE), paths, request, check))
    except REFUSALS as error:
        problems = problems_of(error)
    told = [problem.as_dict() for problem in problems]
    return {**found, "problems": told, "seconds": round(time.monotonic() - began, 2)}


def _carry_out(kind: Kind, engine: Engine, paths: host.Paths, request: Mapping[str, Any], check: bool) -> Found:
    mode, share = request["mode"], request["share"]
    work = kind.modes[mode]
    if check and mode != "look":
        return {"changed": True}
    if mode not in kind.locked and mode != "close":
        return work(engine, paths, share)
    with lock.working(paths, float(request.get("lock_wait") or 0)):
        if mode == "close":
            try:
                return work(engine, paths, share)
            finally:
                lock.unlock(request["run"]["id"], paths.root)
        lock.refuse_other(paths, request["run"], request.get("takeover"))
        lock.take(paths, request["run"])
        return work(engine, paths, share)
