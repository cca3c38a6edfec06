# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""stowage-config.service as systemd knows it. Standard library only: every start of containers asks whether it runs."""

from __future__ import annotations

import os
import subprocess

PROGRAM = "/usr/local/lib/stowage/stowage-config.pyz"
UNIT = "stowage-config.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
SYSTEMD = "/run/systemd/system"
ENABLED = f"/etc/systemd/system/docker.service.wants/{UNIT}"
UNIT_TEXT = f"""[Unit]
Description=Configuration that containers of the Stowage fleet pull when they start
RequiresMountsFor=/var/lib/stowage
After=stowage-secrets.service
Before=docker.service

[Service]
Type=notify
ExecStart=/usr/bin/python3 {PROGRAM}
Restart=always
RestartSec=1

[Install]
WantedBy=docker.service
"""


def is_there(root: str = "/") -> bool:
    """Whether bootstrap has put it on this host."""
    return all(os.path.isfile(os.path.join(root, path[1:])) for path in (PROGRAM, UNIT_PATH))


def running(root: str = "/") -> str:
    """Have it enabled and running; why it is not, or ""."""
    if not os.path.isdir(os.path.join(root, SYSTEMD[1:])):
        return "there is no systemd to run it"
    commands = [("is-active", UNIT)] if os.path.exists(os.path.join(root, ENABLED[1:])) else [("enable", UNIT)]
    for command in [*commands, ("start", UNIT)]:
        done = subprocess.run(("systemctl", *command), capture_output=True, text=True, check=False)
        if command[0] == "is-active" and not done.returncode:
            return ""
        if done.returncode and command[0] != "is-active":
            return f"systemctl {' '.join(command)}: {done.stderr.strip()[:200]!a}"
    return ""
