# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs with `template_driver: golang`: Swarm's fields of a task, `env`, texts and comments of Go's templates."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import show

FIELDS: dict[str, tuple[str, str]] = {
    "Service.ID": ("service", "name"),
    "Service.Name": ("service", "name"),
    "Node.ID": ("node", "hostname"),
    "Node.Hostname": ("node", "hostname"),
    "Task.ID": ("task", "id"),
    "Task.Name": ("task", "name"),
    "Task.Slot": ("task", "slot"),
}
_ACTION = re.compile(
    r"""(?P<left>\s*\{\{-(?=\s)|\{\{)(?P<body>(?:"(?:\\.|[^"\\\n])*"|`[^`]*`|/\*.*?\*/|[^"`}]|\}(?!\}))*?)(?P<right>(?<=\s)-\}\}\s*|\}\})""",
    re.DOTALL,
)
_FIELD = re.compile(r"\.([A-Za-z.]+)")
_ENV = re.compile(r'env\s+("(?:\\.|[^"\\\n])*"|`[^`]*`)')
_TEXT = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`')
Context = Mapping[str, Mapping[str, Any]]


class TemplateMistake(ValueError):
    """A template that cannot be filled in: the line (from 1, 0 if it is not known), the reason and the fix."""

    def __init__(self, line: int, reason: str, fix: str) -> None:
        """Take what a Problem needs."""
        super().__init__(reason)
        self.line, self.reason, self.fix = line, reason, fix


def fill_golang(text: str, context: Context) -> str:
    """The text with its actions filled in.

    context: {service: {name}, node: {hostname}, task: {id, name, slot}, environment}.
    Raises TemplateMistake for an action that Swarm's configs have and we do not, and for what is none.
    """
    made, end = [], 0
    for found in _ACTION.finditer(text):
        line = text.count("\n", 0, found.start("body")) + 1
        made += [text[end : found.start()], _value(found["body"].strip(), line)(context)]
        end = found.end()
    rest = text[end:]
    if "{{" in rest:
        line = text.count("\n", 0, end + rest.index("{{")) + 1
        raise TemplateMistake(line, "{{ is not closed", 'close it with }}, or write {{"{{"}} for the text')
    return "".join([*made, rest])


def _value(body: str, line: int) -> Callable[[Context], str]:
    """What an action stands for, as a function of the context."""
    if body.startswith("/*") and body.endswith("*/"):
        return lambda _context: ""
    if _TEXT.fullmatch(body):
        text = _text(body, line)
        return lambda _context: text
    field = _FIELD.fullmatch(body)
    if field and field[1] in FIELDS:
        group, key = FIELDS[field[1]]
        return lambda context: str(context[group][key])
    variable = _ENV.fullmatch(body)
    if variable:
        name = _text(variable[1], line)
        # As Swarm: a variable that the service does not have is empty.
        return lambda context: str(context["environment"].get(name) or "")
    word = body.partition(" ")[0]
    if word in ("secret", "config"):
        fix = "mount it as a file of its own, and name that file's path here"
        raise TemplateMistake(line, f"{word} in a config is not supported", fix)
    fix = f'known: .{", .".join(FIELDS)}, env "NAME"; template_driver: jinja2 can do more'
    raise TemplateMistake(line, f"{show(body)} is not supported", fix)


def _text(literal: str, line: int) -> str:
    if literal.startswith("`"):
        return literal[1:-1]
    try:
        return str(json.loads(literal))
    except ValueError:
        raise TemplateMistake(line, f"{show(literal)} is no text", "write it between ` and `") from None
