# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.publish_config: the inventory's values into the stores that containers pull from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.config_stores import publishing, stated
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.pulled.tasks import TRY_SECONDS
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()
FIX = "mend it, then publish again: what is there already stays"


class ActionModule(ActionBase):
    """Ask the stores from the controller; no value is in a result unless --diff shows it."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, published: {service: {added, changed, removed}}, diff}."""
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        with controller.refusals():
            wanted = self._wanted(task_vars)
            asked = [self._access(one) for one in wanted]
            told = [_read(one, access) for one, access in zip(wanted, asked)]
            raise_all(one for one in told if isinstance(one, Problem))
            made = [publishing.difference(now, one.content, one.prune) for one, now in zip(wanted, told)]
            problems = []
            for one, access, now, changes in zip(wanted, asked, told, made):
                if changes and not self._task.check_mode:
                    problems += _written(one, access, now, changes)
            raise_all(problems)
        for one, changes in zip(wanted, made):
            counts = f"{len(changes.added)} new, {len(changes.changed)} changed, {len(changes.removed)} removed"
            display.display(f"{_place(one)}: {counts}")
        return {
            "changed": any(made),
            "published": {one.service["name"]: _names(changes) for one, changes in zip(wanted, made)},
            "diff": [_diff(*each) for each in zip(wanted, told, made) if each[2]],
        }

    def _wanted(self, task_vars: Mapping[str, Any]) -> list[stated.Wanted]:
        fleet, base = controller.fleet_of(task_vars, self._templar), controller.inventory_directory(task_vars)
        services = {one["name"]: one for one in controller.stated_stacks(fleet, task_vars, self._templar)["services"]}
        found = plain(controller.variable(task_vars, self._templar, "stowage_config"))
        login = str(controller.variable(task_vars, self._templar, "stowage_config_login", "") or "")
        return stated.read(found, services, lambda path: (base / path).read_bytes(), login)

    @staticmethod
    def _access(one: stated.Wanted) -> publishing.Access:
        config = one.service["template"]["config"]
        source = {key: config[key] for key in ("type", "endpoints", "prefix")}
        return publishing.Access(source, one.login or None, config.get("ca"), TRY_SECONDS)


def _place(one: stated.Wanted) -> str:
    config = one.service["template"]["config"]
    return f"{one.service['name']}: {config['type']} {config['prefix']}"


def _read(one: stated.Wanted, access: publishing.Access) -> Any:
    """What the store holds, or a Problem."""
    try:
        return publishing.read(access)
    except publishing.StoreError as error:
        return Problem(stated.CODE, _place(one), error.reason, FIX)


def _written(one: stated.Wanted, access: publishing.Access, now: Any, changes: publishing.Changes) -> list[Problem]:
    try:
        publishing.write(access, now, changes)
    except publishing.StoreError as error:
        return [Problem(stated.CODE, _place(one), error.reason, FIX)]
    return []


def _names(changes: publishing.Changes) -> dict[str, list[str]]:
    return {"added": changes.added, "changed": changes.changed, "removed": changes.removed}


def _diff(one: stated.Wanted, now: Any, changes: publishing.Changes) -> dict[str, str]:
    before, after = publishing.lines(changes, now, one.sensitive)
    head = _place(one)
    return {"before": before, "after": after, "before_header": head, "after_header": head}
