# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs as files: named by digest, written by one rename."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import text_digest
from ..errors import Problem
from . import live
from .host import Paths
from .payload import OPEN_MODE, file_name


def write_atomic(path: str, content: bytes, mode: int = OPEN_MODE, uid: int = 0, gid: int = 0) -> None:
    """Put a whole file in place by one rename; a full disk leaves the old one as it was."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    stage = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}")
    try:
        handle = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if (uid, gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), uid, gid)
            os.fchmod(file.fileno(), mode)
        os.replace(stage, path)
    except OSError:
        if os.path.exists(stage):
            os.unlink(stage)
        raise


def deliver(
    paths: Paths, wanted: Iterable[Mapping[str, Any]], given: Mapping[str, Any], check: bool = False
) -> tuple[bool, dict[str, Problem]]:
    """Write the files that are missing or differ. Returns (changed, {digest: why its file is not there}).

    wanted: `files` entries of kind config {name, digest, uid, gid, mode}. given: {files: {digest: base64}}; a file that
    is already there needs no content. Problems are STW-FILE and never tell a content.
    """
    changed, missing = False, {}
    for entry in sorted(wanted, key=file_name):
        path = os.path.join(paths.configs, file_name(entry))
        text = (given.get("files") or {}).get(entry["digest"])
        content = base64.b64decode(text) if text is not None else None
        problem = _refusal(entry, content, path)
        if problem is not None:
            missing[entry["digest"]] = problem
        elif content is not None and read(path) != content:
            changed = True
            if not check:
                problem = _put(path, entry, content)
                missing.update({entry["digest"]: problem} if problem else {})
    return changed, missing


def prune(paths: Paths, keep: Mapping[str, Iterable[str]], mounted: Iterable[str], check: bool = False) -> bool:
    """Remove files of ours that are neither kept nor mounted by any container. keep: {configs, secrets: [digest]}.

    Secrets that lie there as single files were delivered by an earlier version; containers may still have them mounted.
    """
    used = {os.path.realpath(source) for source in mounted}
    surplus = []
    for kind, folder in (("configs", paths.configs), ("secrets", paths.secrets)):
        kept = set(keep.get(kind) or ())
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            path = os.path.join(folder, name)
            if name.split("-")[0] not in kept and os.path.realpath(path) not in used and os.path.isfile(path):
                surplus.append(path)
    for path in () if check else surplus:
        os.unlink(path)
    return bool(surplus)


def _refusal(entry: Mapping[str, Any], content: bytes | None, path: str) -> Problem | None:
    place = f"config {entry['name']}"
    if content is None:
        fix = "make a new plan: the file is sent along with it"
        return None if os.path.exists(path) else Problem("STW-FILE", place, "is not on the host and was not sent", fix)
    if text_digest(content) != entry["digest"]:
        return Problem("STW-FILE", place, "what was sent is not what was planned", "make a new plan")
    return None


def _put(path: str, entry: Mapping[str, Any], content: bytes) -> Problem | None:
    mode = entry.get("mode")
    uid, gid = int(entry.get("uid") or 0), int(entry.get("gid") or 0)
    try:
        if entry.get("live") and os.path.exists(path):
            live.overwrite(path, content)
        else:
            write_atomic(path, content, OPEN_MODE if mode is None else int(mode), uid, gid)
    except OSError as error:
        reason = f"cannot be written: {error.strerror} ({len(content)} bytes to {os.path.dirname(path)})"
        return Problem("STW-FILE", f"config {entry['name']}", reason, "free space on the host")
    return None


def read(path: str) -> bytes | None:
    """The bytes of a file, None if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None
