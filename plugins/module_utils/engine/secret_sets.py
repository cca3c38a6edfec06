# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a task's secrets lie on its host and how its container mounts them. Pure: names and mounts only.

A set is an immutable directory named by a digest of its members' keyed digests, owners, modes and targets. Secrets
below /run/secrets are mounted as that directory, the others one by one, and those that only the host uses not at all.
Secrets that change under a running container (x-stowage.on_change) lie in a directory of that container's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import digest, text_digest
from .mounts import read_only

ROOT, DIRECTORY = "/run/stowage/secrets", "/run/secrets"
SETS, LIVE = "sets", "live"
OPEN_MODE = 0o444


def secret_set(
    secrets: Iterable[Mapping[str, Any]], task: Mapping[str, Any], taken: Iterable[str]
) -> dict[str, Any] | None:
    """{path, files: [{name, digest, at, target, uid, gid, mode}]} of a task's secrets; None if it has none.

    secrets: `files` entries of kind secret, digests filled in. taken: targets of the container's other mounts; if one
    is at or below /run/secrets, that directory cannot be mounted whole.
    """
    found = sorted(secrets, key=lambda one: str(one["target"]))
    if not found:
        return None
    whole = not any(target == DIRECTORY or target.startswith(f"{DIRECTORY}/") for target in taken)
    files = [_file(one, whole) for one in found]
    if any(one.get("live") for one in found):
        return {"path": f"{LIVE}/{task['name']}", "files": files}
    keys = ("at", "target", "digest", "uid", "gid", "mode")
    name = digest([[one[key] for key in keys] for one in files])[:32]
    return {"path": f"{SETS}/{task['service']}/{name}", "files": files}


def mounts(wanted: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The Engine's Mounts of a set."""
    if wanted is None:
        return []
    folder = f"{ROOT}/{wanted['path']}"
    whole = (
        [read_only(f"{folder}/dir", DIRECTORY)] if any(one["at"].startswith("dir/") for one in wanted["files"]) else []
    )
    single = [
        read_only(f"{folder}/{one['at']}", one["target"]) for one in wanted["files"] if one["at"].startswith("one/")
    ]
    return whole + single


def _file(one: Mapping[str, Any], whole: bool) -> dict[str, Any]:
    target, mode = str(one["target"]), one.get("mode")
    below = whole and target.startswith(f"{DIRECTORY}/")
    single = f"{'host' if one.get('host') else 'one'}/{text_digest(target)[:16]}"
    return {
        "name": one["name"],
        "digest": one["digest"],
        "at": f"dir/{target[len(DIRECTORY) + 1 :]}" if below else single,
        "target": target,
        "uid": str(one.get("uid") or "0"),
        "gid": str(one.get("gid") or "0"),
        "mode": OPEN_MODE if mode is None else int(mode),
    }
