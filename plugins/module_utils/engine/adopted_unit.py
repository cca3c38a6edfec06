# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The program and the unit that keep the routes of adopted containers, put on the host by who adopts them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from ..errors import Problem, StowageError
from . import adopted_routes
from .client import printable
from .files import write_atomic

SCRIPT = "/usr/local/lib/stowage/stowage-adopted"
UNIT = "stowage-adopted.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
SYSTEMD = "/run/systemd/system"
UNIT_TEXT = f"""[Unit]
Description=Routes of containers that Stowage took over
After=docker.service stowage-net.service
ConditionPathExists={adopted_routes.ADOPTED}

[Service]
ExecStart={SCRIPT}
Restart=on-failure
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def ensure_unit(check: bool = False) -> bool:
    """Have the routes there now, and the unit running that puts them again. True if program or unit were others.

    Raises StowageError (STW-ADOPT-ROUTES).
    """
    loader: Any = adopted_routes.__spec__.loader if adopted_routes.__spec__ else None
    source = loader.get_source(adopted_routes.__name__)
    text = source.decode("utf-8") if isinstance(source, bytes) else str(source)
    wanted = {SCRIPT: (f"#!{sys.executable}\n{text}", 0o755)}
    if os.path.isdir(SYSTEMD):
        wanted[UNIT_PATH] = (UNIT_TEXT, 0o644)
    changed = [path for path, (content, _mode) in wanted.items() if _read(path) != content]
    if check:
        return bool(changed)
    for path in changed:
        write_atomic(path, wanted[path][0].encode(), mode=wanted[path][1])
    if os.path.isdir(SYSTEMD):
        _systemd(bool(changed))
    _run(SCRIPT, "--once")
    return bool(changed)


def _systemd(anew: bool) -> None:
    if anew:
        _run("systemctl", "daemon-reload")
        _run("systemctl", "enable", UNIT)
    _run("systemctl", "restart" if anew else "start", UNIT)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        reason = f"{' '.join(command)} failed: {printable(done.stderr, 200)}"
        fix = f"look at `systemctl status {UNIT}` on the host, then adopt again"
        raise StowageError(Problem("STW-ADOPT-ROUTES", "routes of adopted containers", reason, fix))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
