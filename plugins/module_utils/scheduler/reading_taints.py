# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what keeps services off a host: taints, and the words of availability."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ..errors import show
from .model import Taint
from .reader import Reader

AVAILABILITIES = ("active", "pause", "drain")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TAINT = re.compile(r"([^=:\s]+)(?:=([^:\s]*))?:([^:=\s]+)")


@lru_cache(maxsize=1024)
def plain_taints(listed: tuple[str, ...]) -> tuple[Taint, ...] | None:
    """The taints of a list without a mistake; None if it has one."""
    reader = Reader()
    found = read_taints(reader, listed, "")
    return None if reader.problems else found


def read_taints(reader: Reader, value: Any, place: str) -> tuple[Taint, ...]:
    """Taints, sorted, each once."""
    found = set()
    for at, entry in enumerate(reader.items(value, place)):
        text = reader.text(entry, f"{place}[{at}]", " ")
        match = TAINT.fullmatch(text)
        if match:
            effect = reader.choice(match.group(3), EFFECTS, f"{place}[{at}]")
            found.add(Taint(match.group(1), match.group(2) or "", effect))
        elif isinstance(entry, str):
            fix = "write key=value:NoSchedule or key:NoSchedule"
            reader.wrong(f"{place}[{at}]", f"{show(text)} is no taint", fix)
    return tuple(sorted(found))
