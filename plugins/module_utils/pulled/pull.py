# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One pull: ask the store, check what came, write it where the container sees it, say how it went."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..config_stores.base import Access, Pulled, StoreError
from ..config_stores.stores import read
from . import tasks

OK, UNAVAILABLE, WRONG = 0, 75, 78  # sysexits: EX_TEMPFAIL, EX_CONFIG
Sleep = Callable[[float], None]
Record = Mapping[str, Any]


class Outcome(NamedTuple):
    """How a pull went: an exit code for the container (0: go on), a line for people, and what was pulled."""

    code: int
    text: str = ""
    found: Pulled | None = None
    fresh: bool = False


def carry_out(root: str, name: str, sleep: Sleep = time.sleep) -> Outcome:
    """Pull for a container and write its files."""
    record = tasks.read(tasks.record_path(root, name))
    if not record:
        return Outcome(WRONG, "nothing is known of this container's configuration: deploy again")
    try:
        outcome = judged(record, _asked(root, record, sleep))
        if outcome.code == OK and outcome.found:
            place(os.path.join(root, tasks.folder(name)[1:]), outcome.found.files)
            _remember(root, name, record, outcome)
    except OSError as error:
        return Outcome(UNAVAILABLE, f"its configuration cannot be written: {error.strerror}")
    return outcome


def judged(record: Record, outcome: Outcome) -> Outcome:
    """The outcome, after looking at what came: planned revision, required names."""
    if outcome.code or outcome.found is None:
        return outcome
    planned, found = record.get("planned"), outcome.found
    if planned and found.revision != planned:
        reason = f"the store changed since the plan was made (it has {found.revision[:12]}, planned {planned[:12]})"
        return Outcome(WRONG, f"{reason}: deploy again")
    absent = [name for name in record.get("require") or () if name not in found.files]
    if absent:
        return Outcome(WRONG, f"the store has no {', '.join(absent)}, which require names")
    return outcome


def place(folder: str, files: Mapping[str, bytes]) -> None:
    """Have just these files below a directory, each put there by one rename."""
    for name, content in files.items():
        path = os.path.join(folder, name)
        _make_room(folder, name)
        tasks.put(path, content, 0o444, f"{folder}.stage")
    for at, folders, found in os.walk(folder, topdown=False):
        for file in found:
            if os.path.relpath(os.path.join(at, file), folder) not in files:
                os.unlink(os.path.join(at, file))
        for inner in folders:
            if not os.listdir(os.path.join(at, inner)):
                os.rmdir(os.path.join(at, inner))


def _make_room(folder: str, name: str) -> None:
    """A file may become a directory, and a directory a file."""
    at = folder
    for part in name.split("/")[:-1]:
        at = os.path.join(at, part)
        if os.path.isfile(at):
            os.unlink(at)
        if not os.path.isdir(at):
            os.mkdir(at, 0o755)
    path = os.path.join(folder, name)
    if os.path.isdir(path):
        place(path, {})
        os.rmdir(path)


def _asked(root: str, record: Record, sleep: Sleep) -> Outcome:
    """What the store gives; what it last gave, if it does not answer and the record allows that."""
    reason = "was not asked"
    for pause in [*tasks.pauses(int(record["tries"])), None]:
        try:
            secret = _credential(root, record)
            found = read(Access(record["source"], secret, record.get("ca") or None, tasks.TRY_SECONDS))
            return Outcome(OK, "", found, fresh=True)
        except StoreError as error:
            reason = error.reason
            if not error.retry:
                return Outcome(WRONG, f"{record['source']['type']}: {reason}")
        if pause is not None:
            sleep(pause)
    text = f"{record['source']['type']}: {reason}, after {record['tries']} tries"
    last = tasks.read(tasks.last_good_path(root, record["service"])) if record.get("stale") else {}
    if last.get("source") != record["source"]:
        return Outcome(UNAVAILABLE, text)
    files = {name: base64.b64decode(value) for name, value in last["files"].items()}
    kept = Pulled(files, last["revision"])
    return Outcome(OK, f"{text}; going on with what was pulled last, {last['at']}", kept)


def _credential(root: str, record: Record) -> str | None:
    """The store's credential, from the memory that secrets lie in. Raises StoreError."""
    path = record.get("credential")
    if not path:
        return None
    try:
        with open(os.path.join(root, path[1:]), encoding="utf-8") as file:
            return file.read().rstrip("\r\n")
    except (OSError, ValueError):
        raise StoreError("the secret of auth is not on this host now", retry=True) from None


def _remember(root: str, name: str, record: Record, outcome: Outcome) -> None:
    """Later starts take what the store has then; with stale, keep what came."""
    if record.get("planned"):
        tasks.write(tasks.record_path(root, name), {**record, "planned": ""})
    if not (record.get("stale") and outcome.fresh and outcome.found):
        return
    made = {
        "source": record["source"],
        "revision": outcome.found.revision,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "files": {key: base64.b64encode(value).decode() for key, value in sorted(outcome.found.files.items())},
    }
    tasks.write(tasks.last_good_path(root, record["service"]), made)
