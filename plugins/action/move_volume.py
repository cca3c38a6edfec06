# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.move_volume: decides, has the hosts work step by step, says how it ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import moving
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()

ARGUMENTS = {
    "stage": {"type": "str", "choices": ["look", "decide", "work", "conclude", "tell"], "required": True},
    "run_dir": {"type": "path", "required": True},
    "volume": {"type": "str", "default": ""},
    "to": {"type": "str", "default": ""},
    "source": {"type": "str", "default": ""},
    "port": {"type": "int", "default": moving.PORT},
    "confirm": {"type": "str", "default": ""},
    "step": {"type": "int", "default": 0},
    "observed": {"type": "str", "default": "stowage_observed"},
    "looked": {"type": "str", "default": "stowage_looked"},
}


class ActionModule(ActionBase):
    """One stage of a move."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, run_dir, steps, going}, or host_volume's result."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals():
            return dict(getattr(self, f"_{args['stage']}")(args, task_vars))

    def _look(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What one host has of the volume."""
        fleet = controller.fleet_of(task_vars, self._templar)
        given = {"mode": "look", "share": {"fleet": fleet["name"], "volume": args["volume"]}}
        return self._host_volume(given, task_vars)

    def _host_volume(self, given: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result = self._execute_module(module_name="stowage.fleet.host_volume", module_args=given, task_vars=task_vars)
        return controller.judged("host_volume", result, task_vars["inventory_hostname"], given["mode"] != "look")

    def _decide(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show the steps; write down what the hosts shall do, if it is confirmed by the volume's name."""
        wish = moving.Wish(args["volume"], args["to"], args["source"], args["port"])
        world = self._world(args, task_vars)
        decided = moving.decide(world, wish)
        raise_all(decided["problems"])
        for line in moving.decision_lines(decided, wish):
            display.display(line)
        if args["confirm"] not in ("", wish.volume):
            reason = f"{args['confirm']!r} is not the volume's name"
            raise_all([Problem("STW-OPTION", "confirm", reason, f"say -e confirm={wish.volume}")])
        if not args["confirm"]:
            display.display(f"Nothing is moved yet. To do it: -e confirm={wish.volume}")
        going = bool(args["confirm"]) and not self._task.check_mode
        directory = controller.new_run(args["run_dir"])
        if going:
            self._prepare(directory, decided, world)
        steps = [{"id": step["id"], "mode": step["mode"], "hosts": sorted(step["hosts"])} for step in decided["steps"]]
        return {
            "changed": bool(args["confirm"]) and not going,
            "run_dir": str(directory),
            "going": going,
            "steps": steps if going else [],
        }

    def _world(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> moving.World:
        fleet = controller.fleet_of(task_vars, self._templar)
        compiled = controller.compiled_stacks(fleet, task_vars, self._templar)
        raise_all(controller.endpoint_problems(fleet, compiled["services"]))
        looks = {host: one for host, one in controller.results_of(task_vars, args["looked"]).items() if "users" in one}
        return moving.World(
            fleet,
            compiled,
            controller.observations_of(task_vars, fleet, args["observed"]),
            looks,
            partial(controller.endpoint_digests, fleet),
        )

    def _prepare(self, directory: Path, decided: Mapping[str, Any], world: moving.World) -> None:
        involved = {node for step in decided["steps"] for node in step["hosts"]}
        takeover = controller.takeovers({node: world.observations[node] for node in sorted(involved)})
        try:
            controller.write_run(directory, takeover)
        except OSError as error:
            raise controller.unwritable(directory, error) from error
        controller.write_json(directory / "move.json", decided)

    def _work(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """One host's part of one step; what it refuses decides which steps follow."""
        controller.die_with_controller()
        directory, node = Path(args["run_dir"]), task_vars["inventory_hostname"]
        step = controller.read_json(directory / "move.json")["steps"][args["step"]]
        results = _results(directory)
        if not moving.may(step, results):
            return {"skipped": True, "changed": False}
        display.display(f"  {node}: {step['words']}")
        path = directory / "results" / f"{step['id']:02}-{step['mode']}-{node}.json"
        # Written before: a step without an answer may have been done.
        controller.write_json(path, {"began": time.time()})
        given = {"mode": step["mode"], "share": moving.share_of(step, node, results)}
        result = self._host_volume({**given, **controller.run_arguments(directory, node)}, task_vars)
        controller.write_json(path, {"began": controller.read_json(path)["began"], **plain(_kept(result))})
        return {"changed": bool(result.get("changed")), "failed": False}

    def _conclude(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Say how it ended; fail with every problem that a host told."""
        directory = Path(args["run_dir"])
        results = _results(directory)
        raise_all(moving.problems_of(results))
        verified = next(iter(results["verify"].values()))
        display.display(f"MOVED  {verified['files']} files, {verified['bytes']} bytes, compared byte by byte")
        return {"changed": True}

    def _tell(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """After the deploy: how long the users were stopped."""
        directory = Path(args["run_dir"])
        began = next(iter(_results(directory)["seal"].values()))["began"]
        display.display(f"Its users were stopped for {time.time() - began:.1f} s at most.")
        shutil.rmtree(directory, ignore_errors=True)
        return {"changed": False}


def _kept(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if not key.startswith(("_ansible", "invocation"))}


def _results(directory: Path) -> dict[str, dict[str, Any]]:
    """{mode: {node: result}} of the steps that were begun, in their order."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((directory / "results").glob("*.json")):
        _id, mode, node = path.stem.split("-", 2)
        found.setdefault(mode, {})[node] = controller.read_json(path)
    return moving.judged(found)
