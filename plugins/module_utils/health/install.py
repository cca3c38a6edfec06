# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put the program stowage-health and its unit on this host, or take both away and give back what is withheld."""

from __future__ import annotations

import os
import subprocess

from ..discovery import given as held
from ..engine import files
from ..errors import Problem, StowageError
from ..network.host import apply_ports
from ..programs import program
from . import watch

PROGRAM = "/usr/local/lib/stowage/stowage-health.pyz"
UNIT = "stowage-health.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
SYSTEMD = "/run/systemd/system"
UNIT_TEXT = f"""[Unit]
Description=Containers of the Stowage fleet that do not serve leave this host's names and addresses
After=docker.service stowage-net.service stowage-dns.service

[Service]
ExecStart=/usr/bin/python3 {PROGRAM}
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
"""


def present(check: bool = False) -> list[str]:
    """Have program and unit there and running; one line per change. Raises StowageError (STW-HEALTH)."""
    if not os.path.isdir(SYSTEMD):
        return []  # nobody to run it: such a host is a container of somebody's tests
    wanted = {PROGRAM: program(watch.__name__), UNIT_PATH: UNIT_TEXT.encode()}
    changes = [f"write {path}" for path, data in wanted.items() if files.read(path) != data]
    runs = not _systemctl("is-enabled", UNIT, ask=True) and not _systemctl("is-active", UNIT, ask=True)
    if check:
        return changes + ([] if runs else [f"start {UNIT}"])
    for path, data in wanted.items():
        if files.read(path) != data:
            files.write_atomic(path, data, 0o644)
    if changes:
        _systemctl("daemon-reload")
    if changes or not runs:
        _systemctl("enable", UNIT)
        _systemctl("restart", UNIT)
    return changes + ([] if runs else [f"start {UNIT}"])


def absent(check: bool = False) -> list[str]:
    """Have neither; what is withheld is given back. One line per change."""
    there = [path for path in (UNIT_PATH, PROGRAM) if os.path.exists(path)]
    if check or not there:
        return [f"remove {path}" for path in there]
    if os.path.exists(UNIT_PATH) and os.path.isdir(SYSTEMD):
        _systemctl("disable", "--now", UNIT)
    for path in there:
        os.unlink(path)
    with held.endpoints_lock():
        given = held.read_given()
        if given:
            held.enforce(given, held.local(given, held.read_withheld(always=True)), set(), apply_ports)
        for path in (held.WITHHELD_FILE, held.BEAT_FILE):
            if os.path.exists(f"/{path}"):
                os.unlink(f"/{path}")
    if os.path.isdir(SYSTEMD):
        _systemctl("daemon-reload")
    return [f"remove {path}" for path in there]


def _systemctl(*arguments: str, ask: bool = False) -> bool:
    """Run systemctl; whether it failed, if that is only asked."""
    done = subprocess.run(("systemctl", *arguments), capture_output=True, text=True, check=False)
    if done.returncode and not ask:
        reason = f"systemctl {' '.join(arguments)}: {done.stderr.strip()[:200]!a}"
        raise StowageError(Problem("STW-HEALTH", UNIT, reason, f"look at `journalctl -u {UNIT}` on the host"))
    return done.returncode != 0
