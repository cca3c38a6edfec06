# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller side of stowage.fleet.export: the stacks as files that Docker's command line takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import spec
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

display = Display()


class ActionModule(ActionBase):
    """Write stacks back."""

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return {changed, written, notes}."""
        super().run(tmp, task_vars)
        _valid, args = self.validate_argument_spec(
            {"to": {"type": "path", "required": True}, "stacks": {"type": "raw"}}
        )
        check = bool(self._task.check_mode)
        written: list[str] = []
        notes: list[str] = []
        changed = False
        with controller.refusals():
            env = plain(controller.variable(task_vars, self._templar, "stowage_env", {}))
            for stack, entry in _wanted(controller.stack_entries(task_vars, self._templar), args["stacks"]):
                made = spec.stack_file(
                    controller.loaded_stack(entry, env), f"stack {stack}, written by stowage.fleet.export"
                )
                notes += [f"{stack}: {text}" for text in made["notes"]]
                for name, text in {"stack.yml": made["text"], **made["files"]}.items():
                    path = Path(args["to"]) / stack / name
                    changed = _put(path, text, check) or changed
                    written.append(str(path))
        for text in notes:
            display.display(text)
        return {"changed": changed, "written": written, "notes": notes}


def _wanted(entries: dict[str, spec.Stack], stated: Any) -> list[tuple[str, spec.Stack]]:
    """The stacks asked for, by name; STW-OPTION for a name that is none."""
    names = controller.names(stated) or sorted(entries)
    unknown = [name for name in names if name not in entries]
    if unknown:
        fix = f"the inventory has {', '.join(sorted(entries)) or 'none'}"
        raise StowageError([Problem("STW-OPTION", "stacks", f"there is no stack {name!r}", fix) for name in unknown])
    return [(name, entries[name]) for name in names]


def _put(path: Path, text: str, check: bool) -> bool:
    """Write a file if it is not just so; returns whether it was not."""
    same = path.exists() and path.read_text(encoding="utf-8") == text
    if not same and not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return not same
