# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.status: a table of what is wanted and what runs, and the same as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.errors import raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.network import view
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()


class ActionModule(ActionBase):
    """Show the fleet's status."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed: false, status}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(
            {
                "observed": {"type": "str", "default": "stowage_observed"},
                "network": {"type": "str", "default": "stowage_network_told"},
                "view": {"type": "str", "default": "services"},
                "save_to": {"type": "path"},
            }
        )
        with controller.refusals():
            fleet = controller.fleet_of(task_vars, self._templar)
            compiled = controller.compiled_stacks(fleet, task_vars, self._templar)
            raise_all(rollout.view_problems(args["view"]))
            observations = controller.observations_of(task_vars, fleet, args["observed"])
            canaries = rollout.canary.settle(compiled, observations, {})
            found = rollout.status(fleet, canaries.compiled["services"], observations, canaries.found)
            lines = rollout.status_lines(found)
            if args["view"] == "network":
                told = _told(controller.results_of(task_vars, args["network"]))
                found["network"] = view.view(fleet, told, compiled["services"])
                lines = view.lines(found["network"])
        for line in lines:
            display.display(line)
        if args["save_to"]:
            controller.write_json(Path(args["save_to"]), found)
        return {"changed": False, "status": found}


def _told(results: dict[str, Any]) -> dict[str, Any]:
    """What the hosts said that answered."""
    return {host: result for host, result in results.items() if "drift" in result}
