# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of the network role: observations in, the fleet table out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import plan_table
from ansible_collections.stowage.fleet.plugins.plugin_utils.controller import fleet_of, refusals


class ActionModule(ActionBase):
    """Plan the blocks of the whole fleet."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {table, silent}."""
        super().run(tmp, task_vars)
        arguments = {"observed": {"type": "str", "required": True}, "keys": {"type": "str"}}
        _valid, args = self.validate_argument_spec(arguments)
        with refusals():
            fleet = fleet_of(task_vars, self._templar)
            observed = _observed(task_vars["hostvars"], fleet, args["observed"])
            table = plan_table(fleet, observed, _keys(task_vars["hostvars"], fleet, args["keys"]))
        silent = sorted(node["name"] for node in fleet["nodes"] if node["name"] not in observed)
        return {"changed": False, "table": table, "silent": silent}


def _observed(hostvars: Any, fleet: Mapping[str, Any], register: str) -> dict[str, Any]:
    """{node: result of host_network state=observed}, read raw: what a host said is never templated."""
    found = {}
    for node in fleet["nodes"]:
        result = hostvars.raw_get(node["name"]).get(register)
        if isinstance(result, Mapping) and "networks" in result:
            found[node["name"]] = plain(result)
    return found


def _keys(hostvars: Any, fleet: Mapping[str, Any], register: str | None) -> dict[str, Any]:
    """{node: public key that host_network state=keyed returned}."""
    told = {node["name"]: hostvars.raw_get(node["name"]).get(register) for node in fleet["nodes"] if register}
    return {name: plain(result).get("public_key") for name, result in told.items() if isinstance(result, Mapping)}
