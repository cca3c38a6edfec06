# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Work that is decided once and then done in steps by hosts (moves, backups): its stages on the controller."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import canary, moving
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, identity

display = Display()

DECIDED = "decided.json"
# What stages have in common, as the fragment `stepping` documents it.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "run_dir": {"type": "path", "required": True},
    "volume": {"type": "str", "default": ""},
    "step": {"type": "int", "default": 0},
    "observed": {"type": "str", "default": "stowage_observed"},
    "looked": {"type": "str", "default": "stowage_looked"},
}
Results = dict[str, dict[str, Any]]


def world(
    fleet: dict[str, Any], compiled: dict[str, Any], args: Mapping[str, Any], task_vars: dict[str, Any]
) -> moving.World:
    """What a move or a backup is decided from; of the looks those that hosts answered."""
    looks = {host: one for host, one in controller.results_of(task_vars, args["looked"]).items() if "users" in one}
    observations = controller.observations_of(task_vars, fleet, args["observed"])
    compiled = canary.settle(compiled, observations, {}).compiled
    return moving.World(fleet, compiled, observations, looks, partial(controller.endpoint_digests, fleet))


def refuse_other_name(confirm: str, volume: str) -> None:
    """Raise StowageError (STW-OPTION) if something else than the volume's name was confirmed."""
    if confirm not in ("", volume):
        reason = f"{confirm!r} is not the volume's name"
        raise_all([Problem("STW-OPTION", "confirm", reason, f"say -e confirm={volume}")])


def start(action: Any, run_dir: str, decided: Mapping[str, Any], known: moving.World, asked: bool) -> dict[str, Any]:
    """The result of a decision, {changed, run_dir, going, steps}; asked: whether it is to be done, not only shown."""
    going = asked and not action._task.check_mode
    directory = controller.new_run(run_dir)
    if going:
        begin(directory, decided, known.observations)
    steps = [{"id": step["id"], "mode": step["mode"], "hosts": sorted(step["hosts"])} for step in decided["steps"]]
    return {
        "changed": asked and not going,
        "run_dir": str(directory),
        "going": going,
        "steps": steps if going else [],
    }


def work(
    args: Mapping[str, Any],
    task_vars: dict[str, Any],
    share_of: Callable[[dict[str, Any], str, Results], dict[str, Any]],
    have_done: Callable[[dict[str, Any]], Mapping[str, Any]],
) -> dict[str, Any]:
    """One host's part of one step; what it refuses decides which steps follow.

    share_of(step, node, results): what the host is told. have_done(given): runs the module that does it, given {mode,
    share} and the run's arguments.
    """
    identity.die_with_controller()
    directory, node = Path(args["run_dir"]), task_vars["inventory_hostname"]
    step, told = controller.read_json(directory / DECIDED)["steps"][args["step"]], results(directory)
    if not moving.may(step, told):
        return {"skipped": True, "changed": False}
    display.display(f"  {node}: {step['words']}")
    given = {"mode": step["mode"], "share": share_of(step, node, told), **controller.run_arguments(directory, node)}
    result = record(directory, step, node, lambda: have_done(given))
    return {"changed": bool(result.get("changed")), "failed": False}


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


def results(directory: Path) -> Results:
    """{mode: {node: result}} of the steps that were begun, in their order, as `moving.judged` judges them."""
    found: Results = {}
    for path in sorted((directory / "results").glob("*.json")):
        _id, mode, node = path.stem.split("-", 2)
        found.setdefault(mode, {})[node] = controller.read_json(path)
    return moving.judged(found)
