# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading plain values: each mistake is one Problem with its place, all of them in one pass; nothing raises here."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from difflib import get_close_matches
from typing import Any

from ..errors import Problem, show
from .model import CPUS, MEMORY, NANO, SHARE

CODE = "STW-SCHEDULE"
MOST_CPUS = 10**6  # cores of one host or replica
MOST_COUNT = 2**63 - 1  # bytes, or pieces of a generic resource
WRITTEN = 10**15  # a binary number tells all decimal ones of 15 digits apart
TEXT = {str}


class Reader:
    """Takes values apart and keeps what is wrong with them."""

    def __init__(self) -> None:
        """No mistakes yet."""
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def wrong(self, place: str, reason: str, fix: str = "", code: str = CODE) -> None:
        """Note one mistake."""
        self.problems.append(Problem(code, place, reason, fix))

    def mapping(self, value: Any, place: str) -> Mapping[str, Any]:
        """A mapping with string keys; None is an empty one."""
        if value is None:
            return {}
        if isinstance(value, dict) and TEXT.issuperset(map(type, value)):
            return value
        if not isinstance(value, Mapping):
            self.wrong(place, f"{show(value)} is not a mapping", "write key: value pairs")
            return {}
        for key in value:
            if not isinstance(key, str):
                self.wrong(place, f"the key {show(key)} is not a string", "quote it")
        return {key: value[key] for key in value if isinstance(key, str)}

    def items(self, value: Any, place: str) -> list[Any]:
        """A list; None is an empty one."""
        if value is None:
            return []
        if isinstance(value, (list, tuple)):
            return list(value)
        self.wrong(place, f"{show(value)} is not a list", "write it as a list")
        return []

    def keys(self, value: Mapping[str, Any], known: Collection[str], place: str, strict: bool = False) -> None:
        """Refuse unknown keys that look like known ones (strict: all of them); warn of the others."""
        for key in sorted(set(value).difference(known)):
            near = get_close_matches(key, sorted(known), 1, 0.75)
            if near or strict:
                fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
                self.wrong(place, f"unknown key {show(key)}", fix)
            else:
                self.warnings.append(f"{place}: the key {show(key)} is unknown and has no effect")

    def text(self, value: Any, place: str, default: str = "") -> str:
        """A string; None is the default."""
        if value is None:
            return default
        if isinstance(value, str):
            return str(value)
        self.wrong(place, f"{show(value)} is not a string", "quote it")
        return default

    def name(self, value: Any, place: str) -> str:
        """A string that is not empty; "" after a mistake."""
        found = self.text(value, place)
        if value is None or (isinstance(value, str) and not value.strip()):
            self.wrong(place, "has no name", "give it a name")
        return found

    def names(self, value: Any, place: str) -> list[str]:
        """Different names of a list, sorted."""
        found = {self.name(name, f"{place}[{at}]") for at, name in enumerate(self.items(value, place))}
        return sorted(found - {""})

    def choice(self, value: Any, known: tuple[str, ...], place: str) -> str:
        """One of the known words; None is the first."""
        if value is None:
            return known[0]
        if isinstance(value, str) and value in known:
            return str(value)
        near = get_close_matches(value, known, 1, 0.6) if isinstance(value, str) else []
        fix = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
        self.wrong(place, f"{show(value)} is not known", fix)
        return known[0]

    def flag(self, value: Any, place: str, default: bool) -> bool:
        """True or False; None is the default."""
        if value is None or isinstance(value, bool):
            return default if value is None else bool(value)
        self.wrong(place, f"{show(value)} is neither true nor false", "write true or false")
        return default

    def count(self, value: Any, place: str, most: int, default: int = 0, least: int = 0) -> int:
        """A whole number from least to most; None is the default."""
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(place, f"{show(value)} is not a whole number", f"use {least} to {most}")
            return default
        if not least <= value <= most:
            self.wrong(place, f"{show(value)} is not between {least} and {most}", "use a number in that range")
            return default
        return int(value)

    def labels(self, value: Any, place: str) -> Mapping[str, str]:
        """Labels: strings by name. Numbers are taken as they are written; null is empty."""
        if texts(value):
            return value  # type: ignore[no-any-return]
        found = {}
        for key, content in self.mapping(value, place).items():
            if isinstance(content, bool) or not isinstance(content, (str, int, type(None))):
                self.wrong(f"{place}.{key}", f"{show(content)} is not a string", f'quote it: {key}: "..."')
            else:
                found[key] = "" if content is None else str(content)
        return found

    def amounts(self, value: Any, place: str) -> dict[str, int]:
        """Resources by name as integers: cpus in billionths of a core, memory in bytes, others in millionths."""
        found = {}
        for key, content in self.mapping(value, place).items():
            amount = self.amount(key, content, f"{place}.{key}")
            if content is not None and amount is not None:
                found[key] = amount
        return found

    def amount(self, name: str, value: Any, place: str, shares: bool = False) -> int | None:
        """One amount as an exact integer; None if it is none (a mistake unless it is null).

        shares: a part of one piece is an amount too.
        """
        if value is None:
            return None
        made = exact(name, value) if type(value) in (int, float) else None
        if made is not None and (shares or whole(name, made)):
            return made
        what = "cores" if name == CPUS else "bytes" if name == MEMORY else "pieces"
        most = MOST_CPUS if name == CPUS else MOST_COUNT
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong(place, f"{show(value)} is not a number", f"give {what} as a number")
        elif isinstance(value, float) and not math.isfinite(value):
            self.wrong(place, f"{value} is not a finite number", f"give {what} as a number")
        elif not 0 <= value <= most:
            self.wrong(place, f"{show(value)} {what} is not between 0 and {most}", "check the unit")
        elif shares and value < 1:
            self.wrong(place, f"{show(value)} of a piece is less than a millionth", "round it")
        else:
            self.wrong(place, f"{show(value)} is not a whole number of {what}", "round it")
        return None


def texts(value: Any) -> bool:
    """True if it is a plain dict of strings by strings."""
    return isinstance(value, dict) and TEXT.issuperset(map(type, value)) and TEXT.issuperset(map(type, value.values()))


def exact(name: str, value: float) -> int | None:
    """An int or float in the unit of its dimension; None if there is anything to say against it."""
    if not 0 <= value <= (MOST_CPUS if name == CPUS else MOST_COUNT):
        return None
    if name == MEMORY:
        made = int(value)
        return made if made == value else None
    unit = NANO if name == CPUS else SHARE
    made = value * unit if isinstance(value, int) else written(value, unit)
    if name != CPUS and ((made > SHARE and made % SHARE) or (value and not made)):
        return None
    return made


def written(value: float, unit: int) -> int:
    """The number that is written there times the unit, rounded to an integer: not what its binary form comes to."""
    made = round(value * unit)
    if made < WRITTEN and made / unit == value:  # no other number of so few digits has this binary form
        return made
    return int((Decimal(repr(value)) * unit).to_integral_value(ROUND_HALF_EVEN))


def whole(name: str, amount: int) -> bool:
    """True if the amount of a generic resource is no part of one piece."""
    return name in (CPUS, MEMORY) or not amount % SHARE
