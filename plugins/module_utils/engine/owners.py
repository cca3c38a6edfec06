# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who owns a volume with a single writer: a file beside its directory on the network file system names one host.

Containers reach the directory through a link in /run, which every boot empties. Before Docker starts, this file, run as
a program by stowage-owners.service, puts back the links of the volumes that this host still owns: a host that was given
up and comes back finds another owner, and Docker cannot start the old container. Standard library only; runs alone.
"""

from __future__ import annotations

import json
import os
import socket
import sys

LINKS, RECORD, STATE = "run/stowage/owned", "var/lib/stowage/owned.json", "etc/stowage/network.json"
Record = dict[str, str]


def own(volume: str, directory: str, root: str = "/") -> None:
    """Make this host the owner of a volume's directory (of the class, absolute), and link it."""
    _write(_owner_file(directory, root), node(root) + "\n")
    owned = record(root)
    if owned.get(volume) != directory:
        _write(os.path.join(root, RECORD), json.dumps({**owned, volume: directory}, sort_keys=True) + "\n")
    _link(volume, directory, root)


def link_owned(root: str = "/") -> list[str]:
    """Link what this host still owns, and drop the rest from its record; the names of the volumes that were linked."""
    owned, linked = record(root), []
    for volume, directory in sorted(owned.items()):
        if _owner(directory, root) == node(root):
            _link(volume, directory, root)
            linked.append(volume)
    return linked


def record(root: str = "/") -> Record:
    """{volume: directory} that this host owned last."""
    try:
        with open(os.path.join(root, RECORD), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def node(root: str = "/") -> str:
    """This host's name in the fleet."""
    try:
        with open(os.path.join(root, STATE), encoding="utf-8") as file:
            found = json.load(file).get("node")
    except (OSError, ValueError, AttributeError):
        found = None
    return str(found or socket.gethostname())


def _owner_file(directory: str, root: str) -> str:
    parent, name = os.path.split(os.path.join(root, directory.lstrip("/")))
    return os.path.join(parent, f".{name}.owner")


def _owner(directory: str, root: str) -> str:
    try:
        with open(_owner_file(directory, root), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _link(volume: str, directory: str, root: str) -> None:
    path = os.path.join(root, LINKS, volume)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    if os.path.islink(path) and os.readlink(path) == directory:
        return
    stage = f"{path}.{os.getpid()}"
    os.symlink(directory, stage)
    os.replace(stage, path)


def _write(path: str, text: str) -> None:
    stage = f"{path}.{os.getpid()}"
    with open(stage, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(stage, path)


if __name__ == "__main__":
    sys.stdout.write(f"linked: {', '.join(link_owned()) or 'nothing'}\n")
