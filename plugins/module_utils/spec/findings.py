# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collected mistakes of a normal form, with the places that reading left in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import Problem, show
from .document import KeyPath, path_text

RESERVED_LABELS = ("stowage.", "com.docker.")
MAX_LABEL = 64 * 1024
MAX_LABELS = 1000


class Findings:
    """Problems of one stack, each with its place if the normal form remembers places."""

    def __init__(self, normal: Mapping[str, Any]) -> None:
        """Take the normal form."""
        self._places: Mapping[KeyPath, str] = getattr(normal, "places", {})
        self.problems: list[Problem] = []

    def add(self, path: KeyPath, code: str, reason: str, fix: str = "", entry: Any = None) -> None:
        """Note a problem at a path; entry is the list item it is about, which knows its own place."""
        place = getattr(entry, "place", "") or self._place(path)
        self.problems.append(Problem(code, place, reason, fix if fix.isprintable() else show(fix)))

    def _place(self, path: KeyPath) -> str:
        known = path
        while known and known not in self._places:
            known = known[:-1]
        place = self._places.get(known, "")
        return place if known == path and place else f"{place.partition(' ')[0]} {path_text(path)}".strip() or "stack"

    def labels(self, path: KeyPath, labels: Mapping[str, str] | None) -> None:
        """Labels that are reserved, too many, too long, or cannot be told apart."""
        for name, text in (labels or {}).items():
            if name.lower().startswith(RESERVED_LABELS):
                reason = f"label {show(name)} is reserved"
                self.add((*path, name), "STW-LABEL", reason, "leave stowage.* and com.docker.* to the tools")
            elif not name.strip() or "\0" in name + text or "\n" in name or len(name) + len(text) > MAX_LABEL:
                reason = f"label {show(name)} has {len(text)} characters, or an unusable name"
                self.add((*path, name), "STW-LABEL", reason, f"at most {MAX_LABEL} characters, no NUL, a name")
        if len(labels or {}) > MAX_LABELS:
            self.add(path, "STW-LABEL", f"{len(labels or {})} labels", f"at most {MAX_LABELS}")
