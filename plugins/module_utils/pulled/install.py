# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put the program and the unit of stowage-config.service on this host; it runs once a container needs it."""

from __future__ import annotations

import os
import subprocess

from ..engine import files
from ..errors import Problem, StowageError
from ..programs import program
from . import serve
from .unit import PROGRAM, SYSTEMD, UNIT, UNIT_PATH, UNIT_TEXT


def present(check: bool = False, root: str = "/") -> list[str]:
    """Have program and unit there, and a unit that runs begun anew; one line per change. Raises StowageError."""
    if not os.path.isdir(os.path.join(root, SYSTEMD[1:])):
        return []  # nobody to run it
    wanted = {PROGRAM: program(serve.__name__), UNIT_PATH: UNIT_TEXT.encode()}
    changed = [path for path, data in wanted.items() if files.read(os.path.join(root, path[1:])) != data]
    for path in () if check else changed:
        files.write_atomic(os.path.join(root, path[1:]), wanted[path], 0o644)
    for command in (("daemon-reload",), ("try-restart", UNIT)) if changed and not check else ():
        done = subprocess.run(("systemctl", *command), capture_output=True, text=True, check=False)
        if done.returncode:
            reason = f"systemctl {' '.join(command)}: {done.stderr.strip()[:200]!a}"
            raise StowageError(Problem("STW-SHIM", UNIT, reason, f"look at `journalctl -u {UNIT}` on the host"))
    return [f"write {path}" for path in changed]
