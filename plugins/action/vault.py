# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.vault: one stage of keeping the fleet's own OpenBao."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import server
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, keeping

display = Display()
STAGES = ["check", "initialize", "unseal", "configure", "secret_id"]
ARGUMENTS = {
    "stage": {"type": "str", "choices": STAGES, "required": True},
    "to": {"type": "path"},
    "role": {"type": "str"},
}
FILES = ("stowage_vault_program", "stowage_vault_certificate", "stowage_vault_key")


class ActionModule(ActionBase):
    """Ask the store over HTTPS, from the controller; no secret is in a result or on a line."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed}, and what the stage tells."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals():
            if args["stage"] == "check":
                return self._check(task_vars)
            keeper = keeping.Keeper(self._stated(task_vars, "stowage_vault"), self._keys(task_vars), self._templar)
            return getattr(self, f"_{args['stage']}")(keeper, task_vars, args)

    def _stated(self, task_vars: Mapping[str, Any], name: str, default: Any = None) -> Any:
        return plain(controller.variable(task_vars, self._templar, name, default))

    def _fleet(self, task_vars: Mapping[str, Any]) -> str:
        return str(controller.fleet_of(task_vars, self._templar)["name"])

    def _keys(self, task_vars: Mapping[str, Any]) -> Path:
        fleet = self._fleet(task_vars)
        usual = f"~/.config/stowage/{fleet}-vault-keys.json"
        stated = Path(str(self._stated(task_vars, "stowage_vault_keys_file", "") or usual)).expanduser()
        return controller.inventory_directory(task_vars) / stated

    def _check(self, task_vars: Mapping[str, Any]) -> dict[str, Any]:
        base = controller.inventory_directory(task_vars)
        paths = {name: base / str(self._stated(task_vars, name, "") or "not-stated") for name in FILES}
        keeping.check(paths, list(task_vars["groups"].get("stowage_vault", ())))
        self._shares(task_vars)
        keeping.Keeper(self._stated(task_vars, "stowage_vault"), self._keys(task_vars), self._templar)
        return {"changed": False}

    def _shares(self, task_vars: Mapping[str, Any]) -> tuple[int, int]:
        return server.shares(
            self._stated(task_vars, "stowage_vault_shares", 5), self._stated(task_vars, "stowage_vault_threshold", 3)
        )

    def _initialize(
        self, keeper: keeping.Keeper, task_vars: Mapping[str, Any], _args: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Initialize and open a new store; one that is initialized stays as it is."""
        made, needed = self._shares(task_vars)
        if self._task.check_mode and not self._answers(keeper):
            return {"changed": True}
        if keeper.state()["initialized"]:
            return {"changed": False}
        if not self._task.check_mode:
            keeper.initialize(made, needed)
            display.display(f"{made} key shares, {needed} of which open the store, and its root token: {keeper.path}")
            keeper.unseal()
        return {"changed": True}

    def _unseal(
        self, keeper: keeping.Keeper, _task_vars: Mapping[str, Any], _args: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Open a sealed store."""
        state = keeper.state()
        if not state["initialized"]:
            reason, fix = "is not initialized", "run stowage.fleet.vault"
            raise StowageError(Problem("STW-VAULT", keeper.settings.address, reason, fix))
        if state["sealed"] and not self._task.check_mode:
            keeper.unseal()
        return {"changed": state["sealed"]}

    def _configure(
        self, keeper: keeping.Keeper, task_vars: Mapping[str, Any], _args: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Key/value store, policies and AppRoles, as the inventory's stacks mean them."""
        fleet = self._fleet(task_vars)
        policies = server.policies(keeper.settings.mount, fleet, self._services(task_vars))
        wanted = keeper.wanted(policies, server.roles(fleet))
        if self._task.check_mode and not (self._answers(keeper) and keeper.state()["initialized"]):
            found: dict[str, dict[str, Any]] = {}
        else:
            if keeper.state()["sealed"]:
                fix = "run stowage.fleet.unseal"
                raise StowageError(Problem("STW-VAULT", keeper.settings.address, "the store is sealed", fix))
            keeper.log_in(os.environ)
            found = keeper.found(policies, wanted["role"])
        changes = server.changes(found, wanted)
        for change in [] if self._task.check_mode else changes:
            keeper.carry_out(change, wanted)
        return {"changed": bool(changes), "diff": server.diff(changes)}

    def _services(self, task_vars: Mapping[str, Any]) -> list[tuple[str, str]]:
        env = self._stated(task_vars, "stowage_env", {})
        found = []
        for stack, entry in sorted(controller.stack_entries(task_vars, self._templar).items()):
            normal: Mapping[str, Any] = controller.loaded_stack(entry, env)
            found += [(stack, name) for name in sorted(normal.get("services") or {})]
        return found

    def _answers(self, keeper: keeping.Keeper) -> bool:
        try:
            keeper.state(patience=0)
        except StowageError:
            return False
        return True

    def _secret_id(
        self, keeper: keeping.Keeper, task_vars: Mapping[str, Any], args: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A wrapped secret id that is good for one login, into a file of the controller."""
        role = args["role"] or self._fleet(task_vars)
        if not args["to"]:
            raise StowageError(Problem("STW-OPTION", "to", "is not given", "say -e to=<file of the controller>"))
        if self._task.check_mode:
            return {"changed": True}
        keeper.log_in(os.environ)
        identity, wrapped = keeper.way_in(role)
        keeping.put(Path(args["to"]), wrapped)
        display.display(f"AppRole {role}, role_id {identity}: one login within ten minutes, by {args['to']}")
        return {"changed": True, "role_id": identity}
