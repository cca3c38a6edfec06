# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every key of a stack file: applied, warned or refused, how it is read, and what Swarm, Compose and Stowage do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache

from .key_rows import APPLIED, REFUSED, REFUSES, WARNED, Key
from .key_table_deploy import DEPLOY
from .key_table_objects import OBJECTS
from .key_table_services import SERVICES

__all__ = ["APPLIED", "KEYS", "REFUSED", "REFUSES", "WARNED", "Key", "children", "nearest"]

KEYS: list[Key] = [*SERVICES, *DEPLOY, *OBJECTS]


@cache
def children(prefix: str) -> dict[str, Key]:
    """The keys directly below a path of the table, by name; "" for the top level."""
    lead = f"{prefix}." if prefix else ""
    below = {key.path[len(lead) :]: key for key in KEYS if key.path.startswith(lead)}
    return {name: key for name, key in below.items() if "." not in name and "[" not in name}


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint naming the known names nearest to this one; "" if none is near."""
    close = difflib.get_close_matches(name[:100].lower(), sorted(known), n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else ""
