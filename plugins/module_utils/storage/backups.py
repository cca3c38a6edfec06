# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where backups go: the inventory's `stowage_backup`, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem, raise_all, show

KEYS = ("repository", "password", "environment")
SCHEMES = ("s3:", "rest:", "b2:", "azure:", "gs:", "swift:", "rclone:", "sftp:")
DIRECTORY, HOST, STORE = "directory", "host", "store"
LEAST_PASSWORD = 12
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_PLAIN = re.compile(r"/[A-Za-z0-9._/-]+")


class Repository(NamedTuple):
    """A restic repository. kind: a directory on the volume's own host, one on another host, or a store restic knows."""

    kind: str
    node: str
    path: str

    def on(self, node: str) -> Repository:
        """The repository as that host reaches it: what is its own is a directory."""
        return Repository(DIRECTORY, "", self.path) if self.kind == HOST and self.node == node else self

    @property
    def shown(self) -> str:
        """The repository for people."""
        return f"{self.node}:{self.path}" if self.node else self.path


def read_backup(stated: Any, nodes: Iterable[str]) -> Repository:
    """The repository of stowage_backup {repository, password, environment}; nodes: names of the fleet's hosts.

    repository: /directory, HOST:/directory, or a store as restic names it (s3:..., rest:...). Raises one StowageError
    (STW-BACKUP) with every mistake; it tells no value but the repository's.
    """
    if not isinstance(stated, Mapping):
        fix = "write {repository: n3:/srv/backups, password: ...} with the password from Ansible Vault"
        raise_all([Problem("STW-BACKUP", "stowage_backup", "is missing or no mapping", fix)])
    problems = [
        Problem("STW-BACKUP", "stowage_backup", f"{show(str(key))} is not a setting", f"known: {', '.join(KEYS)}")
        for key in stated
        if key not in KEYS
    ]
    password, environment = stated.get("password"), stated.get("environment") or {}
    if not isinstance(password, str) or len(password) < LEAST_PASSWORD:
        reason = f"is missing or shorter than {LEAST_PASSWORD} characters"
        fix = "restic encrypts with it: without it no backup can be read"
        problems.append(Problem("STW-BACKUP", "stowage_backup.password", reason, fix))
    if not isinstance(environment, Mapping) or not all(
        isinstance(name, str) and _NAME.fullmatch(name) and isinstance(value, str) and "\0" not in value
        for name, value in environment.items()
    ):
        reason = "is no mapping of variable names to texts"
        fix = 'write {AWS_ACCESS_KEY_ID: "..."}'
        problems.append(Problem("STW-BACKUP", "stowage_backup.environment", reason, fix))
    repository = _repository(str(stated.get("repository") or ""), set(nodes), problems)
    raise_all(problems)
    return repository


def _repository(text: str, nodes: set[str], problems: list[Problem]) -> Repository:
    place, fix = "stowage_backup.repository", f"write /directory, HOST:/directory, or one of {' '.join(SCHEMES)}"
    if text.startswith(SCHEMES) and text.isprintable():
        return Repository(STORE, "", text)
    node, colon, path = text.rpartition(":")
    if not _PLAIN.fullmatch(path) or ".." in path.split("/") or path.strip("/") == "":
        problems.append(Problem("STW-BACKUP", place, f"{show(text)} is no place for backups", fix))
    elif colon and node not in nodes:
        reason = f"{show(node)} is no host of the fleet"
        problems.append(Problem("STW-BACKUP", place, reason, f"known: {', '.join(sorted(nodes))}"))
    return Repository(HOST if colon else DIRECTORY, node, path.rstrip("/"))
