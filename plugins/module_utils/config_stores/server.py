# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet's own etcd: what its inventory says of members and users, and what makes a cluster have those."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import Problem, raise_all, show
from .base import Access, Refused, StoreError
from .etcd import Member, span

CODE = "STW-STORE"
ROOT = "root"
SIZES = (1, 3, 5)
LEAST_PASSWORD = 12
KEYS = ("password", "read", "write")
PATIENCE = 60.0  # seconds that members may take to find each other
READ, WRITE, BOTH = "READ", "WRITE", "READWRITE"
_USER = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_PREFIX = re.compile(r"/[!-~]{0,200}")


class User(NamedTuple):
    """A user: name, password, and {prefix: READ or READWRITE}."""

    name: str
    password: str
    rights: dict[str, str]


def size_problems(hosts: list[str]) -> list[Problem]:
    """What is wrong with so many members."""
    if len(hosts) in SIZES:
        return []
    place, fix = "group stowage_store", "have 1, 3 or 5 hosts in it"
    if not hosts:
        return [Problem(CODE, place, "is empty", fix)]
    reason = f"has {len(hosts)} hosts: more than half must be there, so an even one more only adds one that can fail"
    if len(hosts) % 2:
        reason = f"has {len(hosts)} hosts: every change waits for more than half of them"
    return [Problem(CODE, place, reason, fix)]


def users(stated: Any, password: str) -> list[User]:
    """Users of the inventory, root first. password: root's. Raises StowageError with every mistake.

    stated: stowage_store_users, {name: {password, read: [prefix], write: [prefix]}}; write is read as well.
    """
    problems = _password("stowage_store_password", password)
    if not isinstance(stated or {}, Mapping):
        problems.append(
            Problem(CODE, "stowage_store_users", "is no mapping", "write {name: {password, read: [prefix]}}")
        )
        stated = {}
    found = [User(ROOT, password, {})]
    for name, entry in sorted((stated or {}).items()):
        place = f"stowage_store_users: {name}"
        if not _USER.fullmatch(str(name)) or name == ROOT:
            problems.append(
                Problem(CODE, place, f"{show(name)} is no name of a user", "write small letters and digits")
            )
        if not isinstance(entry, Mapping) or set(entry) - set(KEYS):
            problems.append(Problem(CODE, place, f"has other keys than {', '.join(KEYS)}", "write those alone"))
            continue
        problems += _password(place, entry.get("password"))
        rights = {}
        for key, right in (("read", READ), ("write", BOTH)):
            for prefix in entry.get(key) or ():
                if not _PREFIX.fullmatch(str(prefix)):
                    reason = f"{show(prefix)} is no prefix"
                    problems.append(Problem(CODE, f"{place}: {key}", reason, "write /cfg/production/shop"))
                rights[str(prefix)] = right
        if not rights:
            problems.append(Problem(CODE, place, "may do nothing", "write read: [prefix], or write: [prefix]"))
        found.append(User(str(name), str(entry.get("password") or ""), rights))
    raise_all(problems)
    return found


def _password(place: str, password: Any) -> list[Problem]:
    if isinstance(password, str) and len(password) >= LEAST_PASSWORD and password.isprintable():
        return []
    reason = "has no password" if not password else f"its password is no text of {LEAST_PASSWORD} or more characters"
    return [Problem(CODE, place, reason, "keep one with Ansible Vault")]


class Cluster:
    """The members as root sees them; as nobody while authentication is off."""

    def __init__(self, endpoints: list[str], ca: str, password: str, patience: float = PATIENCE) -> None:
        """Wait for an answer. Raises StoreError."""
        self._access = Access({"endpoints": endpoints}, None, ca, 5.0)
        self._password = password
        until = time.monotonic() + patience
        while True:
            try:
                self.closed = self.opens(ROOT, password) is not None
                self._member = self._as_root()
                return
            except StoreError as error:
                if not error.retry or time.monotonic() > until:
                    raise
                time.sleep(0.5)

    def _as_root(self) -> Member:
        credential = f"{ROOT}:{self._password}" if self.closed else None
        return self._access.first(lambda one: Member(one, self._access._replace(credential=credential)))

    def opens(self, name: str, password: str) -> bool | None:
        """Whether this is a user's password; None while authentication is off. Raises StoreError."""
        access = self._access._replace(credential=f"{name}:{password}")
        try:
            self._access.first(lambda one: Member(one, access))
        except Refused as error:
            if "authentication is not enabled" in error.reason:
                return None
            if name == ROOT or "authentication failed" not in error.reason:
                raise
            return False
        return True

    def rights(self, role: str) -> dict[str, str] | None:
        """{prefix: READ, WRITE or READWRITE} of a role; None if there is none. Raises StoreError."""
        answer = self._known("auth/role/get", {"role": role})
        if answer is None:
            return None
        found = {}
        for one in answer.get("perm") or ():
            key, end = (base64.b64decode(one.get(part, "")) for part in ("key", "range_end"))
            if span(key.decode("utf-8", "replace"))[1] == end:
                found[key.decode()] = str(one.get("permType", READ))
            else:
                found[f"{key.decode('utf-8', 'replace')} (range)"] = str(one.get("permType", READ))
        return found

    def roles(self, name: str) -> list[str] | None:
        """Roles of a user; None if there is no such user. Raises StoreError."""
        answer = self._known("auth/user/get", {"name": name})
        return None if answer is None else list(answer.get("roles") or ())

    def _known(self, method: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            return self._member.call(method, body)
        except Refused as error:
            if "not found" in error.reason:
                return None
            raise

    def call(self, method: str, body: Mapping[str, Any]) -> None:
        """Do one change. Raises StoreError."""
        self._member.call(method, body)


class Change(NamedTuple):
    """One request, and what it does in words."""

    words: str
    method: str
    body: dict[str, Any]


def changes(cluster: Cluster | None, wanted: list[User]) -> list[Change]:
    """What makes a cluster have these users. None: a cluster that is not there yet. Raises StoreError."""
    found: list[Change] = []
    for user in wanted:
        had = cluster.roles(user.name) if cluster else None
        held = cluster.rights(user.name) if cluster else None
        if held is None:
            found.append(Change(f"make role {user.name}", "auth/role/add", {"name": user.name}))
        if user.name != ROOT:
            found += _rights(user, held or {})
        if had is None:
            body = {"name": user.name, "password": user.password}
            found.append(Change(f"make user {user.name}", "auth/user/add", body))
        elif cluster and cluster.closed and not cluster.opens(user.name, user.password):
            body = {"name": user.name, "password": user.password}
            found.append(Change(f"give {user.name} a new password", "auth/user/changepw", body))
        if user.name not in (had or ()):
            words = f"give {user.name} its role"
            found.append(Change(words, "auth/user/grant", {"user": user.name, "role": user.name}))
    if not (cluster and cluster.closed):
        found.append(Change("turn authentication on", "auth/enable", {}))
    return found


def _rights(user: User, held: Mapping[str, str]) -> list[Change]:
    """Rights that are missing, or too many."""
    found = []
    wanted = {prefix.rstrip("/") + "/": right for prefix, right in user.rights.items()}
    for prefix, right in sorted(wanted.items()):
        if held.get(prefix) != right:
            key, end = (base64.b64encode(part).decode() for part in span(prefix))
            body = {"name": user.name, "perm": {"permType": right, "key": key, "range_end": end}}
            verb = "read" if right == READ else "read and write"
            found.append(Change(f"let {user.name} {verb} {prefix}", "auth/role/grant", body))
    for prefix in sorted(set(held) - set(wanted)):
        if not prefix.endswith(" (range)"):
            key, end = (base64.b64encode(part).decode() for part in span(prefix))
            body = {"role": user.name, "key": key, "range_end": end}
            found.append(Change(f"let {user.name} have {prefix} no more", "auth/role/revoke", body))
    return found
