# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.certificates: the certificates that one ingress host serves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import certificates as rules
from ansible_collections.stowage.fleet.plugins.plugin_utils import certificates, controller, delivering

display = Display()
MODULE = "stowage.fleet.host_certificates"
ARGUMENTS = {
    "source": {"type": "str", "choices": ["inventory", "acme"], "default": "inventory"},
    "issued": {"type": "str", "default": "stowage_issued"},
}


class ActionModule(ActionBase):
    """Deliver certificates to one ingress host; keys travel only if it lacks them."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, lines, diff}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        source = args["source"]
        with controller.refusals():
            fleet = controller.fleet_of(task_vars, self._templar)
            pairs, challenge = self._pairs(args, fleet, task_vars)
        wanted = {"source": source, **rules.certificates_file(pairs, source, challenge)}
        wanted["port"] = fleet["ingress"]["fence_port"]
        for line in rules.soon(pairs, time.time()) if self._is_first(task_vars) else ():
            display.warning(line)
        return self._delivered(wanted, pairs, task_vars)

    def _pairs(
        self, args: Mapping[str, Any], fleet: Mapping[str, Any], task_vars: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """What shall be served, and who answers challenges."""
        if args["source"] == "inventory":
            return certificates.of_inventory(task_vars, self._templar), None
        settings = certificates.acme_settings(task_vars, self._templar)
        address = next(one["address"] for one in fleet["nodes"] if one["name"] == settings["issuer"])
        challenge = {"address": address, "port": settings["port"]}
        return certificates.of_issuer(task_vars, settings, args["issued"]), challenge

    def _delivered(
        self, wanted: dict[str, Any], pairs: list[dict[str, Any]], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        node = task_vars["inventory_hostname"]
        seen = self._ask({"wanted": wanted, "look": True}, task_vars)
        if seen.get("unreachable") or "missing" not in seen:
            return seen
        told = [f"{node}: {line}" for line in rules.lines(pairs, seen["missing"], len(seen["surplus"]))]
        if seen["changed"] and not told:
            told = [f"{node}: Traefik's file of certificates: changes"]
        for line in told:
            display.display(rollout.safe(line))
        result = {"changed": seen["changed"], "lines": told, "diff": {"prepared": "".join(f"{x}\n" for x in told)}}
        if self._task.check_mode or not seen["changed"]:
            return result
        sent = [pair for pair in pairs if pair["digest"] in seen["missing"]]
        with controller.refusals():
            if sent:
                delivering.require(self, f"certificates for {node}")
        keys = ("digest", "certificate", "key")
        given = [{key: pair[key] for key in keys} for pair in sent]
        done = self._ask({"wanted": wanted, "pairs": given}, task_vars)
        if done.get("problems"):
            text = "\n".join("{code} {place}: {reason}; {fix}".format(**problem) for problem in done["problems"])
            raise AnsibleActionFail(rollout.safe(text), result={"problems": done["problems"]})
        return {**result, "fence": done["fence"]} if "missing" in done else done

    def _ask(self, arguments: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        return dict(self._execute_module(module_name=MODULE, module_args=dict(arguments), task_vars=task_vars))

    def _is_first(self, task_vars: Mapping[str, Any]) -> bool:
        return bool(task_vars["inventory_hostname"] == task_vars["ansible_play_batch"][0])
