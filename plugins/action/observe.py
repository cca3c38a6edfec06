# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.observe: one host_state call, again while a dead run's module still works there."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.plugin_utils import canaries, delivering
from ansible_collections.stowage.fleet.plugins.plugin_utils.identity import dead

display = Display()
PAUSE = 1.0


class ActionModule(ActionBase):
    """Observe one host."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return host_state's result {observation, problem}, and `delivery`: why secrets cannot go to this host."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(
            {"fleet": {"type": "str", "required": True}, "wait": {"type": "float", "default": 60.0}}
        )
        node, until = task_vars["inventory_hostname"], time.monotonic() + args["wait"]
        asked = {"fleet": args["fleet"], "definitions": canaries.definitions(node, task_vars, self._templar)}
        while True:
            result = self._execute_module(
                module_name="stowage.fleet.host_state", module_args=asked, task_vars=task_vars
            )
            seen = result.get("observation") or {}
            orphaned = seen.get("busy") and dead((seen.get("lock") or {}).get("controller"))
            if not orphaned or time.monotonic() > until:
                break
            display.display(f"  {node}: waiting for a module of a run whose controller is gone")
            time.sleep(PAUSE)
        if result.get("problem"):
            display.warning(f"{node}: {result['problem']['code']} {result['problem']['reason']}")
        # A result of Ansible's own, not of the host: what connection it is, only this process knows.
        return {**result, "delivery": [list(why) for why in delivering.refusals(self)]}
