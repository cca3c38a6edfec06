# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a stack read and put together: several files merged, extends and include followed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, StowageError, show
from . import dotenv
from .document import KeyPath, parse, read_file
from .forms import absolute
from .keys import nearest
from .merge import SECTIONS, merge, merge_service
from .reader import Normal, Reader
from .short import read_service

MAX_FILES = 200  # that one stack may open, by extends and include too
MAX_CHAIN = 32  # services that extend each other, one behind the other
Trail = tuple[str, ...]


class Project:
    """Reads the files of one stack; collects the mistakes and the readers (for their warnings) of all of them."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.problems: list[Problem] = []
        self.readers: list[Reader] = []
        self._opened = 0

    def files(self, names: list[str], base: str, variables: Mapping[str, str], trail: Trail = ()) -> Normal:
        """The normal form of several files, later ones over earlier ones; relative paths start at base."""
        normal = Normal()
        for name in names:
            try:
                reader = self.open_file(name, base, variables)
            except StowageError as error:
                self.problems += error.problems
                continue
            part = self._file(reader, (*trail, os.path.realpath(name)))
            places = {**normal.places, **_places(reader), **part.places}
            normal = Normal(merge(normal, part, reader.document.replaced))
            normal.places = places
        return normal

    def open_file(self, name: str, base: str, variables: Mapping[str, str]) -> Reader:
        """A Reader of a file, its variables replaced; StowageError if it cannot be read at all."""
        self._opened += 1
        if self._opened > MAX_FILES:
            fix = "let files include and extend each other less"
            raise StowageError(Problem("STW-INCLUDE", name, f"is one of more than {MAX_FILES} files", fix))
        document, found = parse(name, _bytes(name))
        reader = Reader(document, base, variables)
        reader.problems += found
        reader.document = document._replace(value=reader.interpolate(document.value))
        self.readers.append(reader)
        return reader

    def _file(self, reader: Reader, trail: Trail) -> Normal:
        """The normal form of one file, with what it extends and includes."""
        made = {} if _version_one(reader) else reader.section((), reader.document.value, "")
        part = Normal(made if isinstance(made, dict) else {})
        services = part.get("services", {})
        bases = _Bases(self, reader)
        for name in services:
            services[name] = bases.extended(services[name], ("services", name), (f"{trail[-1]} {name}",))
        for index, entry in enumerate(part.pop("include", ())):
            part = self._include(reader, ("include", index), entry, part, trail)
        return part

    def _include(self, reader: Reader, path: KeyPath, entry: Mapping[str, Any], part: Normal, trail: Trail) -> Normal:
        """The part with what another project has added; nothing may be in both."""
        names = [absolute(text, reader.base) for text in entry["path"]]
        circle = [name for name in names if os.path.realpath(name) in trail]
        if circle:
            reader.refuse(path, "STW-INCLUDE", f"{show(circle[0])} includes itself", "remove one of the includes")
            return part
        base = absolute(entry.get("project_directory", [os.path.dirname(names[0])])[0], reader.base)
        env_files = [absolute(text, reader.base) for text in entry.get("env_file", ())]
        try:
            variables = dotenv.variables(env_files, reader.variables)
        except StowageError as error:
            self.problems += error.problems
            variables = dict(reader.variables)
        other = self.files(names, base, variables, trail)
        for section in SECTIONS:
            for name, value in other.get(section, {}).items():
                if value != part.get(section, {}).get(name, value):
                    reason = f"{section} {show(name)} is in {show(os.path.basename(names[0]))} too"
                    reader.refuse(path, "STW-INCLUDE", reason, "rename one of them, or give both files to the stack")
        whole = {s: {**other.get(s, {}), **part.get(s, {})} for s in SECTIONS if s in other or s in part}
        made = Normal({**part, **whole})
        made.places = {**other.places, **part.places}
        return made


class _Bases:
    """Resolves `extends` of the services of one file; other files are opened once."""

    def __init__(self, project: Project, reader: Reader) -> None:
        self._project, self._reader = project, reader
        self._others: dict[str, _Bases | None] = {}
        self._made: dict[str, dict[str, Any]] = {}

    def extended(self, service: dict[str, Any], path: KeyPath, trail: Trail) -> dict[str, Any]:
        """The service over what it extends. trail: the services that led here."""
        wanted = service.pop("extends", None)
        if not wanted:
            return service
        at = (*path, "extends")
        file, name = wanted.get("file"), wanted["service"]
        bases = self._of(file, at) if file else self
        if bases is None:
            return service
        base = bases.base(name, at, self._reader, trail)
        replaced = {place[2:] for place in self._reader.document.replaced if place[:2] == path and len(place) > 2}
        return merge_service(base, service, replaced) if base is not None else service

    def base(self, name: str, at: KeyPath, asking: Reader, trail: Trail) -> dict[str, Any] | None:
        """A service of this file, read afresh with what it extends itself; None (and a problem) if there is none."""
        section = self._reader.document.value.get("services")
        services = section if isinstance(section, dict) else {}
        key = f"{os.path.realpath(self._reader.document.name)} {name}"
        if key in trail or len(trail) > MAX_CHAIN:
            reason = "extends itself" if key in trail else f"is more than {MAX_CHAIN} extends away"
            asking.refuse(at, "STW-EXTENDS", f"service {show(name)} {reason}", "remove one of the extends")
            return None
        if name in self._made:
            return dict(self._made[name])
        stated = services.get(name) if name not in services or services[name] is not None else {}
        if not isinstance(stated, dict):
            fix = nearest(name, services) or f"services there: {', '.join(sorted(services)[:12]) or 'none'}"
            asking.refuse(at, "STW-EXTENDS", f"service {show(name)} is not there", fix)
            return None
        path = ("services", name)
        found = len(self._reader.problems)
        made = read_service(self._reader, path, stated)
        if asking is self._reader:
            del self._reader.problems[found:]  # they are told where the service stands
        self._made[name] = self.extended(made, path, (*trail, key))
        return dict(self._made[name])

    def _of(self, file: str, at: KeyPath) -> _Bases | None:
        if "://" in file:
            self._reader.refuse(at, "STW-EXTENDS", f"{show(file)} is not a local file", "fetch it first")
            return None
        name = absolute(file, self._reader.base)
        if name not in self._others:
            self._others[name] = self._opened(name, at)
        return self._others[name]

    def _opened(self, name: str, at: KeyPath) -> _Bases | None:
        try:
            reader = self._project.open_file(name, os.path.dirname(name), self._reader.variables)
        except StowageError as error:
            if error.code == "STW-FILE":
                self._reader.refuse(at, "STW-FILE", f"{show(name)} {error.problems[0].reason}", "check the path")
            else:
                self._project.problems += error.problems
            return None
        return _Bases(self._project, reader)


def _version_one(reader: Reader) -> bool:
    """True (and a problem) if services stand at the top, as in Compose's first version."""
    stated = reader.document.value
    found = [name for name, item in stated.items() if isinstance(item, dict) and {"image", "build"} & set(item)]
    if "services" in stated or not found:
        return False
    fix = "put all of them below services:"
    reader.refuse((found[0],), "STW-KEY", f"service {show(found[0])} stands at the top of the file", fix, key=True)
    return True


def _bytes(name: str) -> bytes:
    try:
        return read_file(name)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StowageError(Problem("STW-FILE", name, f"cannot be read: {reason}", "check the path")) from None


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
