# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.adopt: asks the hosts, decides, has containers taken over, proves it by a plan."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import adoption, adoption_text
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, identity

display = Display()

ARGUMENTS = {
    "stage": {"type": "str", "choices": ["begin", "look", "decide", "take", "prove"], "required": True},
    "run_dir": {"type": "path", "required": True},
    "stack": {"type": "str", "default": ""},
    "project": {"type": "str", "default": ""},
    "confirm": {"type": "str", "default": ""},
    "partial": {"type": "raw", "default": False},
    "observed": {"type": "str", "default": "stowage_observed"},
    "surveyed": {"type": "str", "default": "stowage_surveyed"},
    "taken": {"type": "str", "default": "stowage_taken"},
}


class ActionModule(ActionBase):
    """One stage of an adoption."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, run_dir, hosts} (hosts: who has containers to take over), or host_adopt's result."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals():
            return dict(getattr(self, f"_{args['stage']}")(args, task_vars))

    def _begin(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Check what is asked for, and write down what the hosts shall look for."""
        fleet = controller.fleet_of(task_vars, self._templar)
        compiled = controller.compiled_stacks(fleet, task_vars, self._templar)
        truth = controller.truth(args["partial"], "partial")
        wish = adoption.Wish(args["stack"], args["project"] or args["stack"], args["confirm"], truth)
        adoption.refuse(wish, compiled["stacks"])
        directory = controller.new_run(args["run_dir"])
        asked = {"wish": list(wish), "share": adoption.asked(fleet, compiled, wish)}
        try:
            controller.write_json(directory / "adopt.json", asked)
        except OSError as error:
            raise controller.unwritable(directory, error) from error
        controller.write_run(directory, {})
        return {"changed": False, "run_dir": str(directory)}

    def _look(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """One host's survey."""
        share = controller.read_json(Path(args["run_dir"]) / "adopt.json")["share"]
        given = {"mode": "look", "share": {**share, "node": task_vars["inventory_hostname"]}}
        return self._host_adopt(given, task_vars)

    def _host_adopt(self, given: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        result = self._execute_module(module_name="stowage.fleet.host_adopt", module_args=given, task_vars=task_vars)
        return controller.judged("host_adopt", result, task_vars["inventory_hostname"], given["mode"] == "take")

    def _decide(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show every container's fate; prepare what is to be taken, if it is confirmed."""
        directory = Path(args["run_dir"])
        wish = adoption.Wish(*controller.read_json(directory / "adopt.json")["wish"])
        world, silent = self._world(args, task_vars)
        going = False
        try:
            decided = adoption.decide(world, wish)
            for line in adoption_text.adoption_lines(decided, wish, silent):
                display.display(line)
            if wish.confirm:
                raise_all(decided["problems"])
            going = bool(wish.confirm and decided["shares"] and not self._task.check_mode)
            if going:
                self._prepare(directory, decided["shares"], world)
        finally:
            if not going:
                shutil.rmtree(directory, ignore_errors=True)
        would = bool(wish.confirm and decided["shares"])
        hosts = sorted(decided["shares"]) if going else []
        return {"changed": would and not going, "run_dir": str(directory), "hosts": hosts}

    def _world(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> tuple[adoption.World, list[str]]:
        fleet = controller.fleet_of(task_vars, self._templar)
        compiled = controller.compiled_stacks(fleet, task_vars, self._templar)
        raise_all(controller.endpoint_problems(fleet, compiled["services"]))
        surveys = controller.results_of(task_vars, args["surveyed"])
        answers = {node: survey for node, survey in surveys.items() if "names" in survey}
        silent = sorted({*(node["name"] for node in fleet["nodes"]), *surveys} - set(answers))
        world = adoption.World(
            fleet,
            compiled,
            controller.observations_of(task_vars, fleet, args["observed"]),
            answers,
            partial(controller.endpoint_digests, fleet),
        )
        return world, silent

    def _prepare(self, directory: Path, shares: Mapping[str, Any], world: adoption.World) -> None:
        """Write every host's share; refuse when a living run holds one of the hosts."""
        seen = world.observations
        takeover = controller.takeovers({node: seen[node] for node in shares if node in seen})
        started = controller.read_json(directory / "run.json")
        controller.write_json(directory / "run.json", {**started, "takeover": takeover})
        controller.write_json(directory / "shares.json", shares)

    def _take(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """One host's share; what it refuses is told by the last stage, for all hosts at once."""
        identity.die_with_controller()
        directory, node = Path(args["run_dir"]), task_vars["inventory_hostname"]
        share = controller.read_json(directory / "shares.json")[node]
        given = {"mode": "take", "share": share, **controller.run_arguments(directory, node)}
        result = self._host_adopt(given, task_vars)
        for line in adoption_text.taken_lines(node, result):
            display.display(line)
        return result

    def _prove(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Plan again from what is observed now: nothing may be left to do for what was taken over."""
        directory = Path(args["run_dir"])
        wish = adoption.Wish(*controller.read_json(directory / "adopt.json")["wish"])
        shares, results = (
            controller.read_json(directory / "shares.json"),
            controller.results_of(task_vars, args["taken"]),
        )
        problems = [Problem(**one) for result in results.values() for one in result.get("problems", [])]
        for node in sorted(shares):
            if "tasks" not in results.get(node, {}) and not results.get(node, {}).get("problems"):
                fix = "bring it back and adopt again"
                problems.append(Problem("STW-UNREACHABLE", f"host {node}", "did not answer while it worked", fix))
        raise_all(problems)
        world, _silent = self._world(args, task_vars)
        changes = adoption.remaining(world, wish.stack)
        raise_all(adoption.unproved(changes, shares))
        count = sum(len(share["tasks"]) for share in shares.values())
        for line in adoption_text.proof_lines(wish.stack, changes, count):
            display.display(line)
        controller.clean_runs(directory)
        return {"changed": False}
