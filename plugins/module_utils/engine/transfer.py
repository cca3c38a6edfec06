# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A way for one directory's data between two hosts, for a while: rsync through an sshd that serves nothing else.

Source: sshd on an address and port of the fleet's underlay, host key and configuration in memory, one authorized key
bound to `rrsync -ro DIRECTORY`, as a transient systemd unit that ends by itself. Target: that key.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ..canonical import text_digest
from ..errors import Problem, StowageError
from .client import printable
from .host import Paths

TOOLS = ("rsync", "rrsync", "ssh", "ssh-keygen", "sshd", "systemd-run")
KEEP = ("-aHAX", "--numeric-ids", "--delete", "--sparse")
SECONDS = 24 * 3600  # how long the sshd lives at most
PUBLIC = re.compile(r"^ssh-ed25519 [A-Za-z0-9+/]{68}$")
_STATS = {"Number of regular files transferred": "sent", "Total transferred file size": "sent_bytes"}
CONFIG = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host
PidFile none
AuthorizedKeysFile {folder}/authorized
PermitRootLogin forced-commands-only
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
AllowTcpForwarding no
StrictModes no
"""


SSH = (
    "ssh -p {port} -i {folder}/client -o UserKnownHostsFile={folder}/known"
    " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=10"
    " -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -F none"
)


class Way:
    """One volume's way. The same on both hosts: each uses its half."""

    prefix = "stowage-move"  # of the unit that the sshd is
    more = ""  # of the sshd's configuration

    def __init__(self, paths: Paths, volume: str) -> None:
        """Take where things are, and the volume's name."""
        self.folder = os.path.join(paths.run, f"{self.prefix.partition('-')[2]}s", text_digest(volume)[:16])
        self.unit = f"{self.prefix}-{text_digest(volume)[:16]}"

    @staticmethod
    def missing_tools() -> list[str]:
        """Names of the programs that are needed and not installed here, sorted."""
        return sorted(name for name in TOOLS if not program(name))

    def measure(self, directory: str) -> tuple[int, int]:
        """(number of entries, bytes of regular files) below a directory; hard links count once each."""
        count = size = 0
        for parent, folders, files in os.walk(directory):
            count += len(folders) + len(files)
            for name in files:
                try:
                    size += os.lstat(os.path.join(parent, name)).st_size
                except FileNotFoundError:
                    continue  # a volume in use
        return count, size

    def key(self) -> str:
        """The public half of this move's key; it is made when it is not there."""
        return self._keypair("client")

    def serve(self, directory: str, share: Mapping[str, Any]) -> str:
        """Start the sshd for `directory`; its host key. share: address, port, key (public). Raises STW-MOVE."""
        if not PUBLIC.match(str(share["key"])):
            raise _problem("the other host's key is none", "look at that host's ssh-keygen")
        self._stop()
        found = self._keypair("host")
        self._write("authorized", f'restrict,command="{self.forced(directory)}" {share["key"]}\n')
        text = CONFIG.format(address=share["address"], port=int(share["port"]), folder=self.folder)
        self._write("config", text + self.more.format(directory=directory))
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        limits = ["--collect", f"--property=RuntimeMaxSec={SECONDS}", "--property=Type=exec"]
        sshd = [program("sshd"), "-D", "-e", "-f", f"{self.folder}/config"]
        _run(["systemd-run", "--quiet", f"--unit={self.unit}", *limits, "--", *sshd])
        return found

    def forced(self, directory: str) -> str:
        """The one command that the key may run."""
        return f"{program('rrsync')} -ro {directory}"

    def know(self, share: Mapping[str, Any]) -> None:
        """Believe the other side's key and no other. share: address, port, host_key. Raises STW-MOVE."""
        if not PUBLIC.match(str(share["host_key"])):
            raise _problem("the other host's key is none", "look at that host's ssh-keygen")
        self._write("known", f"[{share['address']}]:{int(share['port'])} {share['host_key']}\n")

    def fetch(self, directory: str, share: Mapping[str, Any]) -> dict[str, int]:
        """Make `directory` the source's: {sent files, sent_bytes}. share: address, port, host_key. Raises STW-MOVE."""
        text = self._rsync(["--stats", "--no-human-readable"], directory, share)
        found = dict.fromkeys(_STATS.values(), 0)
        for line in text.splitlines():
            name, _colon, value = line.partition(":")
            if name in _STATS:
                found[_STATS[name]] = int(value.split()[0].replace(",", ""))
        return found

    def compare(self, directory: str, share: Mapping[str, Any]) -> None:
        """Raise STW-MOVE if `directory` differs from the source's in any byte, name, owner, mode, time or attribute."""
        told = self._rsync(["--dry-run", "--checksum", "--itemize-changes"], directory, share).splitlines()
        if told:
            raise _problem(f"the copy differs: {printable(told[0], 200)} ({len(told)} in all)", "look who writes to it")

    def close(self) -> bool:
        """Stop the sshd and forget the keys; True if there was anything."""
        there = os.path.isdir(self.folder)
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        return there

    def _rsync(self, options: Sequence[str], directory: str, share: Mapping[str, Any]) -> str:
        self.know(share)
        ssh = SSH.format(folder=self.folder, port=int(share["port"]))
        source = f"root@{share['address']}:/"
        return _run([program("rsync"), *KEEP, *options, "-e", ssh, source, f"{directory}/"], {"LC_ALL": "C"})

    def _keypair(self, name: str) -> str:
        path = os.path.join(self.folder, name)
        if not os.path.exists(f"{path}.pub"):
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            _run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path])
        with open(f"{path}.pub", encoding="ascii") as file:
            return " ".join(file.read().split()[:2])

    def _write(self, name: str, text: str) -> None:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(text)

    def _stop(self) -> None:
        subprocess.run(["systemctl", "stop", f"{self.unit}.service"], capture_output=True, check=False)


def program(name: str) -> str:
    """The path of a program, "" if there is none; some are where only root looks."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin") or ""


def _run(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Standard output of a program. Raises StowageError (STW-MOVE) with the last lines of its errors."""
    env = {**os.environ, **(environment or {})}
    done = subprocess.run(list(argv), text=True, errors="replace", capture_output=True, env=env, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()[-3:] or [f"exit code {done.returncode}"]
        told = printable(" / ".join(lines), 400)
        raise _problem(f"{os.path.basename(argv[0])} failed: {told}", "see docs/volumes.md, when a move stops")
    return done.stdout


def _problem(reason: str, fix: str) -> StowageError:
    return StowageError(Problem("STW-MOVE", "volume", reason, fix))
