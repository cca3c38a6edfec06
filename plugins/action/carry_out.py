# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.carry_out: one host's share of one step, by one host_apply call."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import contents, controller, delivering, identity, vaulted

display = Display()
RESULT = ("changed", "phase", "tasks", "stopped", "pulled", "problems", "seconds")
GLANCES = (5, 10, 20, 30)  # seconds between two words on images that are being pulled

ARGUMENTS = {
    "run_dir": {"type": "path", "required": True},
    "part": {"type": "str", "choices": ["plan", "rollback", "release"], "default": "plan"},
    "step": {"type": "int", "default": 0},
}


class ActionModule(ActionBase):
    """Carry out one step on one host and leave its result in the run's directory."""

    _supports_check_mode = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, skipped, tasks, problems}; refusals are judged by stowage.fleet.gate, not here."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        identity.die_with_controller()
        node, directory = task_vars["inventory_hostname"], Path(args["run_dir"])
        plan, state = controller.read_json(directory / "plan.json"), controller.read_json(directory / "state.json")
        step = controller.step_of(directory, plan, args["part"], args["step"])
        if rollout.skips(state, step):
            return {"skipped": True, "changed": False}
        state, step = rollout.enter(state, step), rollout.due(state, step)
        if node not in step["hosts"]:
            return {"skipped": True, "changed": False}
        try:
            module_args = self._module_args(plan, state, step, node, task_vars)
        except StowageError as error:
            # Not a failed host: the gate shall see every problem and stop the run in good order.
            result: dict[str, Any] = {"changed": False, "problems": [problem.as_dict() for problem in error.problems]}
        else:
            module_args.update(controller.run_arguments(directory, node))
            if step["phase"] == "release":
                module_args["share"]["releases"] = controller.releases_to_keep(directory, node)
                module_args["share"].update(controller.aborted_to_keep(directory, plan))
            result = self._judged(self._applied(module_args, node, task_vars), node, step)
        for line in rollout.step_lines(node, result):
            display.display(line)
        controller.write_json(controller.result_path(directory, args["part"], args["step"], node), result)
        return {**result, "failed": False}

    def _applied(self, module_args: dict[str, Any], node: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """host_apply's result. While images are being pulled it comes back now and then to say how far they are."""
        pulled: list[Any] = []
        for glance in itertools.chain(GLANCES, itertools.repeat(GLANCES[-1])):
            patience = {"patience": glance} if module_args["phase"] == "prepare" else {}
            result = self._execute_module(
                module_name="stowage.fleet.host_apply", module_args={**module_args, **patience}, task_vars=task_vars
            )
            pulled += result.get("pulled", ())
            if not result.get("pulling"):
                break
            display.display(rollout.pulling_line(node, result["pulling"]))
        return {**result, "pulled": pulled} if pulled else result

    def _judged(self, result: dict[str, Any], node: str, step: Mapping[str, Any]) -> dict[str, Any]:
        """A crash of the module becomes a problem, so that the gate can stop the run in good order."""
        if result.get("unreachable"):
            return result
        if "problems" in result:
            return {key: result[key] for key in RESULT if key in result}
        text = rollout.safe(result.get("msg") or result.get("module_stderr") or "no result")
        fix = "see -vvv; a new run goes on from what is observed then"
        problem = Problem("STW-MODULE", f"host {node}", f"phase {step['phase']} failed: {text}", fix)
        return {"changed": True, "tasks": [], "problems": [problem.as_dict()]}

    def _module_args(
        self,
        plan: Mapping[str, Any],
        state: Mapping[str, Any],
        step: Mapping[str, Any],
        node: str,
        task_vars: dict[str, Any],
    ) -> dict[str, Any]:
        told_at = state.get("told_at")
        share = rollout.share(state, step, node, 0.0 if told_at is None else time.monotonic() - told_at)
        given: dict[str, Any] = {"phase": step["phase"], "files": {}, "secrets": {}}
        if step["phase"] == "prepare":
            if delivering.receives(plan, node):
                delivering.require(self, f"secrets for {node}")
            share["expect"] = plan["expect"][node]
            share["policy"] = controller.policy_share(plan, plan["serving"], node, {})
        if step["phase"] == "endpoints":
            share = controller.endpoint_share(plan, state["serving"], node)
        if step["phase"] == "start":
            share["recreate_volumes"] = plan["options"]["recreate_volumes"]
            share["persist"] = contents.persist(
                controller.variable(task_vars, self._templar, delivering.PERSIST, "auto")
            )
            given.update(self._payloads(plan, share, task_vars))
            share["tasks"] = given.pop("tasks", share["tasks"])
            if given["secrets"]:
                delivering.require(self, f"secrets for {node}")
        if step["phase"] == "remove":
            share["prune"] = controller.kept_files(plan)
        share["fleet"], share["domain"] = plan["fleet"]["name"], plan["fleet"]["domain"]
        return {**given, "share": share}

    def _payloads(self, plan: Mapping[str, Any], share: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """{files, secrets, tasks}: what this share's tasks mount, checked against the plan's digests."""
        if share["services"] and any(template.get("files") for template in share["services"].values()):
            key = str(controller.variable(task_vars, self._templar, "stowage_secrets_key", "") or "")
            labels = controller.variable(task_vars, self._templar, "stowage_labels", {})
            run = controller.read_json(Path(self._task.args["run_dir"]) / "run.json")
            value = contents.values(vaulted.opener(self._templar), run.get("held", ""))
            return contents.of_share(plan, share, key, plain(labels or {}), value)
        return {}
