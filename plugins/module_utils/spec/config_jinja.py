# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs with `template_driver: jinja2`: rendered on the controller, in a sandbox, from the inventory's values alone.

A template sees `env` (the stack's variables), `values` (stowage_config_values), and `service`, `task`, `node`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..canonical import plain
from .config_golang import Context, TemplateMistake

GIVEN = ("env", "values")  # what the inventory gives: a change of what a template uses of it rolls the service
NAMES = (*GIVEN, "service", "task", "node")


def used_values(text: str, given: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{env, values}: of what the inventory gives, what the template names; all of it where it names no single key.

    Raises TemplateMistake for a text that is no template, and for names that no template has.
    """
    import jinja2  # noqa: PLC0415 (hosts have no Jinja)
    from jinja2 import meta  # noqa: PLC0415

    try:
        tree = _environment().parse(text)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateMistake(error.lineno, str(error.message), "see Jinja's template syntax") from None
    except (ValueError, RecursionError) as error:
        raise TemplateMistake(0, str(error), "see Jinja's template syntax") from None
    strangers = sorted(meta.find_undeclared_variables(tree) - set(NAMES))
    if strangers:
        fix = f"known: {', '.join(NAMES)}; put values of your own into stowage_config_values"
        raise TemplateMistake(_line(tree, strangers[0]), f"{strangers[0]} is not defined", fix)
    if meta.find_referenced_templates(tree) and list(meta.find_referenced_templates(tree)):
        raise TemplateMistake(0, "includes or extends another template", "write all into one file")
    return {name: _used(tree, name, given.get(name) or {}) for name in GIVEN}


def fill_jinja(text: str, given: Mapping[str, Any], context: Context) -> str:
    """The text rendered. given: {env, values}; context: {service, task, node}. Raises TemplateMistake."""
    import jinja2  # noqa: PLC0415 (hosts have no Jinja)

    known = {**{name: given.get(name) or {} for name in GIVEN}, **{n: dict(context[n]) for n in NAMES[len(GIVEN) :]}}
    try:
        return str(_environment().from_string(text).render(known))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateMistake(error.lineno, str(error.message), "see Jinja's template syntax") from None
    except Exception as error:  # whatever a template's own expressions raise
        reason = str(error).split("\n", maxsplit=1)[0] or type(error).__name__
        fix = "set it in stowage_env or stowage_config_values, or give it a default()"
        raise TemplateMistake(_raised_at(error), reason, fix) from None


def _environment() -> Any:
    import jinja2  # noqa: PLC0415 (hosts have no Jinja)
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    made = ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    made.globals.clear()
    made.globals.update(range=_range, dict=dict)
    return made


def _range(*limits: int) -> range:
    """At most 100000 steps: a template is no place for more."""
    made = range(*limits)
    if len(made) > 100_000:
        raise ValueError(f"range of {len(made)} steps, at most 100000 are allowed")
    return made


def _used(tree: Any, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    from jinja2 import nodes  # noqa: PLC0415 (hosts have no Jinja)

    single, keys = 0, set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        if not (isinstance(node.node, nodes.Name) and node.node.name == name):
            continue
        key = node.attr if isinstance(node, nodes.Getattr) else getattr(node.arg, "value", None)
        if isinstance(key, str):
            single += 1
            keys.add(key)
    every = sum(1 for node in tree.find_all(nodes.Name) if node.name == name)
    chosen = keys if single == every else set(given)
    found: dict[str, Any] = plain({key: given[key] for key in sorted(chosen) if key in given})
    return found


def _line(tree: Any, name: str) -> int:
    from jinja2 import nodes  # noqa: PLC0415 (hosts have no Jinja)

    return min((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), default=0)


def _raised_at(error: BaseException) -> int:
    """The template's line that raised it."""
    found, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
