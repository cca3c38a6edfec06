# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Errors of the pure layer: a mistake is a Problem, a refusal carries all Problems that were found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

SHOWN_CHARACTERS = 60


def show(value: Any) -> str:
    """Text from outside, safe to print: escaped, quoted, at most 60 characters."""
    text = ascii(str(value)) if isinstance(value, str) else ascii(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


class Problem(NamedTuple):
    """One mistake: a stable code, the place, the reason with its numbers, and what to do."""

    code: str
    place: str
    reason: str
    fix: str = ""

    def __str__(self) -> str:
        """One line: `CODE place: reason; fix`."""
        text = f"{self.code} {self.place}: {self.reason}"
        return f"{text}; {self.fix}" if self.fix else text

    def as_dict(self) -> dict[str, str]:
        """Plain dict with the keys code, place, reason, fix."""
        return dict(self._asdict())


class StowageError(Exception):
    """A refusal. `problems` holds every mistake of one pass, in a stable order."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        """Take one Problem or several; duplicates are dropped, the order given is kept."""
        found = [problems] if isinstance(problems, Problem) else list(problems)
        self.problems: list[Problem] = list(dict.fromkeys(found))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @property
    def code(self) -> str:
        """The first problem's code."""
        return self.problems[0].code if self.problems else "STW-UNKNOWN"


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise one StowageError if there are any problems."""
    found = list(problems)
    if found:
        raise StowageError(found)
