# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Action lab_images: builds and pushes the lab's images on the controller, with progress lines."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.lab import builder, client, order

ARGUMENTS = {
    "recipes": {"type": "list", "elements": "dict", "required": True},
    "root": {"type": "path", "required": True},
    "only": {"type": "list", "elements": "str", "default": []},
    "registry": {"type": "str", "default": ""},
    "workers": {"type": "int", "default": 2},
}


class ActionModule(ActionBase):
    """Parse, call, report."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Build what is missing, push what the registry lacks."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _spec, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        try:
            with client.only_one():
                result.update(self._converge(plain(args)))
        except StowageError as error:
            result.update(failed=True, msg=str(error), code=error.code)
        return result

    def _converge(self, args: dict[str, Any]) -> dict[str, Any]:
        recipes = order(args["recipes"], args["root"])
        wanted = [recipes[name] for name in args["only"] or recipes]
        api, registry = client.connect(), args["registry"]
        to_push = [r for r in wanted if registry and r.push and not builder.pushed(registry, r)]
        needed = to_push if registry else wanted
        to_build = builder.missing(api, builder.with_parents([r.name for r in needed], recipes))
        if not self._task.check_mode:
            say = Display().display
            builder.build_all(api, to_build, recipes, say, args["workers"])
            for recipe in to_push:
                builder.push(api, registry, recipe, say)
        return {
            "changed": bool(to_build or to_push),
            "images": {recipe.name: recipe.tag for recipe in wanted},
            "built": [recipe.name for recipe in to_build],
            "pushed": [name for recipe in to_push for name in recipe.push],
        }
