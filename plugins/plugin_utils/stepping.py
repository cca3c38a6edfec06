# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work that is decided once and then done in steps by hosts: the records of such a run on the controller."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

DECIDED = "decided.json"


def begin(directory: Path, decided: Mapping[str, Any], observations: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down what the hosts shall do. Raises StowageError (STW-LOCKED) when a living run holds one of them."""
    involved = {node for step in decided["steps"] for node in step["hosts"]}
    seen = {node: observations[node] for node in sorted(involved) if node in observations}
    takeover = controller.takeovers(seen)
    try:
        controller.write_run(directory, takeover)
    except OSError as error:
        raise controller.unwritable(directory, error) from error
    controller.write_json(directory / DECIDED, decided)


def heads(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a playbook needs to know of each step: {id, mode, hosts}."""
    return [{"id": step["id"], "mode": step["mode"], "hosts": sorted(step["hosts"])} for step in steps]


def step_of(directory: Path, number: int) -> dict[str, Any]:
    """One of the decided steps."""
    found: dict[str, Any] = controller.read_json(directory / DECIDED)["steps"][number]
    return found


def record(
    directory: Path, step: Mapping[str, Any], node: str, work: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Do one host's part of a step and keep what it told. Written before as well: it may be done without an answer."""
    path = directory / "results" / f"{step['id']:02}-{step['mode']}-{node}.json"
    began = time.time()
    controller.write_json(path, {"began": began})
    told = {key: value for key, value in work().items() if not key.startswith(("_ansible", "invocation"))}
    controller.write_json(path, {"began": began, **plain(told)})
    return told


def results(directory: Path) -> dict[str, dict[str, Any]]:
    """{mode: {node: result}} of the steps that were begun, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((directory / "results").glob("*.json")):
        _id, mode, node = path.stem.split("-", 2)
        found.setdefault(mode, {})[node] = controller.read_json(path)
    return found
