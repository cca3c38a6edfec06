# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shim on this host: a copy of the static busybox and our script, in a directory that containers mount."""

from __future__ import annotations

import os
import struct

from ..errors import Problem, StowageError
from . import files
from .shim import PROGRAM, SCRIPT, SOURCE, TEXT

PT_INTERP = 3  # a program header that asks for an interpreter, which images do not have
FIX = "install the package busybox-static (stowage_shim_package)"


def present(busybox: str, check: bool = False, root: str = "/") -> list[str]:
    """Have program and script there; one line per change. Raises StowageError (STW-SHIM).

    busybox: path of a static one. Under check a busybox that is not installed yet is not missed.
    """
    data = files.read(busybox)
    if data is None and not check:
        raise StowageError(Problem("STW-SHIM", busybox, "is not on this host", FIX))
    if data is not None and not is_static(data):
        raise StowageError(Problem("STW-SHIM", busybox, "is not linked statically: most images could not run it", FIX))
    folder = os.path.join(root, SOURCE[1:])
    wanted = {PROGRAM: data, SCRIPT: TEXT.encode()}
    missing = [name for name, text in wanted.items() if text is None or files.read(os.path.join(folder, name)) != text]
    if missing and not check:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        for name in missing:
            files.write_atomic(os.path.join(folder, name), wanted[name] or b"", 0o755 if name == PROGRAM else 0o644)
    return [f"write {SOURCE}/{name}" for name in missing]


def is_there(root: str) -> bool:
    """Whether this host has the shim."""
    return all(os.path.isfile(os.path.join(root, SOURCE[1:], name)) for name in (PROGRAM, SCRIPT))


def is_static(data: bytes) -> bool:
    """Whether an ELF program needs no interpreter (no program header of type PT_INTERP)."""
    if data[:4] != b"\x7fELF" or len(data) < 64:
        return False
    order, wide = "<" if data[5] == 1 else ">", data[4] == 2
    first = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)[0]
    step, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    kinds = [struct.unpack_from(f"{order}I", data, first + n * step)[0] for n in range(count)]
    return PT_INTERP not in kinds
