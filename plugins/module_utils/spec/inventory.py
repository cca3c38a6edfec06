# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the inventory says of its stacks: files, variables, active profiles, permissions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import Problem, raise_all, show
from . import dotenv
from .allow import POLICIES
from .keys import nearest
from .reading import Options

KEYS = (
    *("files", "env", "env_files", "dotenv", "profiles", "allow_host_paths", "allow_privileged"),
    *("configs", "secrets", "policy"),
)
_LISTS = ("files", "env_files", "profiles", "allow_host_paths")
_FILES = ("configs", "secrets")
_SWITCHES = ("dotenv", "allow_privileged")


class Stack(NamedTuple):
    """One stack of the inventory; paths are as stated."""

    files: tuple[str, ...]
    env: Mapping[str, Any] = {}
    env_files: tuple[str, ...] = ()
    dotenv: bool = False
    options: Options = Options()


def stacks(stated: Any, profiles: Any = None) -> dict[str, Stack]:
    """The stacks of stowage_stacks: {name: path, [paths] or mapping with files and more}.

    profiles: stowage_profiles, active in every stack. Raises one StowageError with every mistake.
    """
    fix = "write {stack name: [files]}"
    if not isinstance(stated, Mapping):
        raise_all([Problem("STW-INVENTORY", "stowage_stacks", "is not a mapping", fix)])
    active, problems = _texts(profiles or []), []
    if active is None:
        problems.append(Problem("STW-INVENTORY", "stowage_profiles", "is no list of names", "write [debug]"))
    found = {}
    for name, value in stated.items():
        entry = value if isinstance(value, Mapping) else {"files": value}
        wrong = _mistakes(f"stowage_stacks.{name}", entry)
        problems += wrong
        if not wrong:
            found[str(name)] = _stack(entry, active or ())
    raise_all(problems)
    return found


def _stack(entry: Mapping[str, Any], active: tuple[str, ...]) -> Stack:
    lists = {key: _texts(entry.get(key, ())) or () for key in _LISTS}
    options = Options(
        (*active, *lists["profiles"]),
        lists["allow_host_paths"],
        entry.get("allow_privileged", False),
        _stand_ins(entry, "configs"),
        _stand_ins(entry, "secrets"),
        policy=entry.get("policy", ""),
    )
    return Stack(lists["files"], entry.get("env") or {}, lists["env_files"], entry.get("dotenv", False), options)


def _stand_ins(entry: Mapping[str, Any], kind: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(path)) for name, path in (entry.get(kind) or {}).items()))


def _texts(value: Any) -> tuple[str, ...] | None:
    """A text or a list of texts as a tuple; None if it is neither."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, (list, tuple)) or not all(isinstance(item, str) and item for item in items):
        return None
    return tuple(str(item) for item in items)


def _mistakes(place: str, entry: Mapping[str, Any]) -> list[Problem]:
    found = []
    for key, value in entry.items():
        at = f"{place}.{key}"
        if key not in KEYS:
            fix = nearest(str(key), KEYS) or f"known here: {', '.join(KEYS)}"
            found.append(Problem("STW-INVENTORY", place, f"unknown key {show(str(key))}", fix))
        elif key in _LISTS and _texts(value) is None:
            found.append(Problem("STW-INVENTORY", at, "is neither text nor a list of texts", "write [..]"))
        elif key in _SWITCHES and not isinstance(value, bool):
            found.append(Problem("STW-INVENTORY", at, f"{show(value)} is neither true nor false", "write true"))
        elif key in _FILES and not (isinstance(value, Mapping) and all(isinstance(p, str) for p in value.values())):
            found.append(Problem("STW-INVENTORY", at, "is no mapping of names to files", "write {name: path}"))
        elif key == "policy" and value not in POLICIES:
            found.append(Problem("STW-INVENTORY", at, f"{show(value)} is no policy", "write open or closed"))
        elif key == "env" and not isinstance(value, Mapping):
            found.append(Problem("STW-INVENTORY", at, "is not a mapping", "write {NAME: value}"))
    if not entry.get("files"):
        found.append(Problem("STW-INVENTORY", place, "has no files", "write {files: [stacks/shop.yml]}"))
    return found


def stack_variables(stack: Stack, files: list[str], env_files: list[str], env: Mapping[str, Any]) -> dict[str, Any]:
    """A stack's variables: its .env below its env_files below stowage_env below its own env.

    files and env_files: the stack's, with their directories. Raises StowageError (STW-FILE, STW-ENV).
    """
    given = {**env, **stack.env}
    beside = os.path.join(os.path.dirname(files[0]), ".env")
    paths = [*([beside] if stack.dotenv and os.path.exists(beside) else []), *env_files]
    if not paths:
        return given
    known = {name: str(value) for name, value in given.items() if value is not None}
    return {**dotenv.variables(paths, known), **given}
