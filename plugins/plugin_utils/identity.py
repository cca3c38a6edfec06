# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who carries out a run: a process on this machine, for a person or a job, and whether it still lives."""

from __future__ import annotations

import ctypes
import getpass
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils.secrets.holder import started

PR_SET_PDEATHSIG = 1


def controller() -> dict[str, Any]:
    """This run's controller process: {host, boot, pid, started}; a later run can tell whether it still lives."""
    pid = os.getppid()
    return {"host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "started": started(pid)}


def dead(other: Mapping[str, Any] | None) -> bool:
    """True if a lock's controller ran on this machine and is proved to be gone."""
    if not other or other.get("host") != socket.gethostname():
        return False
    if other.get("boot") != _boot_id():
        return True
    return started(int(other["pid"])) != other.get("started")


def die_with_controller() -> None:
    """Have the kernel end this worker when ansible-playbook dies: nobody may go on for a run that is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def holder() -> str:
    """Who runs this, for people: user, machine, AWX job."""
    job = os.environ.get("JOB_ID")
    who = f"{getpass.getuser()}@{socket.gethostname()}"
    return f"{who} (job {job})" if job else who


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else ""
