# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Regular expressions from outside: only those that cannot run for long.

Python's matcher tries again where a pattern leaves a choice, and patterns such as `(a+)+` leave exponentially many.
What is allowed has a bounded number of choices: nothing that varies inside of what repeats, and few repeats in a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any

try:
    parser: Any = import_module("re._parser")
except ImportError:  # Python 3.9 and 3.10
    parser = import_module("sre_parse")

LONGEST = 200  # characters of a pattern
LONGEST_VALUE = 256  # characters of a value that is matched; a longer one matches nothing
MOST_CHOICES = LONGEST_VALUE**3
NAMES = {
    "ASSERT": "lookaround",
    "ASSERT_NOT": "lookaround",
    "GROUPREF": "a back reference",
    "GROUPREF_EXISTS": "a condition",
}
PLAIN = ("LITERAL", "NOT_LITERAL", "ANY", "IN", "AT", "CATEGORY")


def mistake(pattern: str) -> tuple[str, str] | None:
    """(reason, fix) if the pattern is no expression or a dangerous one; None if it may be used."""
    if not pattern:
        return "is empty", "write an expression such as web-.*"
    if len(pattern) > LONGEST:
        return f"has {len(pattern)} characters, at most {LONGEST} are read", "use several constraints"
    try:
        re.compile(pattern)
        tree = parser.parse(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is no regular expression ({error})", "check brackets and escapes"
    try:
        choices = _choices(tree, False)
    except _Refused as refused:
        return str(refused), "write it without, or use several constraints"
    if choices > MOST_CHOICES:
        return (
            "has too many repeats in a row, and could run for long",
            "use at most three of * + {}, or several constraints",
        )
    return None


class _Refused(Exception):
    """Something that is not allowed in a pattern."""


def _choices(items: Iterable[tuple[Any, Any]], repeated: bool) -> int:
    """An upper bound of how many ways there are to match. repeated: inside of something that repeats."""
    total = 1
    for operation, argument in items:
        total *= _ways(str(operation), argument, repeated)
    return total


def _ways(operation: str, argument: Any, repeated: bool) -> int:
    if operation in PLAIN:
        return 1
    if operation == "SUBPATTERN":
        return _choices(argument[-1], repeated)
    if operation == "BRANCH":
        if repeated:
            raise _Refused("has alternatives inside of a repeat, and could run for long")
        return sum(_choices(branch, False) for branch in argument[1])
    if operation in ("MAX_REPEAT", "MIN_REPEAT"):
        least, most, inner = argument
        if repeated and least != most:
            raise _Refused("has a repeat inside of a repeat, and could run for long")
        ways = _choices(inner, repeated or int(most) > 1)
        return ways * min(int(most) - int(least) + 1, LONGEST_VALUE)
    raise _Refused(f"uses {NAMES.get(operation, operation.lower().replace('_', ' '))}, which is not allowed")
