# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One row of the key table, and how the table's text becomes rows."""

from __future__ import annotations

from typing import NamedTuple

APPLIED, WARNED, REFUSED = "applied", "warned", "refused"
REFUSES = "refuses"  # Swarm's word for a key that its schema does not know


class Key(NamedTuple):
    """One key: its path (`*` for names, `[]` for list items), our verdict, its form, and three phrases."""

    path: str
    verdict: str
    form: str
    swarm: str
    compose: str
    stowage: str


def rows(prefix: str, text: str) -> list[Key]:
    """Keys of one mapping from lines `name | verdict | form | Swarm | Compose | Stowage`."""
    found = []
    for line in text.strip().splitlines():
        name, verdict, form, swarm, compose, stowage = (cell.strip() for cell in line.split("|"))
        found.append(Key(f"{prefix}.{name}".lstrip("."), verdict, form, swarm, compose, stowage))
    return found
