# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tools of the kernel: iproute2 in JSON and in batches, sysctls. Errors name the object."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, NamedTuple

ABSENT = re.compile(r"does not exist|No such (file|device)|Cannot find device", re.IGNORECASE)


class NetworkError(Exception):
    """A command of the kernel's tools failed; the text says which and why."""


class Change(NamedTuple):
    """One object to change: `what` for people, and the batch line for `tool` (ip or bridge)."""

    what: str
    tool: str
    line: str


def run(*argv: str, data: str | None = None) -> str:
    """Standard output of a command; NetworkError with its message if it fails."""
    try:
        result = subprocess.run(argv, input=data, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{argv[0]}: {error}") from error
    if result.returncode:
        raise NetworkError(f"{' '.join(argv[:6])}: {result.stderr.strip() or f'exit {result.returncode}'}")
    return result.stdout


def read(tool: str, *arguments: str) -> list[dict[str, Any]]:
    """What `ip -j` or `bridge -j` lists; nothing if the device does not exist."""
    try:
        text = run(tool, "-j", *arguments)
    except NetworkError as error:
        if ABSENT.search(str(error)):
            return []
        raise
    # Deleted objects are listed as empty dicts by some versions.
    return [entry for entry in json.loads(text or "[]") if entry]


def apply(changes: list[Change], check: bool) -> list[str]:
    """Carry the changes out in one batch per run of equal tools; return what they are."""
    position = 0
    while position < len(changes) and not check:
        tool = changes[position].tool
        batch = []
        while position < len(changes) and changes[position].tool == tool:
            batch.append(changes[position])
            position += 1
        try:
            run(tool, "-batch", "-", data="".join(f"{change.line}\n" for change in batch))
        except NetworkError as error:
            failed = re.search(r"Command failed -:(\d+)", str(error))
            what = batch[int(failed.group(1)) - 1].what if failed else "batch"
            raise NetworkError(f"{what}: {error}") from error
    return [change.what for change in changes]


def set_sysctls(wanted: dict[str, str], check: bool) -> list[str]:
    """Give sysctls {path below /proc/sys: value}; return those that differed."""
    done = []
    for key, value in wanted.items():
        path = f"/proc/sys/{key}"
        try:
            with open(path, encoding="ascii") as file:
                found = file.read().strip()
            if found != value and not check:
                with open(path, "w", encoding="ascii") as file:
                    file.write(value)
        except FileNotFoundError:
            found = "" if check and "ipv4" in key else value  # a device to come; IPv6 may be off
        except OSError as error:
            raise NetworkError(f"sysctl {key}: {error}") from error
        if found != value:
            done.append(f"set sysctl {key.replace('/', '.')} {found} -> {value}")
    return done


def sysctl(key: str) -> str:
    """The value of a sysctl by its path below /proc/sys; "" if there is none."""
    try:
        with open(f"/proc/sys/{key}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
