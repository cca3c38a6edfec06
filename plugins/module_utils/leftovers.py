# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is ours on a host besides containers and the kernel's objects: units, mounts, directories. They are taken away.

Ours are units named stowage-*, mount units with our first line, and four directories. Standard library only.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable

from .errors import Problem, StowageError, show

CODE = "STW-DESTROY"
SYSTEMD = "/run/systemd/system"
UNITS = "/etc/systemd/system"
DROP_IN = "10-stowage-net.conf"
NETWORK = "stowage-net.service"
UNIT = re.compile(r"^stowage-[A-Za-z0-9@_.-]+\.(service|timer|socket|path)$")
MOUNT = "# Written by stowage.fleet.storage."
TREES = ("/usr/local/lib/stowage", "/var/lib/stowage", "/run/stowage", "/etc/stowage")
MOUNTS = "/srv/stowage"
# Which copies of volumes count: as long as the volumes stay, so does this.
CLAIMS = "/var/lib/stowage/volumes.json"


def units(root: str = "/") -> list[str]:
    """Names of our units, but for mounts and the network's, which go last."""
    return [name for name in _listed(root, UNITS) if UNIT.match(name) and name != NETWORK]


def mounts(root: str = "/") -> dict[str, str]:
    """{our mount units: the directory that each mounts}."""
    found = {}
    for name in _listed(root, UNITS):
        text = _text(_path(root, f"{UNITS}/{name}")) if name.endswith(".mount") else ""
        where = re.search(r"^Where=(.+)$", text, re.MULTILINE)
        if text.startswith(MOUNT) and where:
            found[name] = where.group(1)
    return found


def stop_units(names: Iterable[str], check: bool, root: str = "/") -> list[str]:
    """Stop units, and remove them; return what was done. Raises StowageError if one does not stop."""
    names = list(names)
    for name in [] if check else names:
        if os.path.isdir(SYSTEMD):
            _systemctl("disable", "--now", name)
        os.unlink(_path(root, f"{UNITS}/{name}"))
    return [f"stop and remove unit {name}" for name in names]


def unmount(check: bool, root: str = "/") -> list[str]:
    """Remove our mounts, and the directories below /srv/stowage that are empty then."""
    found = mounts(root)
    done = stop_units(found, check, root)
    for where in [] if check else [*found.values(), MOUNTS]:
        if where.startswith(MOUNTS):
            _drop_empty(_path(root, where))
    return done


def forget_units(check: bool, root: str = "/") -> None:
    """Have systemd know that units are gone, and leave no empty directory of drop-ins."""
    if check:
        return
    for folder in ("docker.service.d", "docker.service.wants"):
        _drop_empty(_path(root, f"{UNITS}/{folder}"))
    if os.path.isdir(SYSTEMD):
        _systemctl("daemon-reload")


def trees(keep_claims: bool, root: str = "/") -> list[str]:
    """Our directories that are there and hold anything but what is kept, in the order of removal."""
    kept = {CLAIMS} if keep_claims and claimed(root) else set()
    return [tree for tree in TREES if os.path.lexists(_path(root, tree)) and _goes(root, tree, kept)]


def claimed(root: str = "/") -> bool:
    """True if this host has records of volumes."""
    return _text(_path(root, CLAIMS)).strip() not in ("", "{}")


def refuse_mounted(root: str = "/", proc: str = "/proc") -> None:
    """Raise StowageError if something is mounted below what would be removed, but for file systems in memory."""
    raise_for = [
        Problem(CODE, show(where), "is mounted below a directory of Stowage", "unmount it, then run again")
        for where, kind in _mounted(proc)
        if kind not in ("tmpfs", "ramfs") and _below(where, root)
    ]
    if raise_for:
        raise StowageError(raise_for)


def remove_trees(found: Iterable[str], keep_claims: bool, check: bool, root: str = "/") -> list[str]:
    """Remove these directories; records of volumes stay if asked. Return one line each."""
    found = list(found)
    if not check:
        for where, _kind in _mounted("/proc"):
            if _below(where, root):
                subprocess.run(("umount", where), capture_output=True, check=False)
        for tree in found:
            kept = _text(_path(root, CLAIMS)) if keep_claims and CLAIMS.startswith(f"{tree}/") and claimed(root) else ""
            _remove_tree(_path(root, tree), os.path.basename(CLAIMS) if kept else "")
    return [f"remove directory {tree}" for tree in found]


def _remove_tree(path: str, but: str) -> None:
    if not but:
        shutil.rmtree(path)
        return
    for name in os.listdir(path):
        inner = os.path.join(path, name)
        if name != but:
            shutil.rmtree(inner) if os.path.isdir(inner) and not os.path.islink(inner) else os.unlink(inner)


def _goes(root: str, tree: str, kept: set[str]) -> bool:
    inside = {f"{tree}/{name}" for name in os.listdir(_path(root, tree))}
    return not inside & kept or bool(inside - kept)


def _mounted(proc: str) -> list[tuple[str, str]]:
    """[(where, kind of file system)], the innermost first."""
    found = []
    for line in _text(os.path.join(proc, "self/mountinfo")).splitlines():
        words = line.split()
        if "-" in words[6:]:
            found.append((words[4], words[words.index("-", 6) + 1]))
    return sorted(found, reverse=True)


def _below(where: str, root: str) -> bool:
    return any(where.startswith(f"{_path(root, tree)}/") for tree in TREES)


def _drop_empty(path: str) -> None:
    if os.path.isdir(path) and not os.path.ismount(path) and not os.listdir(path):
        os.rmdir(path)


def _listed(root: str, path: str) -> list[str]:
    folder = _path(root, path)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def _path(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _systemctl(*arguments: str) -> None:
    done = subprocess.run(("systemctl", *arguments), capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        reason = f"systemctl {' '.join(arguments)}: {show(done.stderr.strip()[:200])}"
        raise StowageError(Problem(CODE, arguments[-1], reason, "see its journal on the host, then run again"))
