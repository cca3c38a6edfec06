# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs that change under a running container: files of its own, written in place, and what was last applied.

A container sees a mounted file by its inode: a rename would not reach it. `live/<container>/applied` holds the digest
of the Service's `live.files` that the container runs with.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import digest, text_digest
from .host import Paths, read_json

FOLDER, APPLIED = "live", "applied"


def name_of(task: Mapping[str, Any], target: str) -> str:
    """Name, below the directory of configs, of a live file: one a container and target."""
    return f"{FOLDER}/{task['name']}/{text_digest(target)[:16]}"


def wanted(task: Mapping[str, Any]) -> str:
    """Digest of the live files that a task shall have; "" if it has none."""
    return digest(task["live"]["files"]) if task.get("live") else ""


def applied(paths: Paths) -> dict[str, str]:
    """{container name: digest of the live files that it runs with}."""
    folder = os.path.join(paths.configs, FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    found = {name: read_json(os.path.join(folder, name, APPLIED)).get("digest") for name in names}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def note_path(paths: Paths, task: Mapping[str, Any]) -> str:
    """Where it is noted what a task's container runs with."""
    return os.path.join(paths.configs, FOLDER, task["name"], APPLIED)


def overwrite(path: str, content: bytes) -> None:
    """Put a content into a file that a container has mounted; the file is never empty meanwhile."""
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def prune(paths: Paths, names: Iterable[str], check: bool = False) -> bool:
    """Remove the live files of containers that are no more. names: of those that are there."""
    folder, there = os.path.join(paths.configs, FOLDER), set(names)
    gone = [name for name in os.listdir(folder) if name not in there] if os.path.isdir(folder) else []
    for name in () if check else gone:
        shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    return bool(gone)
