# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading plain values: each mistake is one Problem with its place, all of them in one pass; nothing raises here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from difflib import get_close_matches
from typing import Any

from ..errors import Problem, show

CODE = "STW-SCHEDULE"
NANO_CPUS = 10**9
MOST_CPUS = 10**6  # cores of one host or replica
MOST_COUNT = 2**63 - 1  # bytes, or pieces of a generic resource


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

    def keys(self, value: Mapping[str, Any], known: Iterable[str], place: str, strict: bool = False) -> None:
        """Refuse unknown keys that look like known ones (strict: all of them); warn of the others."""
        names = sorted(known)
        for key in sorted(set(value) - set(names)):
            near = get_close_matches(key, names, 1, 0.75)
            if near or strict:
                fix = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
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

    def count(self, value: Any, place: str, most: int, default: int = 0) -> int:
        """A whole number from 0 to most; None is the default."""
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(place, f"{show(value)} is not a whole number", f"use 0 to {most}")
            return default
        if not 0 <= value <= most:
            self.wrong(place, f"{show(value)} is not between 0 and {most}", "use a number in that range")
            return default
        return int(value)

    def labels(self, value: Any, place: str) -> dict[str, str]:
        """Labels: strings by name. Numbers are taken as they are written; null is empty."""
        found = {}
        for key, content in self.mapping(value, place).items():
            if isinstance(content, bool) or not isinstance(content, (str, int, type(None))):
                self.wrong(f"{place}.{key}", f"{show(content)} is not a string", f'quote it: {key}: "..."')
            else:
                found[key] = "" if content is None else str(content)
        return found

    def amounts(self, value: Any, place: str) -> dict[str, int]:
        """Resources by name as integers: cpus in billionths of a core, memory in bytes, others counted."""
        found = {}
        for key, content in self.mapping(value, place).items():
            amount = self.amount(key, content, f"{place}.{key}")
            if content is not None and amount is not None:
                found[key] = amount
        return found

    def amount(self, name: str, value: Any, place: str) -> int | None:
        """One amount as an exact integer; None if it is none (a mistake unless it is null)."""
        if value is None:
            return None
        what = "cores" if name == "cpus" else "bytes" if name == "memory" else "pieces"
        most = MOST_CPUS if name == "cpus" else MOST_COUNT
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.wrong(place, f"{show(value)} is not a number", f"give {what} as a number")
        elif isinstance(value, float) and not math.isfinite(value):
            self.wrong(place, f"{value} is not a finite number", f"give {what} as a number")
        elif not 0 <= value <= most:
            self.wrong(place, f"{show(value)} {what} is not between 0 and {most}", "check the unit")
        elif name == "cpus":
            return int((Decimal(repr(value)) * NANO_CPUS).to_integral_value(ROUND_HALF_EVEN))
        elif value != int(value):
            self.wrong(place, f"{show(value)} is not a whole number of {what}", "round it")
        else:
            return int(value)
        return None
