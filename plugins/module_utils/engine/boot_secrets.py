# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets of secrets in memory, and their encrypted copies that bring them back after a reboot.

This file is also the program of stowage-secrets.service, which runs before Docker: it imports nothing of ours.
A set is {path, files: [{at, uid, gid, mode, content}]}: path is its directory below the root of all secrets, `at` a
file below that: `dir/...` is mounted as a directory, `one/...` as single files, `host/...` not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

SECRETS, BUNDLES = "/run/stowage/secrets", "/var/lib/stowage/secrets"
CREDS, SUFFIX = "systemd-creds", ".cred"
MEMORY_FILESYSTEMS = ("tmpfs", "ramfs")
# The first that the kernel has: neither is ever swapped out. noswap came with Linux 6.3; ramfs cannot be bounded.
MOUNTS = (("tmpfs", "mode=0700,size=64m,noswap"), ("ramfs", "mode=0700"))
SAFE = "nosuid,nodev,noexec"
PATIENCE = 60.0  # seconds a program may take
SecretSet = Mapping[str, Any]


class SecretsError(Exception):
    """What could not be done, in words that tell no value."""


def ensure_memory(root: str, proc: str = "/proc") -> bool:
    """Have a file system of its own, never swapped, under all secrets. True if it was mounted now.

    Files of an older layout are taken along. Raises SecretsError.
    """
    if own_mount(root, proc) in MEMORY_FILESYSTEMS:
        return False
    os.makedirs(root, mode=0o700, exist_ok=True)
    stage = f"{root}.new"
    os.makedirs(stage, mode=0o700, exist_ok=True)
    _mount(stage)
    for name in os.listdir(root):
        _copy(os.path.join(root, name), os.path.join(stage, name))
    _run("mount", "--bind", stage, root)
    _run("umount", stage)
    os.rmdir(stage)
    return True


def own_mount(path: str, proc: str = "/proc") -> str:
    """Kind of the file system that is mounted at exactly this path; "" if none is."""
    kind = ""
    try:
        with open(os.path.join(proc, "self/mountinfo"), encoding="utf-8", errors="surrogateescape") as file:
            for fields in (line.split() for line in file):
                if fields[4].replace("\\040", " ") == path:
                    kind = fields[fields.index("-") + 1]
    except OSError:
        return ""
    return kind


def write_set(root: str, wanted: SecretSet) -> None:
    """Put a set's files there: a new one whole, by one rename; in one that is there, file by file.

    Who has the directory mounted sees a file that was renamed into it; one that is mounted alone must keep its inode.
    """
    folder = os.path.join(root, wanted["path"])
    if not os.path.isdir(folder):
        stage = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}.{os.getpid()}")
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        os.mkdir(stage, 0o700)
        for file in wanted["files"]:
            _put(stage, file)
        os.rename(stage, folder)
        return
    for file in wanted["files"]:
        path = os.path.join(folder, file["at"])
        if file["at"].startswith("one/") and os.path.exists(path):
            _overwrite(path, file["content"])
        else:
            _put(folder, file)


def read(path: str) -> bytes | None:
    """A file's content; None if there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def bundle_name(path: str) -> str:
    """Name of a set's encrypted copy, which the copy itself knows: another set's is refused in its place."""
    return path.replace("/", ".")


def keep(bundles: str, wanted: SecretSet, key: str) -> None:
    """Encrypt a set for this host and write it to disk. key: --with-key of systemd-creds. Raises SecretsError."""
    os.makedirs(bundles, mode=0o700, exist_ok=True)
    name = bundle_name(wanted["path"])
    data = _run(CREDS, "encrypt", f"--name={name}", f"--with-key={key}", "-", "-", given=pack(wanted))
    stage = os.path.join(bundles, f".{name}.{os.getpid()}")
    handle = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(stage, os.path.join(bundles, name + SUFFIX))


def restore(root: str, bundles: str) -> list[str]:
    """Write every kept set that is not there. Returns the names of those that could not be opened."""
    failed = []
    for file in sorted(os.listdir(bundles)) if os.path.isdir(bundles) else ():
        name = file[: -len(SUFFIX)]
        if file.startswith(".") or not file.endswith(SUFFIX):
            continue
        try:
            wanted = unpack(_run(CREDS, "decrypt", f"--name={name}", os.path.join(bundles, file), "-"))
            if bundle_name(wanted["path"]) != name:
                raise SecretsError("it is another set's")
            if not os.path.isdir(os.path.join(root, wanted["path"])):
                write_set(root, wanted)
        except (SecretsError, OSError, ValueError, KeyError):
            failed.append(name)
    return failed


def pack(wanted: SecretSet) -> bytes:
    """A set as bytes: one line of JSON that describes it, then the contents one after the other."""
    keys = ("at", "uid", "gid", "mode")
    files = [{**{key: file[key] for key in keys}, "size": len(file["content"])} for file in wanted["files"]]
    head = json.dumps({"path": wanted["path"], "files": files}, sort_keys=True)
    return head.encode() + b"\n" + b"".join(file["content"] for file in wanted["files"])


def unpack(data: bytes) -> dict[str, Any]:
    """The set that pack() made bytes of. Raises ValueError, KeyError."""
    head, _newline, rest = data.partition(b"\n")
    found = json.loads(head)
    for file in found["files"]:
        if ".." in file["at"].split("/") or file["at"].startswith("/"):
            raise ValueError("a file outside the set")
        size = int(file.pop("size"))
        file["content"], rest = rest[:size], rest[size:]
    if ".." in found["path"].split("/") or found["path"].startswith("/") or rest:
        raise ValueError("not a set")
    return dict(found)


def _mount(stage: str) -> None:
    for kind, options in MOUNTS:
        try:
            _run("mount", "-t", kind, "-o", f"{SAFE},{options}", "stowage-secrets", stage)
        except SecretsError:
            continue
        return
    raise SecretsError("neither tmpfs with noswap nor ramfs can be mounted")


def _copy(source: str, target: str) -> None:
    found = os.stat(source)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        for name in os.listdir(source):
            _copy(os.path.join(source, name), os.path.join(target, name))
    else:
        shutil.copyfile(source, target)
    os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, found.st_mode & 0o7777)


def _put(folder: str, file: Mapping[str, Any]) -> None:
    """Write one file of a set by a rename; its directories can be entered by everybody who has them mounted."""
    path = os.path.join(folder, file["at"])
    place = folder
    for part in file["at"].split("/")[:-1]:
        place = os.path.join(place, part)
        if not os.path.isdir(place):
            os.mkdir(place)
            os.chmod(place, 0o755)
    stage = os.path.join(place, f".{os.path.basename(path)}.{os.getpid()}")
    handle = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(handle, "wb") as out:
            out.write(file["content"])
            out.flush()
            if (int(file["uid"]), int(file["gid"])) != (os.geteuid(), os.getegid()):
                os.fchown(out.fileno(), int(file["uid"]), int(file["gid"]))
            os.fchmod(out.fileno(), int(file["mode"]))
        os.replace(stage, path)
    except OSError:
        if os.path.exists(stage):
            os.unlink(stage)
        raise


def _overwrite(path: str, content: bytes) -> None:
    with open(path, "r+b") as file:
        file.write(content)
        file.truncate()


def _run(*command: str, given: bytes | None = None) -> bytes:
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SecretsError(f"{command[0]}: {getattr(error, 'strerror', None) or 'does not end'}") from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"code {done.returncode}"]
        raise SecretsError(f"{command[0]} {command[1]}: {words[0][:200]}")
    return done.stdout


def main() -> int:
    """Mount the memory and restore all sets; 1 if one could not be opened: its containers then do not start."""
    ensure_memory(SECRETS)
    failed = restore(SECRETS, BUNDLES)
    for name in failed:
        sys.stderr.write(f"cannot be opened: {name}; its containers wait for the next deploy\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
