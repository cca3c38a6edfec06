# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.destroy: refuse without the typed name, before any host is asked."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import destroying
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()
ARGUMENTS = {"confirm": {"type": "str", "default": ""}, "volumes": {"type": "str", "default": "keep"}}


class ActionModule(ActionBase):
    """Ask for the fleet's name."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed: false, fleet, volumes}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals():
            fleet = controller.fleet_of(task_vars, self._templar)
            hosts = task_vars["ansible_play_hosts_all"]
            check = self._task.check_mode
            lines = destroying.confirmed(fleet, args["confirm"], args["volumes"], hosts, check)
        for line in lines:
            display.display(line)
        return {"changed": False, "fleet": fleet["name"], "volumes": args["volumes"]}
