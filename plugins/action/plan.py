# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.plan: inventory and observations in, the plan out; no host is contacted."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout, secrets
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.network import published
from ansible_collections.stowage.fleet.plugins.module_utils.pulled import planned
from ansible_collections.stowage.fleet.plugins.plugin_utils import (
    asking,
    certificates,
    controller,
    delivering,
    identity,
    restoring,
    stored,
)

display = Display()

ARGUMENTS = {
    "purpose": {"type": "str", "choices": ["plan", "deploy"], "default": "plan"},
    "observed": {"type": "str", "default": "stowage_observed"},
    "save_to": {"type": "path"},
    "saved": {"type": "path"},
    "approved": {"type": "str", "default": ""},
    "run_dir": {"type": "path", "required": True},
    "allow_unknown": {"type": "raw", "default": False},
    "assume_lost": {"type": "raw"},
    "recreate_volumes": {"type": "raw"},
    "prune_stacks": {"type": "raw"},
    "rebalance": {"type": "raw"},
    "explain": {"type": "raw"},
    "promote": {"type": "raw"},
    "abort": {"type": "raw"},
    "retry": {"type": "raw"},
    "observation": {"type": "path"},
    "observation_to": {"type": "path"},
    "without": {"type": "raw"},
    "without_group": {"type": "raw"},
    "add_hosts": {"type": "raw"},
    "scale": {"type": "raw"},
    "survive": {"type": "raw", "default": False},
    "rollback": {"type": "str"},
    "to": {"type": "str", "default": ""},
    "records": {"type": "str", "default": "stowage_records"},
}


class ActionModule(ActionBase):
    """Make, show, save or take up a plan."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, digest, summary, steps: [{id, title, hosts}], touched, run_dir, diff}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals(), closing(controller.session_of(task_vars, self._templar)) as session:
            made, observations, asked = self._plan(args, task_vars, session)
            shown_as_diff = self._task.diff and made["steps"] and args["purpose"] == "deploy"
            for line in [] if shown_as_diff else rollout.plan_lines(made):
                display.display(line)
            for line in self._answers(args, task_vars, asked):
                display.display(line)
            if args["save_to"]:
                _write(args["save_to"], rollout.dump(made))
            if args["observation_to"] and observations and not args["observation"]:
                _write(args["observation_to"], rollout.dump_observations(made["fleet"]["name"], observations))
            if args["approved"]:
                rollout.refuse_unapproved(made, args["approved"])
            if args["purpose"] == "deploy":
                rollout.refuse_unknown(made, controller.truth(args["allow_unknown"], "stowage_allow_unknown"))
                raise_all([*delivering.problems(made, task_vars, args["observed"]), *planned.unknown(made)])
            going = args["purpose"] == "deploy" and not self._task.check_mode and bool(made["steps"])
            values = session.values(secrets.needed(made)) if going else {}
            run_dir = self._begin(args, made, observations, values) if going else ""
            if going:
                display.display(rollout.step_heads(made["steps"])[0]["title"])
        return {
            "changed": bool(made["steps"]),
            "digest": made["digest"],
            "summary": made["summary"],
            "steps": rollout.step_heads(made["steps"]) if going else [],
            "touched": sorted({node for step in made["steps"] for node in step["hosts"]}) if going else [],
            "run_dir": run_dir,
            "diff": {"prepared": rollout.diff_text(made)},
        }

    def _plan(
        self, args: Mapping[str, Any], task_vars: dict[str, Any], session: stored.Session
    ) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """The plan (made now, or taken from a file when nothing moved under it), the observations, and what to ask."""
        fleet = controller.fleet_of(task_vars, self._templar)
        if args["rollback"]:
            compiled = restoring.wanted(fleet, task_vars, self._templar, args, session)
        else:
            compiled = controller.compiled_stacks(fleet, task_vars, self._templar, session)
        problems = asking.problems(args, task_vars["groups"], fleet, compiled["services"])
        raise_all([*problems, *controller.endpoint_problems(fleet, compiled["services"])])
        compiled["warnings"] += certificates.warnings(task_vars, self._templar, fleet, compiled["services"])
        lists = ("assume_lost", "recreate_volumes", "prune_stacks")
        options: dict[str, Any] = {key: controller.names(args[key]) for key in lists}
        options.update(
            {key: controller.names(args[key]) for key in ("promote", "abort", "retry") if args[key] is not None}
        )
        options["allow_unknown"] = controller.truth(args["allow_unknown"], "stowage_allow_unknown")
        options.update(asking.rebalance(args["rebalance"]))
        if args["saved"]:
            made = rollout.parse(_read(args["saved"]), args["saved"], fleet["name"])
            options = made["made_from"]["options"]
            rollout.refuse_stale_inputs(made, rollout.made_from(fleet, compiled, {}, options))
            return made, {}, None
        observations = controller.observations_of(task_vars, fleet, args["observed"])
        if args["observation"]:
            observations = rollout.parse_observations(_read(args["observation"]), args["observation"], fleet)
        refused, warned = published.conflicts(compiled["services"], observations)
        raise_all(refused)
        compiled["warnings"] += warned
        made = rollout.plan(
            fleet,
            compiled,
            observations,
            partial(controller.endpoint_digests, fleet),
            options,
        )
        return made, observations, (fleet, compiled, observations, options)

    def _answers(self, args: Mapping[str, Any], task_vars: Mapping[str, Any], asked: Any) -> list[str]:
        """Why, and what if, as lines. asked: the arguments of rollout.asked_of(); none for a saved plan."""
        tasks, (wish, _told) = controller.names(args["explain"]), asking.wish(args, task_vars["groups"])
        if not (tasks or wish):
            return []
        if asked is None:
            fix = "ask without -e stowage_plan_file, or use stowage.fleet.plan -e observation=..."
            raise StowageError(Problem("STW-OPTION", "explain", "a saved plan answers no questions", fix))
        question, blocked = rollout.asked_of(*asked)
        lines = rollout.why_lines(question, tasks, blocked) if tasks else []
        return [*lines, *(rollout.what_if_lines(question, wish) if wish else [])]

    def _begin(
        self, args: Mapping[str, Any], made: dict[str, Any], observations: Mapping[str, Any], values: dict[str, bytes]
    ) -> str:
        """Write the run's files; refuse when a living run holds a host."""
        takeover = controller.takeovers(observations)
        directory = controller.new_run(args["run_dir"])
        try:
            controller.write_json(directory / "plan.json", made)
        except OSError as error:
            raise controller.unwritable(directory, error) from error
        controller.write_json(directory / "state.json", rollout.begin(made["serving"]))
        recorded = {node: seen.get("releases") or {} for node, seen in observations.items()}
        held = {"held": stored.hold(values, identity.controller())} if values else {}
        controller.write_run(directory, takeover, recorded=recorded, **held)
        return str(directory)


def _read(path: str) -> str:
    """A file that a plan run wrote. Raises StowageError (STW-PLAN) if it is not there."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        fix = "make it with stowage.fleet.plan"
        raise StowageError(Problem("STW-PLAN", path, f"cannot be read ({error.strerror})", fix)) from None


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")
