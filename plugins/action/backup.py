# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.backup: decides on a backup or a restore, has the hosts work, says how it ended."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import backups, moving
from ansible_collections.stowage.fleet.plugins.module_utils.storage.backups import HOST, read_backup
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, delivering, stepping

display = Display()

ARGUMENTS = {
    **stepping.ARGUMENTS,
    "stage": {"type": "str", "choices": ["look", "decide", "work", "conclude"], "required": True},
    "verb": {"type": "str", "choices": ["backup", "restore"], "default": "backup"},
    "snapshot": {"type": "str", "default": ""},
    "host": {"type": "str", "default": ""},
    "port": {"type": "int", "default": backups.PORT},
    "confirm": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    """One stage of a backup or a restore."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, run_dir, steps, going, deploy}, or a host's result."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(ARGUMENTS)
        with controller.refusals():
            return dict(getattr(self, f"_{args['stage']}")(args, task_vars))

    def _wish(self, args: Mapping[str, Any], task_vars: dict[str, Any], fleet: Mapping[str, Any]) -> backups.Wish:
        stated = plain(controller.variable(task_vars, self._templar, "stowage_backup"))
        repository = read_backup(stated, [node["name"] for node in fleet["nodes"]])
        restore = args["verb"] == "restore"
        return backups.Wish(args["volume"], repository, restore, args["snapshot"], args["host"], args["port"])

    def _look(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """What one host has of the volume, and of its snapshots."""
        fleet, node = controller.fleet_of(task_vars, self._templar), task_vars["inventory_hostname"]
        wish = self._wish(args, task_vars, fleet)
        share: dict[str, Any] = {"fleet": fleet["name"], "volume": args["volume"]}
        share["over_ssh"] = wish.repository.kind == HOST
        if wish.restore:
            share["repository"] = backups.reader(wish, node, task_vars["ansible_play_hosts_all"][0])
        return self._host({"mode": "look", "share": share}, task_vars, "host_backup")

    def _host(self, given: dict[str, Any], task_vars: dict[str, Any], module: str) -> dict[str, Any]:
        if module == "host_backup":
            stated = plain(controller.variable(task_vars, self._templar, "stowage_backup"))
            given["secret"] = {key: stated[key] for key in ("password", "environment") if key in stated}
            if given["secret"]:
                delivering.require(self, f"the password of the backups, for {task_vars['inventory_hostname']}")
        result = self._execute_module(module_name=f"stowage.fleet.{module}", module_args=given, task_vars=task_vars)
        return controller.judged(module, result, task_vars["inventory_hostname"], given["mode"] != "look")

    def _decide(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Show the steps; write down what the hosts shall do. A restore must be confirmed by the volume's name."""
        world = self._world(args, task_vars)
        wish = self._wish(args, task_vars, world.fleet)
        decided = backups.decide(world, wish)
        raise_all(decided["problems"])
        for line in decided["lines"]:
            display.display(line)
        stepping.refuse_other_name(args["confirm"], wish.volume)
        asked = not wish.restore or bool(args["confirm"])
        if not asked:
            display.display(f"Nothing is restored yet. To do it: -e confirm={wish.volume}")
        started = stepping.start(self, args["run_dir"], decided, world, asked)
        return {**started, "deploy": started["going"] and decided["deploy"]}

    def _world(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> moving.World:
        fleet = controller.fleet_of(task_vars, self._templar)
        compiled = controller.compiled_stacks(fleet, task_vars, self._templar)
        told = controller.results_of(task_vars, args["looked"])
        raise_all(moving.problems_of({"look": {host: one for host, one in told.items() if one.get("problems")}}))
        return stepping.world(fleet, compiled, args, task_vars)

    def _work(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """One host's part of one step."""

        def have_done(given: dict[str, Any]) -> dict[str, Any]:
            return self._host(given, task_vars, "host_volume" if given["mode"] in backups.MOVING else "host_backup")

        return stepping.work(args, task_vars, backups.share_of, have_done)

    def _conclude(self, args: Mapping[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Say how it ended; fail with every problem that a host told."""
        directory = Path(args["run_dir"])
        results = stepping.results(directory)
        raise_all(moving.problems_of(results))
        display.display(backups.conclusion(results))
        shutil.rmtree(directory, ignore_errors=True)
        return {"changed": True}
