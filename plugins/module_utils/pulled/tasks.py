# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host knows of a task that pulls its configuration, and where its files are. Standard library only.

A task's record is one file of JSON: {service, source: {type, endpoints, prefix}, require: [names], tries, stale: bool,
ca: PEM or "", credential: path or "", planned: the revision that the first pull must give, or ""}.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

RECORDS = "/var/lib/stowage/config"
LAST_GOOD = "last-good"
MEMORY = "/run/stowage/config"
GATE, FILES, ASK, ANSWER = "gate", "files", "ask", "answer"
SUFFIX = ".json"
REVISION = "stowage.config.rev"  # label of containers: what the plan saw in the store
CREDENTIAL = "/.stowage-config-credential"  # where the store's secret would be, were it mounted
TRY_SECONDS = 3.0  # that one endpoint may take to answer
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
SPARE_SECONDS = 15  # for the host's service to come up


def pauses(tries: int) -> list[float]:
    """Seconds between so many tries."""
    return [min(FIRST_PAUSE * 2**n, LONGEST_PAUSE) for n in range(tries - 1)]


def patience(tries: int, endpoints: int) -> int:
    """Seconds that a container waits for its configuration before it gives up."""
    return int(sum(pauses(tries)) + tries * endpoints * TRY_SECONDS) + SPARE_SECONDS


def gate(name: str) -> str:
    """The directory of a container through which it asks."""
    return f"{MEMORY}/{name}/{GATE}"


def folder(name: str) -> str:
    """The directory of a container that holds what was pulled."""
    return f"{MEMORY}/{name}/{FILES}"


def record_path(root: str, name: str) -> str:
    """Where a task's record is."""
    return os.path.join(root, RECORDS[1:], name + SUFFIX)


def last_good_path(root: str, service: str) -> str:
    """Where what was last pulled for a service is kept."""
    return os.path.join(root, RECORDS[1:], LAST_GOOD, service + SUFFIX)


def names(root: str) -> list[str]:
    """Names of the containers that have a record, sorted."""
    where = os.path.join(root, RECORDS[1:])
    listed = os.listdir(where) if os.path.isdir(where) else []
    return sorted(name[: -len(SUFFIX)] for name in listed if name.endswith(SUFFIX) and not name.startswith("."))


def read(path: str) -> dict[str, Any]:
    """The JSON object in a file; {} if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: str, value: Mapping[str, Any]) -> None:
    """Put a JSON object into a file that only root reads, by one rename."""
    put(path, json.dumps(value, sort_keys=True).encode(), 0o600)


def put(path: str, content: bytes, mode: int, stage: str = "") -> None:
    """Put a whole file in place by one rename. stage: where it is written before, beside it if not stated."""
    stage = stage or os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)
    os.replace(stage, path)


def lay_out(root: str, name: str) -> str:
    """Have a container's directories and its FIFO there; the FIFO's path."""
    os.makedirs(os.path.join(root, MEMORY[1:]), mode=0o700, exist_ok=True)
    for path in (gate(name), folder(name)):
        os.makedirs(os.path.join(root, path[1:]), mode=0o755, exist_ok=True)
    ask = os.path.join(root, gate(name)[1:], ASK)
    if not os.path.exists(ask):
        os.mkfifo(ask)
        os.chmod(ask, 0o666)  # any user of the container may ask
    return ask


def prune(root: str, present: Iterable[str], check: bool = False) -> bool:
    """Remove what was kept for containers that are no more. present: names of those that are there."""
    there = set(present)
    gone = [name for name in names(root) if name not in there]
    if check or not gone:
        return bool(gone)
    for name in gone:
        os.unlink(record_path(root, name))
        shutil.rmtree(os.path.join(root, MEMORY[1:], name), ignore_errors=True)
    services = {str(read(record_path(root, name)).get("service")) for name in names(root)}
    kept = os.path.join(root, RECORDS[1:], LAST_GOOD)
    for file in sorted(os.listdir(kept)) if os.path.isdir(kept) else ():
        if file[: -len(SUFFIX)] not in services:
            os.unlink(os.path.join(kept, file))
    return True
