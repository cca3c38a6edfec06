# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.find_releases: which records of releases to fetch, and from which host."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

ARGUMENTS = {
    "stack": {"type": "str", "required": True},
    "to": {"type": "str", "default": ""},
    "observed": {"type": "str", "default": "stowage_observed"},
}


class ActionModule(ActionBase):
    """Find the records that a rollback needs."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed: false, wanted: {host: {stack: [file name]}}}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        wanted: dict[str, dict[str, list[str]]] = {}
        with controller.refusals():
            fleet = controller.fleet_of(task_vars, self._templar)
            observations = controller.observations_of(task_vars, fleet, args["observed"])
            for one in rollout.candidates(rollout.listing(observations), args["stack"], args["to"]):
                wanted.setdefault(one.nodes[0], {}).setdefault(one.stack, []).append(one.name)
        return {"changed": False, "wanted": wanted}
