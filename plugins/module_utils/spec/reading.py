# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stack files in, the stack's normal form out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Union

from ..errors import Problem, StowageError, raise_all
from ..secrets import refers
from . import depending, forms, forms_host, live, short  # they register the forms  # noqa: F401  # pylint: disable=unused-import
from .check import check
from .project import Project
from .reader import Normal, Reader

DEFAULT_VERSION = "3.13"
Path = Union[str, "os.PathLike[str]"]


class Options(NamedTuple):
    """What the inventory says of a stack: active profiles (`*`: all), and what its services may have of the hosts."""

    profiles: tuple[str, ...] = ()
    host_paths: tuple[str, ...] = ()
    privileged: bool = False
    configs: tuple[tuple[str, str], ...] = ()  # (name of an external one, path of the file that stands for it)
    secrets: tuple[tuple[str, str], ...] = ()
    values: Mapping[str, Any] = {}  # stowage_config_values, for configs that are templates
    baked: Mapping[str, str] = {}  # {repository:tag: digest} of the images that stowage.fleet.bake made
    policy: str = ""  # of its services that state none


PLAIN = Options()


def load(paths: Path | Iterable[Path], variables: Mapping[str, Any] | None = None, options: Options = PLAIN) -> Normal:
    """The normal form of one stack, from one file or several (later ones over earlier ones).

    paths: a path or a list of paths. variables: for interpolation and for environment names without value; None
    values count as not set. Returns a dict in the key shape that `docker stack config` prints (absolute paths,
    durations and sizes as text); it also remembers `places`, `warnings` and `given` for compile_services.
    Raises one StowageError with the mistakes of all files; if there are any, those compile_services would find too.
    """
    normal, problems = read(paths, variables, options)
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
    if found.code == "STW-IMAGE" and any(".extends" in problem.place for problem in problems):
        return True
    return path in places or found.code == "STW-SERVICE"


def read(
    paths: Path | Iterable[Path], variables: Mapping[str, Any] | None = None, options: Options = PLAIN
) -> tuple[Normal, list[Problem]]:
    """The normal form as far as it can be read, and the mistakes of all files."""
    names = [os.fspath(paths)] if isinstance(paths, (str, os.PathLike)) else [os.fspath(path) for path in paths]
    if not names:
        raise StowageError(Problem("STW-FILE", "stack", "has no files", "give at least one stack file"))
    known = {name: _text(value) for name, value in (variables or {}).items() if value is not None}
    project = Project()
    normal = project.files(names, os.path.dirname(os.path.abspath(names[0])), known)
    normal.setdefault("version", DEFAULT_VERSION)
    idle = _leave_out(normal, set(options.profiles))
    _permit(normal, options)
    for kind, given in (("configs", dict(options.configs)), ("secrets", dict(options.secrets))):
        _stand_in(normal.get(kind) or {}, given)
    normal.warnings = _warnings(project.readers)
    normal.given = {"env": known, "values": options.values, "baked": options.baked}
    if idle:
        normal.warnings.append(f"{', '.join(idle)}: not deployed, no profile of theirs is active")
    # A file's own mistakes and those of files that it extends are both with their readers.
    problems = list(dict.fromkeys([*project.problems, *(p for reader in project.readers for p in reader.problems)]))
    return normal, problems


def _leave_out(normal: Normal, active: set[str]) -> list[str]:
    """Take the services out of which no profile is active; returns their names."""
    idle = []
    for name, service in list(normal.get("services", {}).items()):
        profiles = service.pop("profiles", None)
        if profiles and not active & {*profiles, "*"}:
            idle.append(name)
            del normal["services"][name]
    return sorted(idle)


def _permit(normal: Normal, options: Options) -> None:
    """What the inventory allows or forbids is as if each service's x-stowage said so."""
    allowed: dict[str, Any] = {"allow_host_paths": list(options.host_paths)} if options.host_paths else {}
    if options.privileged:
        allowed["allow_privileged"] = True
    usual = {"policy": options.policy} if options.policy else {}
    for service in normal.get("services", {}).values() if allowed or usual else ():
        own = {**usual, **(service.get("x-stowage") or {})}
        paths = [*own.get("allow_host_paths", ()), *allowed.get("allow_host_paths", ())]
        service["x-stowage"] = {**own, **allowed, **({"allow_host_paths": paths} if paths else {})}


def _stand_in(objects: dict[str, Any], given: Mapping[str, str]) -> None:
    """Give external configs or secrets the files that the inventory has for them."""
    for name, item in objects.items():
        path = given.get(str(item.get("name", name))) if isinstance(item, dict) and item.get("external") else None
        rest = {key: value for key, value in item.items() if key != "external"} if isinstance(item, dict) else {}
        if path and refers(path):
            objects[name] = {**rest, "x-stowage": {"from": path}}
        elif path:
            objects[name] = {**rest, "file": path}
        elif (rest.get("x-stowage") or {}).get("from"):
            objects[name] = rest


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


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
