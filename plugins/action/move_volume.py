# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.move_volume: decides, has the hosts work step by step, says how it ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.errors import raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import moving
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, stepping

display = Display()

ARGUMENTS = {
    **stepping.ARGUMENTS,
    "stage": {"type": "str", "choices": ["look", "decide", "work", "conclude", "tell"], "required": True},
    "to": {"type": "str", "default": ""},
    "source": {"type": "str", "default": ""},
    "port": {"type": "int", "default": moving.PORT},
    "confirm": {"type": "str", "default": ""},
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
        fleet = controller.fleet_of(task_vars, self._templar)
        compiled = controller.compiled_stacks(fleet, task_vars, self._templar)
        raise_all(controller.endpoint_problems(fleet, compiled["services"]))
        world = stepping.world(fleet, compiled, args, task_vars)
        decided = moving.decide(world, wish)
        raise_all(decided["problems"])
        for line in moving.decision_lines(decided, wish):
            display.display(line)
        stepping.refuse_other_name(args["confirm"], wish.volume)
        if not args["confirm"]:
            display.display(f"Nothing is moved yet. To do it: -e confirm={wish.volume}")
        return stepping.start(self, args["run_dir"], decided, world, bool(args["confirm"]))

    def _work(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """One host's part of one step."""
        return stepping.work(args, task_vars, moving.share_of, lambda given: self._host_volume(given, task_vars))

    def _conclude(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Say how it ended; fail with every problem that a host told."""
        directory = Path(args["run_dir"])
        results = stepping.results(directory)
        raise_all(moving.problems_of(results))
        verified = next(iter(results["verify"].values()))
        display.display(f"MOVED  {verified['files']} files, {verified['bytes']} bytes, compared byte by byte")
        return {"changed": True}

    def _tell(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """After the deploy: how long the users were stopped."""
        directory = Path(args["run_dir"])
        began = next(iter(stepping.results(directory)["seal"].values()))["began"]
        display.display(f"Its users were stopped for {time.time() - began:.1f} s at most.")
        shutil.rmtree(directory, ignore_errors=True)
        return {"changed": False}
