# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values of a run's secrets in the memory of one process: Ansible's own workers share none, and no disk shall see them.

A program of its own: it reads {socket, pid, started, values: {digest: base64}} from its input, answers requests
{digests: [...]} of the same user with {values: {digest: base64}} on the socket, and ends with process `pid`.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

PR_SET_DUMPABLE = 4
GLANCE = 0.5  # seconds between two looks at the process it serves
LONGEST = 1 << 20  # bytes of a request


def started(pid: int) -> str:
    """Start time of a process in clock ticks since boot; empty if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def ask(path: str, digests: list[str]) -> dict[str, str]:
    """{digest: base64} of those that the holder has. Raises OSError if it is gone."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        line.sendall(json.dumps({"digests": digests}).encode() + b"\n")
        with line.makefile("rb") as answer:
            return dict(json.loads(answer.readline() or b"{}").get("values", {}))


def serve(given: dict[str, Any]) -> None:
    """Answer until the process that it serves is gone."""
    path, values = given["socket"], given["values"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(64)
        os.write(1, b"ready\n")
        try:
            while started(given["pid"]) == given["started"]:
                if select.select([listening], [], [], GLANCE)[0]:
                    line, _address = listening.accept()
                    with line, suppress(OSError, ValueError):
                        _answer(line, values)
        finally:
            os.unlink(path)
            os.rmdir(os.path.dirname(path))


def _answer(line: socket.socket, values: dict[str, str]) -> None:
    line.settimeout(GLANCE * 10)
    _pid, user, _group = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.geteuid():
        return
    with line.makefile("rb") as request:
        wanted = json.loads(request.readline(LONGEST))["digests"]
    found = {key: values[key] for key in wanted if key in values}
    line.sendall(json.dumps({"values": found}).encode() + b"\n")


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0)
    serve(json.load(sys.stdin))
