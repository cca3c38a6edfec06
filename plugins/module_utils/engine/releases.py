# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records of releases on a host: what a stack was when a deploy of it ended well, and which canaries were aborted.

A record is the file <stack>/<at>-<release>-<exact>.json below Paths.releases; at: 20261123T091230Z, release and exact:
12 hex digits each. It is written once and never changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import dumps
from ..errors import Problem
from .files import write_atomic
from .host import Paths, read_json

KEPT = 10  # records of each stack
ABORTED = "aborted.json"
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-([0-9a-f]{12})-[0-9a-f]{12}\.json")
_STACK = re.compile(r"[a-z0-9][a-z0-9_.-]{0,254}")


def listed(paths: Paths) -> dict[str, list[str]]:
    """{stack: names of its records, the newest first}. Other files are no records."""
    found = {}
    for stack in _directory(paths.releases):
        if _STACK.fullmatch(stack):
            names = [name for name in _directory(os.path.join(paths.releases, stack)) if _NAME.fullmatch(name)]
            if names:
                found[stack] = names[::-1]
    return found


def write(paths: Paths, given: Iterable[Mapping[str, str]], check: bool = False) -> bool:
    """Keep records; True if any is new. given: [{stack, name, text}].

    An older record of the same release goes; so do those beyond KEPT. Raises OSError.
    """
    changed = False
    for entry in given:
        stack, name = entry["stack"], entry["name"]
        match = _NAME.fullmatch(name)
        if not match or not _STACK.fullmatch(stack):
            raise OSError(22, "no name of a release record", f"{stack}/{name}")
        folder = os.path.join(paths.releases, stack)
        if os.path.exists(os.path.join(folder, name)):
            continue
        changed = True
        if check:
            continue
        write_atomic(os.path.join(folder, name), entry["text"].encode("utf-8"), mode=0o600)
        names = [one for one in _directory(folder) if _NAME.fullmatch(one)]
        same = [one for one in names if one != name and f"-{match.group(1)}-" in one]
        rest = [one for one in names if one not in same]
        for old in [*same, *rest[:-KEPT]]:
            os.unlink(os.path.join(folder, old))
    return changed


def read(paths: Paths, wanted: Mapping[str, Iterable[str]]) -> tuple[list[dict[str, str]], list[Problem]]:
    """([{stack, name, text}], problems STW-RELEASE) of {stack: names of records}."""
    found, problems = [], []
    for stack, names in sorted(wanted.items()):
        for name in sorted(names):
            place = f"release {stack}/{name}"
            try:
                if not (_NAME.fullmatch(name) and _STACK.fullmatch(stack)):
                    raise OSError(22, "that is no name of a record")
                with open(os.path.join(paths.releases, stack, name), encoding="utf-8") as file:
                    found.append({"stack": stack, "name": name, "text": file.read()})
            except (OSError, ValueError) as error:
                reason = f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
                problems.append(Problem("STW-RELEASE", place, reason, "roll back to another release"))
    return found, problems


def deployed(paths: Paths, stacks: Iterable[str]) -> dict[str, Any]:
    """{service: {service: Service, files: {digest: config}}} of each stack's newest record; none if it is damaged."""
    found: dict[str, Any] = {}
    for stack, names in listed(paths).items():
        if stack not in stacks:
            continue
        record = read_json(os.path.join(paths.releases, stack, names[0]))
        for service in record.get("services") or ():
            used = {entry["digest"] for entry in service["template"].get("files", ())}
            used |= set((service.get("live") or {}).get("files", {}).values())
            files = {key: entry for key, entry in record["files"].items() if key in used}
            found[service["name"]] = {"service": service, "files": files}
    return found


def aborted(paths: Paths) -> dict[str, str]:
    """{service: spec of the version whose canary was aborted}."""
    return {str(name): str(spec) for name, spec in read_json(os.path.join(paths.releases, ABORTED)).items()}


def remember_aborted(paths: Paths, wanted: Mapping[str, str]) -> bool:
    """Remember just these; True if that is new. Raises OSError."""
    if aborted(paths) == dict(wanted):
        return False
    write_atomic(os.path.join(paths.releases, ABORTED), dumps(dict(wanted)).encode("utf-8"), mode=0o600)
    return True


def _directory(path: str) -> list[Any]:
    return sorted(os.listdir(path)) if os.path.isdir(path) else []
