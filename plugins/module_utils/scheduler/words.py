# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Amounts in words, exact enough that two different ones never look the same."""

from __future__ import annotations

from .model import CPUS, MEMORY, NANO, SHARE, UNLIMITED

UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def amount(name: str, number: int) -> str:
    """An amount of a dimension: `1.5 GiB` for memory, `0.25` for cpus and anything else."""
    if number >= UNLIMITED // 2:
        return "unlimited"
    if name == MEMORY:
        return _size(number)
    unit, digits = (NANO, 9) if name == CPUS else (SHARE, 6)
    return f"{number // unit}.{number % unit:0{digits}d}".rstrip("0").rstrip(".")


def at_least(name: str, number: int) -> str:
    """The same, rounded up: as much as this is enough."""
    if name != MEMORY:
        return amount(name, number)
    for unit, _name in UNITS:
        if number >= unit:
            tenth = -(-unit // 10)
            return _size(-(-number // tenth) * tenth) if number % unit else _size(number)
    return _size(number)


def amount_pair(name: str, one: int, other: int) -> tuple[str, str]:
    """Two amounts; in bytes where rounding would make different ones look the same."""
    words = amount(name, one), amount(name, other)
    return words if words[0] != words[1] or one == other else (f"{one} B", f"{other} B")


def _size(number: int) -> str:
    for unit, name in UNITS:
        if number >= unit:
            tenths = number * 10 // unit
            return f"{tenths // 10}.{tenths % 10} {name}".replace(".0 ", " ")
    return f"{number} B"


def percent(share: int, whole: int) -> str:
    """A share in percent, rounded down: `34 %`."""
    return f"{share * 100 // whole} %"
