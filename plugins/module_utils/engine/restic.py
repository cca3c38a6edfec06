# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A restic repository, as far as backups of volumes need one: save a directory or a stream, list, bring back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from ..errors import Problem, StowageError
from .client import printable
from .transfer import SSH, Way, program

INCOMPLETE = 3  # restic's exit code when files could not be read; the snapshot is there
CACHE = "/var/cache/stowage-restic"
SNAPSHOT = re.compile(r"[0-9a-f]{8,64}")
_NO_REPOSITORY = ("Is there a repository at the following location?", "does not exist")


class SftpWay(Way):
    """A way for backups: an sshd that gives one key SFTP in the repository's directory and nothing else."""

    prefix = "stowage-backup"
    more = "Subsystem sftp internal-sftp\nChrootDirectory {directory}\n"

    def forced(self, directory: str) -> str:
        """What the key may do."""
        return "internal-sftp"

    def restic_option(self, share: Mapping[str, Any]) -> str:
        """How restic reaches the other side. share: address, port, host_key."""
        self.know(share)
        return f"sftp.command={SSH.format(folder=self.folder, port=int(share['port']))} root@{share['address']} -s sftp"


class Repository:
    """One repository, with the password in the environment of restic alone."""

    def __init__(self, location: str, secret: Mapping[str, Any], options: Sequence[str] = ()) -> None:
        """Take restic's name of the place, {password, environment}, and `-o` options."""
        self._argv = [program("restic"), "--repo", location, *(word for one in options for word in ("-o", one))]
        given = {str(key): str(value) for key, value in (secret.get("environment") or {}).items()}
        os.makedirs(CACHE, mode=0o700, exist_ok=True)
        home = {"RESTIC_CACHE_DIR": CACHE, "HOME": "/root", "RESTIC_PASSWORD": str(secret["password"])}
        self._env = {**os.environ, **given, **home}

    def ensure(self) -> bool:
        """Make the repository if there is none; True if it was made. Raises STW-BACKUP if it cannot be opened."""
        done = self._plain(["cat", "config"])
        if done.returncode == 0:
            return False
        if not any(text in done.stderr for text in _NO_REPOSITORY):
            raise _failed("cat config", done.stderr)
        made = self._plain(["init"])
        if made.returncode:
            raise _failed("init", made.stderr)
        return True

    def snapshots(self, tags: Sequence[str]) -> list[dict[str, Any]]:
        """[{id, time, host, tags, paths}] with all these tags, the newest first; [] where there is no repository."""
        done = self._plain(["snapshots", "--json", "--no-lock", "--tag", ",".join(tags)])
        if done.returncode and any(text in done.stderr for text in _NO_REPOSITORY):
            return []
        if done.returncode:
            raise _failed("snapshots", done.stderr)
        found = [
            {"id": str(one["short_id"]), "time": str(one["time"])[:19], "host": str(one.get("hostname", ""))}
            | {"tags": list(one.get("tags") or ()), "paths": list(one.get("paths") or ())}
            for one in json.loads(done.stdout or "[]") or []
        ]
        return sorted(found, key=lambda one: str(one["time"]), reverse=True)

    def save(self, directory: str, host: str, tags: Sequence[str], incomplete: bool = False) -> dict[str, Any]:
        """Save a directory: {snapshot, files, bytes, added}. incomplete: files that vanish meanwhile are no failure."""
        argv = [*self._named(host, tags), directory]
        return self._summary(argv, None, (0, INCOMPLETE) if incomplete else (0,))

    def save_stream(self, stream: IO[bytes], name: str, host: str, tags: Sequence[str]) -> dict[str, Any]:
        """Save what a stream gives as one file: {snapshot, files, bytes, added}."""
        return self._summary([*self._named(host, tags), "--stdin", "--stdin-filename", name], stream, (0,))

    def restore(self, snapshot: str, target: str) -> None:
        """Bring a snapshot's files below `target`, and read back every byte."""
        done = self._plain(["restore", snapshot, "--target", target, "--verify", "--no-lock"])
        if done.returncode:
            raise _failed("restore", done.stderr)

    def stream(self, snapshot: str, name: str) -> subprocess.Popen[bytes]:
        """A running restic that gives one file of a snapshot on its standard output."""
        argv = [*self._argv, "dump", "--no-lock", snapshot, f"/{name}"]
        return subprocess.Popen(argv, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def forget(self, snapshot: str) -> None:
        """Take a snapshot off the list; what others share with it stays."""
        self._plain(["forget", snapshot])

    def _named(self, host: str, tags: Sequence[str]) -> list[str]:
        return ["backup", "--json", "--host", host, *(word for tag in tags for word in ("--tag", tag))]

    def _plain(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [*self._argv, *argv]
        return subprocess.run(command, env=self._env, text=True, errors="replace", capture_output=True, check=False)

    def _summary(self, argv: Sequence[str], stream: IO[bytes] | None, good: Sequence[int]) -> dict[str, Any]:
        with tempfile.TemporaryFile() as errors:
            given: Any = stream if stream is not None else subprocess.DEVNULL
            command = [*self._argv, *argv]
            pipes: Any = {"stdin": given, "stdout": subprocess.PIPE, "stderr": errors}
            with subprocess.Popen(command, env=self._env, **pipes) as running:
                found = _last_summary(running.stdout or iter(()))
            errors.seek(0)
            if running.returncode not in good or not found:
                raise _failed("backup", errors.read().decode("utf-8", "replace"))
        return {
            "snapshot": str(found["snapshot_id"])[:8],
            "files": int(found["total_files_processed"]),
            "bytes": int(found["total_bytes_processed"]),
            "added": int(found["data_added"]),
        }


def _last_summary(lines: Iterator[bytes] | IO[bytes]) -> dict[str, Any]:
    """The summary among restic's lines; its many lines of progress are not kept."""
    found: dict[str, Any] = {}
    for line in lines:
        if b'"summary"' in line:
            found = json.loads(line)
    return found


def _failed(what: str, text: str) -> StowageError:
    lines = [line for line in text.strip().splitlines() if line.strip()][-3:] or ["no word of why"]
    told = printable(" / ".join(lines), 400)
    fix = "look at stowage_backup: repository, password, environment"
    return StowageError(Problem("STW-BACKUP", "repository", f"restic {what} failed: {told}", fix))


def missing_tools(over_ssh: bool) -> list[str]:
    """Names of the programs that a backup needs and that are not installed here, sorted."""
    needed = ("restic", "docker", *(("ssh", "ssh-keygen", "sshd", "systemd-run") if over_ssh else ()))
    return sorted(name for name in needed if not program(name))


def clear(directory: str) -> None:
    """Empty a directory."""
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
