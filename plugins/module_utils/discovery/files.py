# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files on a host, written so that a watcher sees each change once and a crash leaves the old or the new content."""

from __future__ import annotations

import os

MODE = 0o644


def read(path: str) -> str | None:
    """The file's text, or None if there is no such file. Bytes that are no UTF-8 survive as surrogates."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def replace(path: str, text: str, stage: str, mode: int = MODE) -> None:
    """Put text at path by exactly one rename from the directory `stage` (same file system, not watched).

    The file is complete, synced and of its final mode before the rename; both directories exist afterwards.
    """
    for directory in (stage, os.path.dirname(path)):
        os.makedirs(directory, mode=0o755, exist_ok=True)
    staged = os.path.join(stage, os.path.basename(path))
    if os.path.lexists(staged):
        os.unlink(staged)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    os.rename(staged, path)
    _sync_directory(os.path.dirname(path))


def remove(path: str) -> None:
    """Remove the file if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    _sync_directory(os.path.dirname(path))


def read_all(directory: str) -> dict[str, str]:
    """{name: text} of the regular files in a directory; {} if there is none. Names with a leading dot are skipped."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return {}
    paths = {name: os.path.join(directory, name) for name in names if not name.startswith(".")}
    return {name: read(path) or "" for name, path in paths.items() if os.path.isfile(path)}


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
