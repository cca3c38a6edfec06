# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ranges of ports. In a port's normal form `published` is a number, or `8000-8010`: any one free port of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import show
from .document import KeyPath
from .reader import Reader

MAX_RANGE = 1000
RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})", re.ASCII)


def port_range(reader: Reader, path: KeyPath, text: str) -> tuple[int, int] | None:
    """The first and last port of 8000 or 8000-8010; None (and a problem) if there are none or too many."""
    first, _dash, last = text.partition("-")
    start, end = int(first), int(last or first)
    if start < 1 or end < start or end > 65535 or end - start >= MAX_RANGE:
        reason = f"{show(text)} is outside 1 to 65535, reversed or longer than {MAX_RANGE} ports"
        reader.refuse(path, "STW-PORT", reason, "write the lower port first; leave out what is not published")
        return None
    return start, end


def span(port: Mapping[str, Any]) -> tuple[int, int]:
    """The first and last port that a port in normal form may publish; (0, 0) is none."""
    published = port.get("published", 0)
    if isinstance(published, str):
        first, _dash, last = published.partition("-")
        return int(first), int(last)
    return published, published


def is_range(port: Mapping[str, Any]) -> bool:
    """True if any one of several ports is published."""
    return isinstance(port.get("published"), str)
