# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.gate: judges a finished step, decides on a rollback, concludes the run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()

ARGUMENTS = {
    "run_dir": {"type": "path", "required": True},
    "after": {"type": "str", "choices": ["step", "plan", "rollback", "release"], "default": "step"},
    "part": {"type": "str", "choices": ["plan", "rollback"], "default": "plan"},
    "step": {"type": "int", "default": 0},
}


class ActionModule(ActionBase):
    """The gate between steps."""

    _requires_connection = False
    _supports_check_mode = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, steps} (steps: those of a rollback, after the plan's last step)."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        directory = Path(args["run_dir"])
        plan, state = controller.read_json(directory / "plan.json"), controller.read_json(directory / "state.json")
        if args["after"] == "plan":
            return self._decide(directory, plan, state)
        if args["after"] == "rollback":
            controller.write_json(directory / "state.json", {**state, "rolled_back": True})
            return {"changed": False}
        if args["after"] == "release":
            return self._conclude(directory, plan, state)
        step = controller.step_of(directory, plan, args["part"], args["step"])
        if rollout.skips(state, step):
            return {"skipped": True, "changed": False}
        results = {
            node: controller.read_json(controller.result_path(directory, args["part"], args["step"], node))
            for node in rollout.due(state, step)["hosts"]
        }
        state = rollout.judge(plan, state, step, results)
        if step["phase"] == "endpoints":
            state["told_at"] = time.monotonic()
        controller.write_json(directory / "state.json", state)
        for line in rollout.progress_lines(plan, state, step) if args["part"] == "plan" else ():
            display.display(line)
        self._announce(controller.steps_of(directory, plan, args["part"]), args["step"] + 1, state)
        return {"changed": False}

    def _announce(self, steps: list[dict[str, Any]], following: int, state: Mapping[str, Any]) -> None:
        """Say what comes next, after the pause that the update policy asks for."""
        if following >= len(steps) or rollout.skips(state, steps[following]):
            return
        if steps[following]["delay"]:
            display.display(f"  waiting {steps[following]['delay']:g} s (update delay)")
            time.sleep(steps[following]["delay"])
        steps = [*steps[:following], rollout.due(state, steps[following]), *steps[following + 1 :]]
        display.display(rollout.step_heads(steps)[following]["title"])

    def _decide(self, directory: Path, plan: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """The rollback's steps, if a failed service asks for it and the lock is ours."""
        steps = []
        if rollout.outcome(state) == "done":
            controller.record_releases(directory, plan)
        if state["rollback"] and not state["abort"]:
            steps = rollout.rollback_steps(plan, state, sorted(plan["expect"]))
        if steps:
            display.display(f"ROLLBACK  {' '.join(state['rollback'])}")
            controller.write_json(directory / "rollback.json", steps)
            controller.write_json(directory / "state.json", rollout.resume(state))
            display.display(rollout.step_heads(steps)[0]["title"])
        return {"changed": False, "steps": rollout.step_heads(steps)}

    def _conclude(self, directory: Path, plan: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
        lines = rollout.conclusion_lines(plan, state)
        for line in lines:
            display.display(line)
        if rollout.outcome(state) != "done":
            display.display(f"  record: {directory}")
            raise AnsibleActionFail(f"{lines[0]}: {lines[1].strip()}")
        controller.clean_runs(directory)
        hold = rollout.canary.hold(plan.get("canaries") or {})
        if hold:
            display.display(f"  the canary of {', '.join(hold['services'])} holds for {hold['seconds']:g} s")
        return {"changed": False, "hold": hold}
