# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.issue: which certificates are due, asked for by one host_acme call."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import acme
from ansible_collections.stowage.fleet.plugins.plugin_utils import certificates, controller, delivering

display = Display()
MODULE = "stowage.fleet.host_acme"
ARGUMENTS = {"read": {"type": "bool", "default": False}}


class ActionModule(ActionBase):
    """Ask for the certificates that are due."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, pairs, problems}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals():
            settings = certificates.acme_settings(task_vars, self._templar)
            fleet = controller.fleet_of(task_vars, self._templar)
            delivering.require(self, "keys of certificates")
        node = task_vars["inventory_hostname"]
        address = next(one["address"] for one in fleet["nodes"] if one["name"] == node)
        module_args: dict[str, Any] = {"names": [names[0] for names in settings["certificates"]]}
        seen = self._execute_module(module_name=MODULE, module_args=module_args, task_vars=task_vars)
        if "pairs" not in seen or args["read"]:
            return dict(seen)
        orders = []
        for names in settings["certificates"]:
            have = certificates.facts_or_none(seen["pairs"].get(names[0]))
            why = acme.due(names, have, time.time(), settings["renew_days"])
            if why:
                display.display(rollout.safe(f"{node}: certificate {', '.join(names)} is due: {why}"))
                orders.append({"name": names[0], "command": acme.command(settings, names, address)})
        if not orders or self._task.check_mode:
            return {**seen, "changed": bool(orders)}
        module_args.update(orders=orders, ca_file=settings["ca_file"])
        done = self._execute_module(module_name=MODULE, module_args=module_args, task_vars=task_vars)
        for problem in done.get("problems", ()):
            display.display(rollout.safe("{code} {place}: {reason}; {fix}".format(**problem)))
        return dict(done)
