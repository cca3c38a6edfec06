# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs that are templates: their identity is of the template and what it is filled with, never of what comes out.

So a task that moves, or a new slot, is no change of the service. An entry of a plan's `files` with `template`
({driver, env, values}) is one; the rest of the entry is as of any config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..canonical import digest, text_digest
from ..errors import Problem, StowageError
from .config_golang import Context, TemplateMistake, fill_golang
from .config_jinja import GIVEN, fill_jinja, used_values

DRIVERS = ("golang", "jinja2")
LONGEST = 1000 * 1024  # bytes of a filled-in config, as of any other
Entry = Mapping[str, Any]


def template_values(stated: Any) -> dict[str, Any]:
    """stowage_config_values, checked. Raises StowageError (STW-INVENTORY)."""
    if isinstance(stated, Mapping) and all(isinstance(name, str) for name in stated):
        return dict(stated)
    problem = Problem("STW-INVENTORY", "stowage_config_values", "is no mapping of names", "write {name: value}")
    raise StowageError(problem)


class _AnyLabel(dict[str, str]):
    """Labels of a host that is not known yet: each is there."""

    def __missing__(self, key: str) -> str:
        return "label"


def described(driver: str, content: bytes, given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The entry's `template`: {driver, env, values} with what it uses of what the inventory gives.

    It is filled in once for a task that might be. Raises TemplateMistake.
    """
    text = _decoded(content)
    used = used_values(text, given) if driver == "jinja2" else {}
    made = {"driver": driver, **used}
    trial: dict[str, dict[str, Any]] = {
        "service": {"name": "service", "stack": "stack"},
        "task": {"slot": "1", "name": "service.1.0", "id": "0"},
        "node": {"hostname": "node", "labels": _AnyLabel()},
        "environment": {},
    }
    _filled(made, text, trial)
    return made


def identity(entry: Entry, content: bytes) -> str:
    """The digest of a config: of its content, or of the template with what the inventory gives it."""
    plain_digest = text_digest(content)
    return digest([plain_digest, entry["template"]]) if entry.get("template") else plain_digest


def filled(entry: Entry, content: bytes, context: Context) -> bytes:
    """The content for one task. context: {service, task, node, environment}; unused for what is no template.

    Raises TemplateMistake.
    """
    if not entry.get("template"):
        return content
    made = _filled(entry["template"], _decoded(content), context).encode("utf-8")
    if len(made) > LONGEST:
        raise TemplateMistake(
            0, f"gives {len(made)} bytes, at most {LONGEST} are allowed", "put large files into a volume"
        )
    return made


def _filled(template: Mapping[str, Any], text: str, context: Context) -> str:
    if template["driver"] == "golang":
        return fill_golang(text, context)
    return fill_jinja(text, {name: template.get(name, {}) for name in GIVEN}, context)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise TemplateMistake(0, "is no UTF-8 text", "leave template_driver out") from None
