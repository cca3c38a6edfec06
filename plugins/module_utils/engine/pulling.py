# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Missing images are fetched by processes that outlive a call: who waits can look in and tell how far they are."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any, Callable

from ..errors import Problem, StowageError
from . import host
from .client import Engine, EngineError

LOOK = 0.1  # seconds between two looks at the processes
WRITE = 0.5  # seconds between two notes of how far a pull is
FIX = "check the image's name, the registry, and this host's way to it"
Connect = Callable[[], Engine]


def fetch(
    engine: Engine, connect: Connect, images: Iterable[str], paths: host.Paths, patience: float
) -> dict[str, list[Any]]:
    """Fetch what is missing, and wait at most `patience` seconds for it.

    connect makes an Engine for a process of its own. Returns {pulled: [{image, bytes, seconds}], pulling: [{image,
    done, total in bytes}], problems: [STW-PULL]}; while something is in `pulling`, call again.
    """
    pulls, end, pending = _Pulls(engine, connect, paths), time.monotonic() + patience, sorted(set(images))
    while True:
        pending = [image for image in pending if not pulls.over(image)]
        if not pending or time.monotonic() >= end:
            break
        time.sleep(LOOK)
    notes = [(image, host.read_json(_file(paths, image))) for image in pending]
    pulling = [{"image": image, "done": note.get("done", 0), "total": note.get("total", 0)} for image, note in notes]
    return {"pulled": pulls.pulled, "pulling": pulling, "problems": pulls.problems}


class _Pulls:
    """What became of this call's images."""

    def __init__(self, engine: Engine, connect: Connect, paths: host.Paths) -> None:
        self.engine, self.connect, self.paths = engine, connect, paths
        self.begun: set[str] = set()
        self.pulled: list[dict[str, Any]] = []
        self.problems: list[Problem] = []

    def over(self, image: str) -> bool:
        """Has this image's pull ended, or was there none to make? A pull that must be made is begun."""
        lock = _lock(self.paths, image)
        if lock is None:
            return False
        try:
            note = host.read_json(_file(self.paths, image))
            _forget(self.paths, image)
            if self.engine.has_image(image):
                if note.get("state") == "done":
                    self.pulled.append({"image": image, "bytes": note["done"], "seconds": note["seconds"]})
                return True
            if note.get("state") == "failed" or image in self.begun:
                reason = str(note.get("reason") or "the pull was interrupted")
                self.problems.append(Problem("STW-PULL", f"image {image}", reason, FIX))
                return True
            self.begun.add(image)
            _spawn(self.connect, image, self.paths, lock)
            return False
        finally:
            os.close(lock)


def _spawn(connect: Connect, image: str, paths: host.Paths, lock: int) -> None:
    """Pull in a process that is nobody's child; it holds the lock for as long as it lives."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            _detach(lock)
            _pull(connect, image, _file(paths, image))
    finally:
        os._exit(0)


def _detach(lock: int) -> None:
    """Hold nothing of the caller's but the lock: who waits for the end of its output must see it."""
    kept = os.dup2(lock, 3) if lock != 3 else lock
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _pull(connect: Connect, image: str, path: str) -> None:
    """Pull, and note how far that is: {state: pulling | done | failed, done, total in bytes, seconds, reason}."""
    began = written = time.monotonic()
    note: dict[str, Any] = {"state": "pulling", "done": 0, "total": 0}

    def tell(layers: Mapping[str, tuple[int, int]]) -> None:
        nonlocal written
        note["done"], note["total"] = (sum(counts) for counts in zip(*layers.values()))
        if time.monotonic() - written >= WRITE:
            _write(path, note)
            written = time.monotonic()

    _write(path, note)
    try:
        connect().pull(image, tell)
        note["state"] = "done"
    except StowageError as error:
        note.update(state="failed", reason=error.problems[0].reason)
    except (EngineError, OSError) as error:
        note.update(state="failed", reason=str(error))
    _write(path, {**note, "seconds": round(time.monotonic() - began, 1)})


def _file(paths: host.Paths, image: str) -> str:
    return os.path.join(paths.run, "pulls", hashlib.sha256(image.encode()).hexdigest()[:24] + ".json")


def _lock(paths: host.Paths, image: str) -> int | None:
    """A descriptor that holds this image's lock; None if a pull does."""
    path = _file(paths, image)[: -len("json")] + "lock"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _write(path: str, note: Mapping[str, Any]) -> None:
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(note, file)
    os.replace(f"{path}.new", path)


def _forget(paths: host.Paths, image: str) -> None:
    """Take the note away. The lock's file stays: who took it away could let two in."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_file(paths, image))
