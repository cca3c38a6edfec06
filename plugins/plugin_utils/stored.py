# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Referenced secrets on the controller: versions for a plan, values for a deploy; of the store both by one login."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils import secrets
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import holder, references, settings, sops, vault
from ansible_collections.stowage.fleet.plugins.plugin_utils import encrypted

OBSERVED = "stowage_observed"
LARGEST = 500 * 1024  # bytes of a value, as in Swarm
Entries = Mapping[str, Mapping[str, Any]]
Containers = Callable[[], Iterable[Mapping[str, Any]]]


class Session:
    """What one action asks of the fleet's store; the login is made when the first question comes."""

    def __init__(self, stated: Any, key: str) -> None:
        """stated: stowage_vault; key: stowage_secrets_key, for stores without versions."""
        self._stated, self._fleet, self._key = stated, "", key
        self._store: vault.Store | None = None
        self.closed: Problem | None = None
        self._read: dict[str, bytes] = {}

    def store(self) -> vault.Store:
        """The session. Raises StowageError (STW-VAULT) and vault.StoreError."""
        if self._store is None:
            self._store = vault.Store(settings.read(self._stated))
        return self._store

    def close(self) -> None:
        """End the session, if there is one."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def fill_in(
        self, whole: Mapping[str, Any], fleet: str, containers: Callable[[], Iterable[Mapping[str, Any]]]
    ) -> dict[str, Any]:
        """The compiled stacks with the digests of what the store has now.

        If it gives nothing at all, `closed` tells why, and containers keep what they run with. Raises StowageError with
        one Problem for each reference that it refuses.
        """
        waiting = {key: entry for key, entry in whole["files"].items() if "reference" in entry}
        if not waiting:
            return dict(whole)
        files, stores = _by_source(waiting)
        digests, more = encrypted.digests(files), {}
        if stores:
            told, more = self._told(stores, fleet)
            digests.update(told)
        made = references.filled(whole, digests, more, references.known(containers()))
        return {**whole, **made, "warnings": [*whole["warnings"], *self._warning()]}

    def _told(self, waiting: Entries, fleet: str) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """What the store tells of the secrets; nothing, and `closed`, if it does not speak."""
        stated, self._fleet = settings.read(self._stated), fleet
        try:
            return (self._by_value if stated.version == 1 else self._by_version)(waiting)
        except vault.StoreError as error:
            self.closed = _refused("stowage_vault", error)
            return {}, {}

    def _warning(self) -> list[str]:
        if not self.closed:
            return []
        return [f"{self.closed.reason}: versions of its secrets are not known, what runs counts as the newest"]

    def _by_version(self, waiting: Entries) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        wanted = {key: references.parse(entry["reference"]) for key, entry in waiting.items()}
        versions = self.store().versions(reference.path for reference in wanted.values())
        problems, digests, more = [], {}, {}
        for key, entry in waiting.items():
            found = versions[wanted[key].path]
            if isinstance(found, vault.StoreError):
                if found.closed:
                    raise found
                problems.append(_refused(_place(entry), found))
                continue
            digests[key] = references.version_digest(entry["stack"], entry["name"], entry["reference"], found)
            more[key] = {"version": found.number}
        raise_all(problems)
        return digests, more

    def _by_value(self, waiting: Entries) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        digests = {}
        for key, value in self._values(waiting).items():
            entry = waiting[key]
            digests[key] = secrets.digest(self._fleet, entry["stack"], entry["name"], value, self._key)
            self._read[digests[key]] = value
        return digests, {key: {"version": 0} for key in digests}

    def values(self, needed: Entries) -> dict[str, bytes]:
        """{digest: value} of what a plan hands out. Raises StowageError with every Problem."""
        known = {key: self._read[key] for key in needed if key in self._read}
        files, missing = _by_source({key: entry for key, entry in needed.items() if key not in known})
        if missing and self.closed:
            raise StowageError(self.closed)
        known.update(_limited(encrypted.values(files), files))
        try:
            return {**known, **(self._values(missing) if missing else {})}
        except vault.StoreError as error:
            raise StowageError(_refused("stowage_vault", error)) from None

    def _values(self, wanted: Entries) -> dict[str, bytes]:
        parsed = {key: references.parse(entry["reference"]) for key, entry in wanted.items()}
        at = {key: (parsed[key].path, int(entry.get("version", 0))) for key, entry in wanted.items()}
        answers = self.store().values(at.values())
        found, problems = {}, []
        for key, entry in wanted.items():
            answer = answers[at[key]]
            if isinstance(answer, vault.StoreError) and answer.closed:
                raise answer
            value = _refused(_place(entry), answer) if isinstance(answer, vault.StoreError) else None
            value = value or _value(entry, answer, parsed[key].key)
            if isinstance(value, Problem):
                problems.append(value)
            else:
                found[key] = value
        raise_all(problems)
        return found


def _by_source(entries: Entries) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of encrypted files, and those of the store."""
    files = {key: entry for key, entry in entries.items() if sops.refers(entry["reference"])}
    return files, {key: entry for key, entry in entries.items() if key not in files}


def _limited(values: dict[str, bytes], entries: Entries) -> dict[str, bytes]:
    raise_all([_too_large(entries[key], value) for key, value in values.items() if len(value) > LARGEST])
    return values


def _too_large(entry: Mapping[str, Any], value: bytes) -> Problem:
    code = "STW-SOPS" if sops.refers(entry["reference"]) else "STW-VAULT"
    reason = f"has {len(value)} bytes, at most {LARGEST} are allowed"
    return Problem(code, _place(entry), reason, "put large files into a volume or the image")


def _place(entry: Mapping[str, Any]) -> str:
    return f"secret {entry['name']} ({entry['reference']})"


def _refused(place: str, error: vault.StoreError) -> Problem:
    return Problem("STW-VAULT", place, error.reason, error.fix)


def _value(entry: Mapping[str, Any], answer: Mapping[str, Any], key: str) -> bytes | Problem:
    if key not in answer:
        return Problem("STW-VAULT", _place(entry), "there is no such key at that path", "look at its keys")
    if not isinstance(answer[key], str):
        return Problem("STW-VAULT", _place(entry), "its value is no text", "keep it as a text")
    value = answer[key].encode("utf-8", "surrogatepass")
    return _too_large(entry, value) if len(value) > LARGEST else value


def observed(task_vars: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers that observed hosts told of. Read raw: what a host said is never templated."""
    found: list[Mapping[str, Any]] = []
    for host in task_vars["hostvars"]:
        result = task_vars["hostvars"].raw_get(host).get(OBSERVED)
        seen = result.get("observation") if isinstance(result, Mapping) else None
        found += plain(seen)["containers"] if seen else []
    return found


def hold(values: Mapping[str, bytes], controller: Mapping[str, Any]) -> str:
    """Give the values to a process that ends with the controller's; the path of its socket."""
    path = str(Path(tempfile.mkdtemp(prefix="stowage-")) / "values")
    given = {
        "socket": path,
        "pid": controller["pid"],
        "started": controller["started"],
        "values": {key: base64.b64encode(value).decode("ascii") for key, value in values.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-I", holder.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={},
    )
    process.stdin.write(json.dumps(given).encode())
    process.stdin.close()
    if process.stdout.readline() != b"ready\n":
        reason = "the process that keeps secrets in memory did not start"
        raise StowageError(Problem("STW-VAULT", "this run", reason, "look at the temporary directory"))
    return path


def held(path: str) -> Callable[[str], bytes]:
    """A function digest -> value, asking the holder. It raises StowageError (STW-VAULT)."""

    def value(digest: str) -> bytes:
        try:
            return base64.b64decode(holder.ask(path, [digest])[digest])
        except (OSError, KeyError, ValueError):
            reason = "its value is not at hand any more"
            raise StowageError(Problem("STW-VAULT", f"secret {digest[:12]}", reason, "deploy again")) from None

    return value
