# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inventory variable stowage_config: what services' stores shall hold. Pure, but for reading files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem, raise_all, show
from .base import LARGEST, usable

CODE = "STW-PUBLISH"
KEYS = ("values", "files", "sensitive", "prune", "login")
ReadFile = Callable[[str], bytes]
Service = Mapping[str, Any]


class Wanted(NamedTuple):
    """What one service's store shall hold: {name: content}; names never shown; whether others go; who writes."""

    service: Service
    content: dict[str, bytes]
    sensitive: list[str]
    prune: bool
    login: str


def read(stated: Any, services: Mapping[str, Service], read_file: ReadFile, login: str) -> list[Wanted]:
    """Every entry, sorted by service.

    stated: {service: {values: {key: text, number, list or mapping}, files: {key: path}, sensitive: [key], prune: bool,
    login: text}}. services: {name: Service}. login: who writes where an entry does not say. Raises StowageError with
    every mistake.
    """
    if not isinstance(stated, Mapping) or not stated:
        fix = "write {<stack>_<service>: {values: {key: text}}}; docs/configuration.md"
        raise_all([Problem(CODE, "stowage_config", "says nothing to publish", fix)])
    problems: list[Problem] = []
    found = []
    for name, entry in sorted(stated.items()):
        place = f"stowage_config: {name}"
        known = services.get(name)
        mistakes = _entry(place, known, entry)
        problems += mistakes
        if known is None or mistakes:
            continue
        content, wrong = _content(place, entry, read_file)
        problems += [*wrong, *_required(place, known, content, bool(entry.get("prune")))]
        hidden = list(content) if known["template"]["config"]["type"] == "vault" else list(entry.get("sensitive") or ())
        who = str(entry.get("login") or login or "")
        found.append(Wanted(known, content, hidden, bool(entry.get("prune", False)), who))
    raise_all(problems)
    return found


def _entry(place: str, service: Service | None, entry: Any) -> list[Problem]:
    """Mistakes that forbid to look further."""
    if service is None:
        return [Problem(CODE, place, "there is no such service", "write <stack>_<service>")]
    config = service["template"].get("config")
    if not config:
        return [Problem(CODE, place, "the service has no x-stowage.config_source", "add it to its stack file")]
    if config["type"] == "http":
        return [Problem(CODE, place, "a document behind http is read only", "put it there by what serves it")]
    if not isinstance(entry, Mapping):
        return [Problem(CODE, place, "is no mapping", f"write {', '.join(KEYS)}")]
    problems = [
        Problem(CODE, place, f"key {show(key)} is unknown", f"write {', '.join(KEYS)}")
        for key in entry
        if key not in KEYS
    ]
    for key in ("values", "files"):
        if not isinstance(entry.get(key) or {}, Mapping):
            problems.append(Problem(CODE, f"{place}: {key}", "is no mapping", "write {key: ...}"))
    if not isinstance(entry.get("prune", False), bool):
        problems.append(Problem(CODE, f"{place}: prune", f"{show(entry['prune'])} is no truth", "write true or false"))
    if not isinstance(entry.get("sensitive") or [], list):
        problems.append(Problem(CODE, f"{place}: sensitive", "is no list", "write [key]"))
    return problems


def _content(place: str, entry: Mapping[str, Any], read_file: ReadFile) -> tuple[dict[str, bytes], list[Problem]]:
    values, files = entry.get("values") or {}, entry.get("files") or {}
    found: dict[str, bytes] = {}
    problems = []
    for name, value in values.items():
        found[str(name)] = value.encode() if isinstance(value, str) else json.dumps(value, sort_keys=True).encode()
        if value is None:
            problems.append(Problem(CODE, f"{place}: values.{name}", "has no value", "give it one, or take it out"))
    for name, path in files.items():
        if name in values:
            problems.append(Problem(CODE, f"{place}: files.{name}", "is in values as well", "take one of them out"))
        try:
            found[str(name)] = read_file(str(path))
        except OSError as error:
            reason = f"{show(str(path))}: {error.strerror}"
            problems.append(Problem(CODE, f"{place}: files.{name}", reason, "the path starts at the inventory"))
    for name, content in found.items():
        if not usable(name):
            fix = "write names between single /"
            problems.append(Problem(CODE, place, f"{show(name)} cannot be the name of a file", fix))
        if len(content) > LARGEST:
            reason = f"has {len(content)} bytes, at most {LARGEST} are pulled"
            problems.append(Problem(CODE, f"{place}: {name}", reason, "put large files into a volume or the image"))
    fix = "name a key of values or files"
    for name in entry.get("sensitive") or ():
        if name not in found:
            problems.append(Problem(CODE, f"{place}: sensitive", f"{show(name)} is not published", fix))
    return found, problems


def _required(place: str, service: Service, content: Mapping[str, bytes], prune: bool) -> list[Problem]:
    """Keys that its containers require, and that would not be there when all others are removed."""
    required = service["template"]["config"].get("require") or ()
    absent = [name for name in required if name not in content] if prune else []
    fix = "publish it, or take it from require"
    return [Problem(CODE, place, f"prune would remove {name}, which require names", fix) for name in absent]
