# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Durations, sizes and numbers as Go and Docker write them."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_DURATION = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([kmgtp])i?)?b?", re.IGNORECASE)
_LONGEST = 64  # characters; a longer number is a mistake, and costs time to read
MAX_DURATION = 2**63 - 1
MAX_SIZE = 2**63 - 1
MAX_CORES = 1_000_000


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as 1m30s; ValueError if it is none, negative, or over 292 years."""
    if text in ("0", "+0", "-0"):
        return 0
    if len(text) > _LONGEST or not _DURATION.fullmatch(text):
        raise ValueError("is no duration like 1m30s")
    if text.startswith("-"):
        raise ValueError("is negative")
    total = sum(int(Decimal(number) * NANOSECONDS[unit]) for number, unit in _PART.findall(text))
    if total > MAX_DURATION:
        raise ValueError("is longer than 292 years")
    return total


def seconds(text: str | None, default: float = 0.0) -> float:
    """Seconds of a Go duration that was checked before; the default if there is none."""
    return default if text is None else parse_duration(text) / 10**9


def format_duration(nanoseconds: int) -> str:
    """The text Go prints for a duration: 90 s is 1m30s, 1500000 ns is 1.5ms."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < NANOSECONDS["s"]:
        unit = next(unit for unit in ("ms", "\u00b5s", "ns") if nanoseconds >= NANOSECONDS[unit])
        return _trimmed(Decimal(nanoseconds) / NANOSECONDS[unit]) + unit
    minutes, rest = divmod(nanoseconds, NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return text + _trimmed(Decimal(rest) / NANOSECONDS["s"]) + "s"


def _trimmed(number: Decimal) -> str:
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def parse_size(value: Any) -> int:
    """Bytes of a size such as 512m, 1.5g or 100 (base 1024, as Docker reads it); ValueError if it is none."""
    match = _SIZE.fullmatch(str(value)) if len(str(value)) <= _LONGEST else None
    if isinstance(value, bool) or not match:
        raise ValueError("is no size like 512m or 1g")
    power = "kmgtp".index(match.group(2).lower()) + 1 if match.group(2) else 0
    size = int(Decimal(match.group(1)) * 1024**power)
    if size > MAX_SIZE:
        raise ValueError("is more than 8 exbibytes")
    return size


def parse_cpus(value: Any) -> float:
    """Cores of a number or text such as 0.5; ValueError if it is none or negative."""
    text = str(value)
    if isinstance(value, bool) or len(text) > _LONGEST or not re.fullmatch(r"[0-9]*\.?[0-9]+|[0-9]+\.", text):
        raise ValueError("is no number of cores like 0.5")
    if float(text) > MAX_CORES:
        raise ValueError(f"is more than {MAX_CORES} cores")
    return float(text)


def go_number(value: int | float) -> str:
    """The text Go prints for a number in a map: 3.10 is 3.1, 1e3 is 1000, 1e30 is 1e+30."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
    digits = repr(value)
    exponent = Decimal(digits).adjusted() if value else 0
    if -4 <= exponent < 21:
        return _trimmed(Decimal(digits))
    mantissa, _e, _exponent = digits.partition("e")
    mantissa = _trimmed(Decimal(digits).scaleb(-exponent)) if "e" not in digits else mantissa.removesuffix(".0")
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
