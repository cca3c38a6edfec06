# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host is told of tasks that pull their configuration (pulled/), and what their containers mount of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem
from ..pulled import tasks, unit
from . import mounts, secret_sets
from .host import Paths

TARGET = "/.stowage-config"
Template = Mapping[str, Any]
Task = Mapping[str, Any]


def mounted(template: Template, task: Task) -> list[dict[str, Any]]:
    """The Engine's Mounts: where a task asks, and where it finds what came; [] if it pulls nothing."""
    config = template.get("config")
    if not config:
        return []
    name = task["name"]
    return [mounts.read_only(tasks.gate(name), TARGET), mounts.read_only(tasks.folder(name), config["dir"])]


def record(config: Mapping[str, Any], task: Task, secrets: Mapping[str, Any] | None) -> dict[str, Any]:
    """The task's record (pulled.tasks). config: the template's. secrets: its set (payload.secret_set), or None."""
    at = [one["at"] for one in (secrets or {}).get("files", ()) if one["target"] == tasks.CREDENTIAL]
    return {
        "service": task["service"],
        "source": {key: config[key] for key in ("type", "endpoints", "prefix")},
        "require": config.get("require", []),
        "tries": config["tries"],
        "stale": bool(config.get("stale")),
        "ca": config.get("ca", ""),
        "credential": f"{secret_sets.ROOT}/{secrets['path']}/{at[0]}" if secrets and at else "",
        "planned": config["revision"],
    }


def deliver(paths: Paths, wanted: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Problem]:
    """Have the records of new containers there, and who pulls for them running: {container: why not}.

    wanted: (container's name, record).
    """
    given, failed = dict(wanted), {}
    reason = unit.running(paths.root) if given else ""
    for name, record in given.items():
        place = f"configuration of {name}"
        try:
            tasks.write(tasks.record_path(paths.root, name), record)
            tasks.lay_out(paths.root, name)
        except OSError as error:
            why = error.strerror or "cannot be written"
            failed[name] = Problem("STW-CONFIGSOURCE", place, why, f"look at the host's {tasks.RECORDS} and /run")
        if reason:
            fix = f"look at `journalctl -u {unit.UNIT}` on the host"
            failed[name] = Problem("STW-CONFIGSOURCE", place, reason, fix)
    return failed


def present(paths: Paths) -> bool:
    """Whether this host can pull for containers."""
    return unit.is_there(paths.root)


def forget(paths: Paths, names: Iterable[str], check: bool = False) -> bool:
    """Remove the records of containers that are no more. names: of those that are there."""
    return os.path.isdir(os.path.join(paths.root, tasks.RECORDS[1:])) and tasks.prune(paths.root, names, check)
