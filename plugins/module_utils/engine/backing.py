# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's part in a backup or a restore of a volume: save it, bring a copy back, put it in the place of the old one.

What stops its users starts them again in the same call, also when something fails: a controller that dies leaves
nothing stopped. The old data is kept beside a restored volume, as volume `<name>.before`.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, StowageError
from . import errand, host, moving, records, volumes
from .client import Engine, printable
from .labels import volume_labels
from .restic import Repository, SftpWay, clear, missing_tools
from .transfer import program

LOCKED = ("save", "fetch", "swap", "load")  # under this run's lease
BESIDE = ".before"  # ends the name of the volume that holds the data from before a restore
READY = 120.0  # seconds that a user which was stopped may take to serve again
EXCHANGE, AT_FDCWD = 2, -100  # renameat2(2)
Share = Mapping[str, Any]
Found = errand.Found


def back_up(request: Mapping[str, Any], root: str = "/", check: bool = False, engine: Engine | None = None) -> Found:
    """Carry out request["mode"]: {changed, problems: [Problem as dict], seconds} and what the mode finds.

    request: the parameters of module host_backup. engine: for tests.
    """
    asked = {**request, "share": {**request["share"], "secret": request["secret"] or {}}}
    return errand.run(errand.Kind(MODES, LOCKED), asked, root, check, engine)


def look(engine: Engine, paths: host.Paths, share: Share) -> Found:
    """What this host has of a volume (moving.look), and the snapshots it can see.

    share: fleet, volume, over_ssh, and `repository` where this host is the one to ask it.
    """
    found = {**moving.look(engine, paths, share), "missing": missing_tools(bool(share.get("over_ssh")))}
    if not share.get("repository") or "restic" in found["missing"]:
        return found
    tags = [f"fleet={share['fleet']}", f"volume={share['volume']}", "kind"]
    repository = Repository(share["repository"], share["secret"])
    return {**found, "snapshots": repository.snapshots(tags[:2])}


def _key(engine: Engine, paths: host.Paths, share: Share) -> Found:
    return {"changed": True, "key": SftpWay(paths, share["volume"]).key()}


def _serve(engine: Engine, paths: host.Paths, share: Share) -> Found:
    """On the repository's host: SFTP in its directory, for that key. share: + directory, address, port, key."""
    os.makedirs(share["directory"], mode=0o700, exist_ok=True)
    return {"changed": True, "host_key": SftpWay(paths, share["volume"]).serve(share["directory"], share)}


def _close(engine: Engine, paths: host.Paths, share: Share) -> Found:
    return {"changed": SftpWay(paths, share["volume"]).close()}


def _repository(paths: host.Paths, share: Share) -> Repository:
    """The repository: as it stands, or over the way when there is one."""
    options = []
    if share.get("host_key"):
        options = [SftpWay(paths, share["volume"]).restic_option(share)]
    return Repository(share["repository"], share["secret"], options)


def _save(engine: Engine, paths: host.Paths, share: Share) -> Found:
    """Save a volume: {snapshot, files, bytes, added, stopped: seconds}. share: + node, repository, graces, dump."""
    repository = _repository(paths, share)
    repository.ensure()
    tags = [f"fleet={share['fleet']}", f"volume={share['volume']}", f"stack={share['stack']}"]
    if share.get("dump"):
        return {"changed": True, **_save_dump(engine, repository, share, [*tags, "kind=dump"])}
    return {"changed": True, **_save_files(engine, repository, share, [*tags, "kind=files"])}


def _save_files(engine: Engine, repository: Repository, share: Share, tags: list[str]) -> Found:
    """A first pass while the users run, so that the one they are stopped for is short."""
    directory = moving.directory_of(engine, share)
    seed = ""
    if _running(engine, share):
        seed = str(repository.save(directory, share["node"], ["seed"], incomplete=True)["snapshot"])
    stopped = 0.0
    try:
        with _Stopped(engine, share) as still:
            saved = repository.save(directory, share["node"], tags)
        stopped = still.seconds
    finally:
        if seed:
            repository.forget(seed)
    return {**saved, "stopped": stopped}


def _save_dump(engine: Engine, repository: Repository, share: Share, tags: list[str]) -> Found:
    """What the service's own command says, as a stream; a dump that failed is no backup."""
    argv = ["exec", _serving(engine, share), *share["dump"]]
    with subprocess.Popen([program("docker"), *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        stream: Any = running.stdout
        saved = repository.save_stream(stream, share["volume"], share["node"], tags)
        stream.close()
        errors = running.stderr.read() if running.stderr else b""
    if running.returncode or not saved["bytes"]:
        repository.forget(str(saved["snapshot"]))
        raise _told("dump", running.returncode, errors)
    return {**saved, "stopped": 0.0}


def _fetch(engine: Engine, paths: host.Paths, share: Share) -> Found:
    """Bring a snapshot back: beside the volume where it is here, else as the volume itself, not whole yet.

    share: + repository, snapshot, path (the directory as it was saved), beside, generation, from.
    """
    name = share["volume"] + (BESIDE if share["beside"] else "")
    there, claim = {str(one["Name"]) for one in engine.volumes()}, volumes.claim(paths, name) or {}
    if name in there and claim.get("state") not in (volumes.INCOMING, volumes.RETIRED if not share["beside"] else ""):
        fix = f"look what is in it, then `docker volume rm {name}`"
        raise StowageError(Problem("STW-VOLUME", f"volume {name}", "is there already", fix))
    if name not in there:
        engine.create_volume(name, "local", {}, volume_labels(share["fleet"], share["stack"], name))
    stated = {"fleet": share["fleet"], "stack": share["stack"], "driver": "local", "peer": share["from"]}
    volumes.mark(paths, name, **stated, state=volumes.INCOMING, generation=share["generation"])
    directory = moving.directory_of(engine, {**share, "volume": name})
    clear(directory)
    stage = os.path.join(os.path.dirname(directory), "stowage-restore")
    if os.path.isdir(stage):
        clear(stage)
    _repository(paths, share).restore(share["snapshot"], stage)
    os.rmdir(directory)
    os.rename(os.path.join(stage, share["path"].lstrip("/")), directory)
    clear(stage)
    os.rmdir(stage)
    count, size = SftpWay(paths, name).measure(directory)
    return {"changed": True, "files": count, "bytes": size}


def _swap(engine: Engine, paths: host.Paths, share: Share) -> Found:
    """Put the restored copy in the volume's place, in one step; the old data stays in the volume beside it."""
    beside = share["volume"] + BESIDE
    old, new = (moving.directory_of(engine, {**share, "volume": name}) for name in (share["volume"], beside))
    with _Stopped(engine, share) as still:
        _exchange(old, new)
        volumes.mark(paths, beside, state=volumes.RETIRED, peer="")
        claim = volumes.claim(paths, share["volume"]) or {}
        volumes.mark(paths, share["volume"], **{**claim, "fleet": share["fleet"], "stack": share["stack"]})
    return {"changed": True, "stopped": still.seconds}


def _load(engine: Engine, paths: host.Paths, share: Share) -> Found:
    """Give a dump to the service's own command. share: + repository, snapshot, load."""
    repository, container = _repository(paths, share), _serving(engine, share)
    source = repository.stream(share["snapshot"], share["volume"])
    argv = [program("docker"), "exec", "-i", container, *share["load"]]
    done = subprocess.run(argv, stdin=source.stdout, capture_output=True, check=False)
    if source.stdout:
        source.stdout.close()
    errors = source.stderr.read() if source.stderr else b""
    if source.wait():
        raise _told("dump of the snapshot", source.returncode, errors)
    if done.returncode:
        raise _told("load", done.returncode, done.stderr)
    return {"changed": True, "stopped": 0.0}


class _Stopped:
    """The volume's running users, stopped for the time of a `with`, and serving again after it."""

    def __init__(self, engine: Engine, share: Share) -> None:
        self._engine, self._share = engine, share
        self._names: list[str] = []
        self._began = time.monotonic()
        self.seconds = 0.0

    def __enter__(self) -> _Stopped:
        self._began = time.monotonic()
        try:
            for user in _running(self._engine, self._share):
                self._names.append(user["name"])
                self._engine.stop(user["name"], float(self._share["graces"].get(user["service"], 10.0)))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        for name in self._names:
            self._engine.start(name)
        self.seconds = round(_until_ready(self._engine, self._names) - self._began, 1) if self._names else 0.0


def _until_ready(engine: Engine, names: list[str]) -> float:
    """The moment when all of these run, and are healthy where they have a health check; or when patience ends."""
    end = time.monotonic() + READY
    while time.monotonic() < end:
        found = {records.name_of(entry): records.container(entry) for entry in engine.containers()}
        waiting = [
            name
            for name in names
            if found.get(name, {}).get("state") != "running" or found[name]["health"] not in ("none", "healthy")
        ]
        if not waiting:
            break
        time.sleep(0.2)
    return time.monotonic()


def _running(engine: Engine, share: Share) -> list[dict[str, Any]]:
    """The running users of the volume. Raises STW-VOLUME if one of them is not this fleet's."""
    users = [one for one in moving.users(engine, share) if one["state"] in records.RUNNING_STATES]
    for user in users:
        if not user["ours"]:
            place = f"container {printable(user['name'], 100)}"
            raise StowageError(Problem("STW-VOLUME", place, "mounts the volume and is not ours", "stop it first"))
    return users


def _serving(engine: Engine, share: Share) -> str:
    """The name of a running container that mounts the volume."""
    for user in _running(engine, share):
        if user["state"] == "running":
            return str(user["name"])
    reason = "no container that mounts it runs here"
    raise StowageError(Problem("STW-BACKUP", f"volume {share['volume']}", reason, "deploy its service first"))


def _exchange(one: str, other: str) -> None:
    """Exchange two directories in one step of the file system."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    if renameat2(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


def _told(what: str, code: int, errors: bytes) -> StowageError:
    lines = errors.decode("utf-8", "replace").strip().splitlines()[-3:] or ["no word of why"]
    reason = f"{what} failed ({code}): {printable(' / '.join(lines), 300)}"
    return StowageError(Problem("STW-BACKUP", "volume", reason, "see x-stowage.backup of the volume"))


MODES: dict[str, errand.Mode] = {
    "look": look,
    "key": _key,
    "serve": _serve,
    "save": _save,
    "fetch": _fetch,
    "swap": _swap,
    "load": _load,
    "close": _close,
}
