# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Labels of containers that were taken over while they ran: a record on the host stands for what cannot be changed.

/var/lib/stowage/adopted.json: {schema: 1, containers: {full id: {labels: {stowage.*}}}}. Whoever lists containers sees
these labels among the container's own, so nobody else needs to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import dumps
from .host import read_json

SCHEMA = 1
Labels = dict[str, str]


def records(path: str) -> dict[str, Labels]:
    """{full container id: labels}; an entry that is not one is left out."""
    found = read_json(path).get("containers")
    entries = found.items() if isinstance(found, dict) else ()
    return {str(key): dict(entry["labels"]) for key, entry in entries if _right(entry)}


def _right(entry: Any) -> bool:
    labels = entry.get("labels") if isinstance(entry, dict) else None
    return isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())


def merged(entries: Iterable[Mapping[str, Any]], path: str) -> list[dict[str, Any]]:
    """Listed containers with the labels of their records over their own."""
    kept = records(path)
    if not kept:
        return [dict(entry) for entry in entries]
    return [{**entry, "Labels": {**(entry.get("Labels") or {}), **kept.get(entry["Id"], {})}} for entry in entries]


def write(path: str, kept: Mapping[str, Labels]) -> None:
    """Put all records in place by one rename."""
    from .files import write_atomic  # noqa: PLC0415 (who only reads loads less)

    containers = {key: {"labels": dict(labels)} for key, labels in kept.items()}
    write_atomic(path, dumps({"schema": SCHEMA, "containers": containers}).encode(), mode=0o644)


def prune(path: str, present: Iterable[str]) -> bool:
    """Forget containers that are gone. present: full ids of all that are there. True if there were any."""
    kept = records(path)
    left = {key: kept[key] for key in set(present).intersection(kept)}
    if len(left) < len(kept):
        write(path, left)
    return len(left) < len(kept)
