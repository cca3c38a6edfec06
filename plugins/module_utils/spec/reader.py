# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One file's keys walked by the table: unknown and unsupported keys refused, values brought into their normal form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Problem, show
from .document import Document, KeyPath, path_text
from .interpolation import InterpolationError, Substituted, substitute
from .keys import REFUSED, WARNED, Key, children, nearest


class _Dropped:
    """What a form returns for a value that says nothing (Docker leaves it out) or that was refused."""


DROP = _Dropped()
Form = Callable[["Reader", KeyPath, Any], Any]
FORMS: dict[str, Form] = {}


class Entry(dict[str, Any]):
    """An item of a list in normal form that remembers its place in the file."""

    place: str = ""


class Normal(dict[str, Any]):
    """A stack in normal form (a plain dict in every other respect) that remembers places, warnings, values given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what dict takes."""
        super().__init__(*args, **kwargs)
        self.places: dict[KeyPath, str] = {}
        self.warnings: list[str] = []
        self.given: dict[str, Mapping[str, Any]] = {}  # env, values: what configs that are templates may use


def form(*names: str) -> Callable[[Form], Form]:
    """Register a function as the form(s) of these names in the key table."""

    def register(function: Form) -> Form:
        FORMS.update(dict.fromkeys(names, function))
        return function

    return register


class Reader:
    """Reads one Document: collects problems and warnings, knows the variables and the directory of the first file."""

    def __init__(self, document: Document, base: str, variables: Mapping[str, str]) -> None:
        """Take the Document, the directory that relative paths start from, and the variables."""
        self.document = document
        self.base = base
        self.variables = variables
        self.problems: list[Problem] = []
        self.warned: dict[str, set[str]] = {}
        self.unset: set[str] = set()

    def place(self, path: KeyPath, key: bool = False) -> str:
        """`file:line:col services.web.ports[0]`; the position of the key, or of its value."""
        line, column = (self.document.key_marks if key else {}).get(path) or self._mark(path)
        return f"{self.document.name}:{line}:{column} {path_text(path)}".rstrip()

    def _mark(self, path: KeyPath) -> tuple[int, int]:
        while path and path not in self.document.marks:
            path = path[:-1]
        return self.document.marks.get(path, (1, 1))

    def refuse(self, path: KeyPath, code: str, reason: str, fix: str = "", key: bool = False) -> _Dropped:
        """Note a problem; returns DROP, so that a form can return it."""
        self.problems.append(Problem(code, self.place(path, key), reason, fix if fix.isprintable() else show(fix)))
        return DROP

    def type_error(self, path: KeyPath, value: Any, wanted: str, fix: str = "") -> _Dropped:
        """Note a value of the wrong type."""
        kind = "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else show(value)
        return self.refuse(path, "STW-TYPE", f"{kind} stands where {wanted} is expected", fix)

    def warn(self, text: str, where: KeyPath) -> None:
        """Note a warning; the same text for several services is one warning."""
        scope = str(where[1]) if len(where) > 1 else str(where[0]) if where else ""
        self.warned.setdefault(text, set()).add(scope)

    def read(self, name: str, path: KeyPath, value: Any) -> Any:
        """A value brought into the form of this name (`form` or `form:table path`)."""
        kind, _colon, argument = name.partition(":")
        if argument:
            return {"section": self.section, "sections": self.sections, "names": self.names}.get(
                kind, self._with_argument
            )(path, value, argument)
        return FORMS[kind](self, path, value)

    def _with_argument(self, path: KeyPath, value: Any, argument: str) -> Any:
        return FORMS["references"](self, path, (value, argument))

    def section(self, path: KeyPath, value: Any, prefix: str) -> Any:
        """A mapping with the keys of the table below prefix."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            return self.type_error(path, value, "a mapping")
        rows, made = children(prefix), {}
        for name, item in value.items():
            row = rows.get(name)
            if row is None and name.startswith("x-"):
                made[name] = item
            elif row is None:
                self._unknown((*path, name), name, rows)
            elif item is not None:
                read = self._known((*path, name), row, item)
                if read is not DROP:
                    made[name] = read
        return made

    def _known(self, path: KeyPath, row: Key, item: Any) -> Any:
        if row.verdict == REFUSED and item is not False:
            self.refuse(path, "STW-UNSUPPORTED", f"{path[-1]} is not supported", row.stowage, key=True)
        elif row.verdict == WARNED:
            self.warn(f"{path[-1]}: {row.stowage}", path)
        return self.read(row.form, path, item)

    def _unknown(self, path: KeyPath, name: str, rows: Mapping[str, Key]) -> None:
        known = [row for row, key in rows.items() if key.verdict != REFUSED]
        fix = nearest(name, known) or f"known here: {', '.join(sorted(known)[:12])}"
        self.refuse(path, "STW-KEY", f"unknown key {show(name)}", fix, key=True)

    def sections(self, path: KeyPath, value: Any, prefix: str) -> Any:
        """A list of such mappings."""
        if not isinstance(value, list):
            return self.type_error(path, value, "a list")
        made = []
        for index, item in enumerate(value):
            read = self.section((*path, index), item, prefix)
            if read is not DROP:
                made.append(self.entry((*path, index), read))
        return made or DROP

    def names(self, path: KeyPath, value: Any, prefix: str) -> Any:
        """A mapping of free names to such mappings, as networks and volumes at the top level."""
        if not isinstance(value, dict):
            return self.type_error(path, value, "a mapping of names")
        made = {}
        for name, item in value.items():
            read = item if name.startswith("x-") else self.section((*path, name), item, prefix)
            if read is not DROP:
                made[name] = FORMS["named"](self, (*path, name), read) if isinstance(read, dict) else read
        return made or DROP

    def entry(self, path: KeyPath, value: Mapping[str, Any]) -> Entry:
        """A list item with its place."""
        made = Entry(value)
        made.place = self.place(path)
        return made

    def interpolate(self, value: Any, path: KeyPath = ()) -> Any:
        """The value with the variables in its texts replaced; keys are left as they are."""
        if isinstance(value, dict):
            return {name: self.interpolate(item, (*path, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.interpolate(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            made = substitute(value, self.variables, self.unset)
        except InterpolationError as error:
            self.refuse(path, "STW-VARIABLE", f"{show(value)}: {error}")
            return value
        return made if made != value else value


def literal(value: Any) -> str:
    """Text of a scalar that came through a variable or not, without the mark."""
    return str.__str__(value) if isinstance(value, Substituted) else str(value)
