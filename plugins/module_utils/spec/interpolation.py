# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Variables in values: ${A}, ${A:-b}, ${A-b}, ${A:?m}, ${A?m}, ${A:+b}, ${A+b}, $A, nested defaults, $$."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
MAX_NESTING = 20


class Substituted(str):
    """Text in which a variable was replaced: in the place of a number or boolean it is read as one."""

    __slots__ = ()


class InterpolationError(ValueError):
    """The text holds a variable that cannot be replaced; str() says why."""


def substitute(text: str, variables: Mapping[str, str], unset: set[str] | None = None, depth: int = 0) -> str:
    """The text with its variables replaced; names without value and default are added to `unset` and become empty.

    The operator is the one directly behind the name. A lone `$` stays. InterpolationError: `${` without end or with
    a bad name, or a variable that is required.
    """
    if "$" not in text:
        return text
    if depth > MAX_NESTING:
        raise InterpolationError(f"defaults are nested more than {MAX_NESTING} deep")
    parts: list[str] = []
    at, missing = 0, unset if unset is not None else set()
    while True:
        dollar = text.find("$", at)
        if dollar < 0:
            break
        parts.append(text[at:dollar])
        made, at = _one(text, dollar, variables, missing, depth)
        parts.append(made)
    return Substituted("".join(parts) + text[at:])


def _one(text: str, dollar: int, variables: Mapping[str, str], unset: set[str], depth: int) -> tuple[str, int]:
    """What stands for the `$` at this index, and the index behind it."""
    following = text[dollar + 1 : dollar + 2]
    if following == "$":
        return "$", dollar + 2
    if following == "{":
        end = _closing(text, dollar)
        return _braced(text[dollar + 2 : end], variables, unset, depth), end + 1
    name = _NAME.match(text, dollar + 1)
    if not name:
        return "$", dollar + 1
    return _plain(name.group(), variables, unset), name.end()


def _closing(text: str, dollar: int) -> int:
    """Index of the brace that closes the `${` at this index."""
    opened, at = 0, dollar
    while at < len(text):
        pair = text[at : at + 2]
        if pair == "${":
            opened += 1
        elif text[at] == "}":
            opened -= 1
            if not opened:
                return at
        at += 2 if pair in ("${", "$$") else 1
    raise InterpolationError("'${' has no closing '}'; write $$ for a plain $")


def _plain(name: str, variables: Mapping[str, str], unset: set[str]) -> str:
    if name not in variables:
        unset.add(name)
    return variables.get(name, "")


def _braced(body: str, variables: Mapping[str, str], unset: set[str], depth: int) -> str:
    """The value of what stands between `${` and `}`."""
    name = _NAME.match(body)
    operator = _OPERATOR.match(body, name.end()) if name else None
    if not name or (not operator and name.end() != len(body)):
        raise InterpolationError("is no variable as in ${NAME} or ${NAME:-default}; write $$ for a plain $")
    if not operator:
        return _plain(name.group(), variables, unset)
    value = variables.get(name.group())
    given = value is not None and (value != "" or not operator.group().startswith(":"))
    rest = body[operator.end() :]
    if operator.group().endswith("+"):
        return substitute(rest, variables, unset, depth + 1) if given else ""
    if given:
        return value or ""
    if operator.group().endswith("?"):
        message = substitute(rest, variables, set(), depth + 1) or "it is required"
        raise InterpolationError(f"variable {name.group()} is not set: {message}")
    return substitute(rest, variables, unset, depth + 1)
