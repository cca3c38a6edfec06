# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stack files in, the stack's normal form out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Union

from ..errors import Problem, StowageError, raise_all
from . import depending, forms, forms_host, short  # they register the forms  # noqa: F401  # pylint: disable=unused-import
from .check import check
from .document import KeyPath, parse, read_file
from .merge import merge
from .reader import Normal, Reader

DEFAULT_VERSION = "3.13"
Path = Union[str, "os.PathLike[str]"]


def load(paths: Path | Iterable[Path], variables: Mapping[str, Any] | None = None) -> Normal:
    """The normal form of one stack, from one file or several (later ones over earlier ones).

    paths: a path or a list of paths. variables: for interpolation and for environment names without value; None
    values count as not set. Returns a dict in the key shape that `docker stack config` prints (absolute paths,
    durations and sizes as text); it also remembers `places` and `warnings` for compile_services.
    Raises one StowageError with the mistakes of all files; if there are any, those compile_services would find too.
    """
    normal, problems = read(paths, variables)
    if problems:
        raise_all(problems + [found for found in check(normal) if not _overlap(found, problems)])
    return normal


def _overlap(found: Problem, problems: list[Problem]) -> bool:
    """True if a mistake is only what an earlier one left behind: the same value, or something that was not read."""
    places = {problem.place.partition(" ")[2] for problem in problems}
    path = found.place.partition(" ")[2] or found.place
    unread = any("." not in place for place in places)  # a whole file, or a whole section
    inside = any(place.startswith(f"{path}.") for place in places)
    if found.code in ("STW-REFERENCE", "STW-DEPENDS") and (unread or inside):
        return True
    return path in places or found.code == "STW-SERVICE"


def read(paths: Path | Iterable[Path], variables: Mapping[str, Any] | None = None) -> tuple[Normal, list[Problem]]:
    """The normal form as far as it can be read, and the mistakes of all files."""
    names = [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(path) for path in paths]
    if not names:
        raise StowageError(Problem("STW-FILE", "stack", "has no files", "give at least one stack file"))
    known = {name: _text(value) for name, value in (variables or {}).items() if value is not None}
    base = os.path.dirname(os.path.abspath(names[0]))
    normal, problems, readers = Normal(), [], []
    for name in names:
        try:
            document, found = parse(name, _bytes(name))
        except StowageError as error:
            problems += error.problems
            continue
        reader = Reader(document, base, known)
        part = _normal(reader)
        problems += [*found, *reader.problems]
        readers.append(reader)
        places = {**normal.places, **_places(reader)}
        normal = Normal(merge(normal, part))
        normal.places = places
    normal.setdefault("version", DEFAULT_VERSION)
    normal.warnings = _warnings(readers)
    return normal, problems


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bytes(name: str) -> bytes:
    try:
        return read_file(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StowageError(Problem("STW-FILE", name, f"cannot be read: {reason}", "check the path")) from None


def _normal(reader: Reader) -> dict[str, Any]:
    """The normal form of one file; what the services say stays when another section is broken."""
    document = reader.document
    reader.document = document._replace(value=reader.interpolate(document.value))
    made = reader.section((), reader.document.value, "")
    return made if isinstance(made, dict) else {}


def _places(reader: Reader) -> dict[KeyPath, str]:
    """Where the keys stand, for mistakes that show only when the stack is whole."""
    places: dict[KeyPath, str] = {}
    waiting: list[tuple[KeyPath, Any]] = [((), reader.document.value)]
    while waiting:
        path, value = waiting.pop()
        places[path] = reader.place(path, key=True)
        if isinstance(value, dict):
            waiting += [((*path, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            # By their text, because merging files changes the indices.
            texts = ((index, item) for index, item in enumerate(value) if isinstance(item, str))
            places.update({(*path, str(item)): reader.place((*path, index)) for index, item in texts})
    return places


def _warnings(readers: list[Reader]) -> list[str]:
    """One line per thing to know, naming the services it is about."""
    lines: dict[str, set[str]] = {}
    unset: set[str] = set()
    for reader in readers:
        unset |= reader.unset
        for text, scopes in reader.warned.items():
            lines.setdefault(text, set()).update(scopes)
    made = [f"{', '.join(sorted(scopes))}: {text}" for text, scopes in sorted(lines.items())]
    if unset:
        made.append(f"variables not set, read as empty: {', '.join(sorted(unset))}")
    return made
