# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.bake: which images are wanted, have one host make them, note their digests."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout, spec
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()


class ActionModule(ActionBase):
    """Bake what is not in the lock file."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, images: {repository:tag: digest}, diff}; the lock file is written when all are made."""
        super().run(tmp, task_vars)
        self.validate_argument_spec({})
        with controller.refusals():
            path = controller.inventory_directory(task_vars) / spec.LOCK
            before = spec.locked_images(path.read_text(encoding="utf-8")) if path.exists() else {}
            wanted = self._wanted(task_vars)
            made = {one["image"]: before.get(one["image"]) or self._bake(one, task_vars) for one in wanted}
            texts = [spec.lock_text(images) if images else "" for images in (before, made)]
            if made != before and not self._task.check_mode:
                path.write_text(texts[1], encoding="utf-8")
        diff = {"before": texts[0], "after": texts[1], "before_header": str(path), "after_header": str(path)}
        return {"changed": made != before, "images": made, "diff": diff}

    def _wanted(self, task_vars: dict[str, Any]) -> list[dict[str, Any]]:
        """What the stacks want baked, with every mistake of all of them at once."""
        env = plain(controller.variable(task_vars, self._templar, "stowage_env", {}))
        found: dict[str, dict[str, Any]] = {}
        problems: list[Problem] = []
        for _stack, entry in sorted(controller.stack_entries(task_vars, self._templar).items()):
            try:
                normal = controller.loaded_stack(entry, env)
                images = spec.wanted_images(normal, os.path.dirname(entry.files[0]), _read)
                found.update({one["image"]: one for one in images})
            except StowageError as error:
                problems += error.problems
        raise_all(problems)
        return [found[image] for image in sorted(found)]

    def _bake(self, one: Mapping[str, Any], task_vars: dict[str, Any]) -> str:
        files = {target: base64.b64encode(_read(path)).decode() for target, path in one["files"].items()}
        node = task_vars["inventory_hostname"]
        result = self._execute_module(
            module_name="stowage.fleet.host_bake", module_args={**one, "files": files}, task_vars=task_vars
        )
        told = controller.judged("host_bake", result, node, True)
        raise_all(Problem(**{**problem, "place": f"{node}: {problem['place']}"}) for problem in told["problems"])
        word = "would be baked" if self._task.check_mode else "baked" if told["changed"] else "was there"
        display.display(rollout.safe(f"  {one['image']}: {word}"))
        return str(told["digest"] or "sha256:" + "0" * 64)


def _read(path: str) -> bytes:
    return Path(path).read_bytes()
