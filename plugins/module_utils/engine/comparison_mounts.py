# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is mounted in a running container, against what would be: the other half of `comparison`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .client import printable

Body = Mapping[str, Any]
_NAMELESS = re.compile(r"^[0-9a-f]{64}$")
# Options of a mount that show at its creation only: the content was copied, the directory was made.
_PAST = ("NoCopy", "CreateMountpoint", "Labels", "DriverConfig")


def mounts(body: Body, running: Body, image: Body) -> list[dict[str, Any]]:
    """Differences of what is mounted where. image: the wanted image's Config (its VOLUMEs are nameless volumes)."""
    requested = body["HostConfig"].get("Mounts") or []
    wanted = {_target(mount["Target"]): _wanted(mount) for mount in requested}
    memory = {_target(path) for path in body["HostConfig"].get("Tmpfs") or {}}
    for path in image.get("Volumes") or {}:
        if _target(path) not in memory:
            wanted.setdefault(_target(path), {"what": "volume without a name", "options": {}})
    there = _there(running)
    picked = {_target(m["Target"]) for m in requested if not (m.get("BindOptions") or {}).get("Propagation")}
    found = []
    for target in sorted({*wanted, *there}):
        one, other = there.get(target), wanted.get(target)
        if one is None or other is None:
            what = f"nothing at {target}, wanted {other['what']}" if other else f"{_what(one)} at {target}, not wanted"
            found.append({"kind": "replace", "words": printable(f"mounts: {what}", 300), "update": {}})
            continue
        if one["what"] != other["what"]:
            words = f"mounts: {one['what']} at {target}, wanted {other['what']}{_advice(one['what'], other['what'])}"
            found.append({"kind": "replace", "words": printable(words, 300), "update": {}})
        elif _options(one, target in picked) != _options(other, target in picked):
            words = f"mounts: other options of the mount at {target}"
            found.append({"kind": "replace", "words": printable(words, 300), "update": {}})
        elif one["what"] == "volume without a name":
            words = f"its volume at {target} has no name: the next container starts with an empty one"
            found.append({"kind": "kept", "words": printable(words, 300), "update": {}})
    return found


def _what(mount: Mapping[str, Any] | None) -> str:
    return str(mount["what"]) if mount else ""


def _target(path: str) -> str:
    return path.rstrip("/") or "/"


def _options(mount: Mapping[str, Any], picked: bool) -> dict[str, Any]:
    """Options that count; a propagation that nobody stated is the Engine's choice."""
    return {key: value for key, value in mount["options"].items() if not (picked and key == "Propagation")}


def _wanted(mount: Mapping[str, Any]) -> dict[str, Any]:
    options = _stated(mount)
    return {"what": _text(mount["Type"], mount.get("Source") or "", bool(mount.get("ReadOnly"))), "options": options}


def _stated(mount: Mapping[str, Any]) -> dict[str, Any]:
    groups = (mount.get(f"{kind}Options") or {} for kind in ("Bind", "Volume", "Tmpfs"))
    return {key: value for group in groups for key, value in group.items() if value and key not in _PAST}


def _there(running: Body) -> dict[str, dict[str, Any]]:
    asked = {_target(mount["Target"]): mount for mount in running["HostConfig"].get("Mounts") or []}
    memory = {_target(path) for path in running["HostConfig"].get("Tmpfs") or {}}
    found = {}
    for mount in _listed(running.get("Mounts") or (), asked):
        target, kind = _target(str(mount["Destination"])), str(mount.get("Type") or "bind")
        if kind == "tmpfs" and target in memory:
            continue
        source = str((mount.get("Name") if kind == "volume" else mount.get("Source")) or "")
        source = "" if kind == "tmpfs" or (kind == "volume" and _NAMELESS.match(source)) else source
        options = _stated(asked.get(target, {}))
        if kind == "bind":
            options["Propagation"] = mount.get("Propagation") or ""
        found[target] = {"what": _text(kind, source, not mount.get("RW", True)), "options": options}
    return found


def _listed(found: Iterable[Mapping[str, Any]], asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The mounts, with those in memory that some Engines leave out of their list."""
    listed = list(found)
    seen = {_target(str(mount["Destination"])) for mount in listed}
    memory = [target for target, mount in asked.items() if mount["Type"] == "tmpfs" and target not in seen]
    read_only = {target: bool(asked[target].get("ReadOnly")) for target in memory}
    return listed + [{"Type": "tmpfs", "Destination": target, "RW": not read_only[target]} for target in memory]


def _text(kind: str, source: str, read_only: bool) -> str:
    name = source.rstrip("/") if kind == "bind" else source
    what = f"{kind} {name}" if name else ("volume without a name" if kind == "volume" else kind)
    return f"{what} (read-only)" if read_only else what


def _advice(there: str, wanted: str) -> str:
    """Most of the time it is the same volume under the project's name."""
    both_named = all(text.startswith("volume ") and text != "volume without a name" for text in (there, wanted))
    return f" (name it {there.split()[1]} in the stack file's volumes)" if both_named else ""
