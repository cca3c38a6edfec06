# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Storage classes: network file systems that the hosts mount. A volume there is a directory and follows its service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem, raise_all, show

CODE = "STW-STORAGE"
ROOT = "/srv/stowage"
OWNED = "/run/stowage/owned"
PACKAGES = {  # Debian's, by file system type
    "nfs": ["nfs-common"],
    "nfs4": ["nfs-common"],
    "ceph": ["ceph-common"],
    "glusterfs": ["glusterfs-client"],
    "fuse.sshfs": ["sshfs"],
    "cifs": ["cifs-utils"],
}
KEYS = ("fstype", "source", "options", "path", "single_writer", "packages")
_NAME = re.compile(r"^[a-z0-9][a-z0-9_.-]{0,62}$")
_PATH = re.compile(r"^(/[A-Za-z0-9_][A-Za-z0-9_.-]*)+$")
_WORD = re.compile(r"^[^\s%\"'\\]{1,500}$")  # what a systemd unit takes as it stands


class Class(NamedTuple):
    """One storage class. single_writer: no two hosts may have a volume of it in use at one time."""

    name: str
    fstype: str
    source: str
    options: str
    path: str
    single_writer: bool
    packages: tuple[str, ...]


def read_classes(value: Any) -> dict[str, Class]:
    """{name: Class} of the variable stowage_storage_classes. Raises StowageError (STW-STORAGE) with every mistake."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        fix = "write stowage_storage_classes: {shared: {fstype: nfs, source: 'filer:/export'}}"
        raise_all([Problem(CODE, "stowage_storage_classes", f"is {show(value)}, no mapping", fix)])
    problems: list[Problem] = []
    found = {str(name): _class(str(name), stated, problems) for name, stated in sorted(value.items(), key=str)}
    paths: dict[str, str] = {}
    for name, one in found.items():
        if one.path in paths:
            fix = "give each class a path of its own"
            problems.append(Problem(CODE, _place(name), f"is mounted at {one.path}, like {paths[one.path]}", fix))
        paths[one.path] = name
    raise_all(problems)
    return found


def _place(name: str, key: str = "") -> str:
    return f"stowage_storage_classes.{name}{'.' + key if key else ''}"


def _class(name: str, stated: Any, problems: list[Problem]) -> Class:
    def wrong(key: str, reason: str, fix: str) -> None:
        problems.append(Problem(CODE, _place(name, key), reason, fix))

    if not _NAME.match(name):
        wrong("", f"{show(name)} is no name of a class", "use lower-case letters, digits, - and _")
    if not isinstance(stated, Mapping):
        wrong("", f"is {show(stated)}, no mapping", "state fstype and source")
        stated = {"fstype": "none", "source": "none"}
    for key in sorted(set(map(str, stated)) - set(KEYS)):
        wrong(key, "is not a setting of a class", f"known: {', '.join(KEYS)}")
    text = {key: str(stated.get(key, "")) for key in ("fstype", "source", "options")}
    for key in ("fstype", "source"):
        if not text[key]:
            wrong(key, "is missing", "state what mount(8) takes")
    for key, given in text.items():
        if given and not _WORD.match(given):
            wrong(key, f"{show(given)} has blanks, quotes, % or backslashes", "state it without them")
    path = str(stated.get("path", f"{ROOT}/{name}"))
    if not _PATH.match(path):
        wrong("path", f"{show(path)} is no plain absolute path", f"leave it out for {ROOT}/{name}")
    single = stated.get("single_writer", False)
    if not isinstance(single, bool):
        wrong("single_writer", f"{show(single)} is neither true nor false", "say true or false")
    packages = stated.get("packages", PACKAGES.get(text["fstype"], []))
    if not isinstance(packages, list):
        wrong("packages", f"is {show(packages)}, no list", "list package names, or [] for none")
        packages = []
    names = tuple(str(one) for one in packages)
    return Class(name, text["fstype"], text["source"], text["options"], path, single is True, names)


def mount_units(value: Any, wanted: Iterable[str] | Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What the role storage puts on a host that has the classes `wanted`, in their order.

    value: stowage_storage_classes; wanted: the host's stowage_storage.
    [{name, path, packages, unit (file name), text}].
    Raises StowageError (STW-STORAGE).
    """
    known = read_classes(value)
    # A class that is not described is one that the host has anyway: only placement knows of it.
    return [
        {
            "name": name,
            "path": known[name].path,
            "packages": list(known[name].packages),
            "unit": _unit_name(known[name].path),
            "text": _unit(known[name]),
        }
        for name in sorted(wanted or ())
        if name in known
    ]


def _unit_name(path: str) -> str:
    """systemd's name of the mount unit of a path (systemd-escape --path)."""
    return path.strip("/").replace("-", "\\x2d").replace("/", "-") + ".mount"


def _unit(one: Class) -> str:
    lines = [
        "# Written by stowage.fleet.storage.",
        "[Unit]",
        f"Description=Stowage storage class {one.name}",
        "Wants=network-online.target",
        # Before Docker: containers that start with the host find their data. A mount that fails holds nothing up.
        "After=network-online.target glusterd.service",
        "Before=docker.service stowage-owners.service",
        "",
        "[Mount]",
        f"What={one.source}",
        f"Where={one.path}",
        f"Type={one.fstype}",
        *([f"Options={one.options}"] if one.options else []),
        "TimeoutSec=60",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def place_volumes(
    services: Iterable[Mapping[str, Any]], classes: Mapping[str, Class], fleet: str
) -> tuple[list[dict[str, Any]], list[Problem]]:
    """(the Services, their volumes with a class as directories of it, what is wrong with them).

    A volume of class C named N is the directory PATH/FLEET/N, mounted by the Engine's local driver. Volumes of a class
    that is not described are left as they are.
    """
    problems: list[Problem] = []
    placed = []
    for service in services:
        volumes = []
        for volume in service["volumes"]:
            one = classes.get(str(volume.get("class") or ""))
            volumes.append(volume if one is None else {**volume, **_directory(one, fleet, volume["name"])})
            if one is not None and one.single_writer:
                problems += _too_many(service, volume, one)
        placed.append({**service, "volumes": volumes})
    return placed, problems


def _directory(one: Class, fleet: str, volume: str) -> dict[str, Any]:
    directory = f"{one.path}/{fleet}/{volume}"
    # A single writer's directory is reached through a link that only the host has that owns it now (engine.owners).
    device = f"{OWNED}/{volume}" if one.single_writer else directory
    options = {"type": "none", "o": "bind", "device": device}
    found = {"driver": "local", "driver_opts": options, "mount": one.path, "directory": directory}
    return {**found, "single_writer": one.single_writer}


def _too_many(service: Mapping[str, Any], volume: Mapping[str, Any], one: Class) -> list[Problem]:
    own = ".Task.Slot" in volume["name"]
    place, found = f"{service['name']}: volume {volume['name']}", []
    if (service["mode"].startswith("global") or service["replicas"] > 1) and not own:
        many = "a global service" if service["mode"].startswith("global") else f"{service['replicas']} replicas"
        fix = "use one replica, one volume per slot ({{.Task.Slot}} in its name), or a class for many writers"
        found.append(Problem(CODE, place, f"class {one.name} has a single writer, {many} would write", fix))
    if service["update"]["order"] != "stop-first":
        fix = "say update_config.order: stop-first"
        found.append(Problem(CODE, place, f"class {one.name} has a single writer, order is start-first", fix))
    return found
