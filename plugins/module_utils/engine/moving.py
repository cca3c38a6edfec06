# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's part in moving a volume: what it has, its half of the way for the data, its containers and its records.

The data goes from host to host by rsync through an sshd of its own, which serves nothing but this volume's directory,
read-only, to one key that lives for the length of the move. Claims (/var/lib/stowage/volumes.json) say at any moment
which copy is the true one (storage.generations); the old copy is never written to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, StowageError
from . import errand, host, lock, records, volumes
from .client import Engine
from .labels import ours, tampered, volume_labels
from .transfer import Way

LOCKED = ("seal", "ready", "commit", "retire", "undo")  # under this run's lease; the others disturb nobody
SEALED = "sealed"
Request = Mapping[str, Any]
Found = errand.Found


def move(request: Request, root: str = "/", check: bool = False, engine: Engine | None = None) -> Found:
    """Carry out request["mode"]: {changed, problems: [Problem as dict], seconds} and what the mode finds.

    request: the parameters of module host_volume. engine: for tests.
    """
    return errand.run(errand.Kind(MODES, LOCKED), request, root, check, engine)


def look(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """What this host has of a volume: {volume: {driver, options, bytes, files} or None, claim, users, free, missing}.

    share: fleet, volume. users: [{name, service, state, ours}] of the containers that mount it. free: bytes on the
    Engine's disk. missing: names of the programs that a move needs and that are not here. A volume that is in use has
    passing numbers.
    """
    name, listed = share["volume"], {str(one["Name"]): one for one in engine.volumes()}
    entry, found = listed.get(name), None
    if entry is not None:
        count, size = Way(paths, name).measure(str(entry["Mountpoint"]))
        found = {
            "driver": str(entry.get("Driver", "")),
            "options": sorted(entry.get("Options") or {}),
            "bytes": size,
            "files": count,
        }
    disk = os.statvfs(os.path.join(paths.root, "var/lib/docker"))
    return {
        "changed": False,
        "volume": found,
        "claim": volumes.claim(paths, name),
        "users": users(engine, share),
        "free": disk.f_bavail * disk.f_frsize,
        "missing": Way.missing_tools(),
    }


def users(engine: Engine, share: Mapping[str, Any]) -> list[dict[str, Any]]:
    """[{name, service, state, ours}] of the containers that mount share["volume"], stopped ones too."""
    return [_user(entry, share["fleet"]) for entry in _mounting(engine, share["volume"])]


def _mounting(engine: Engine, volume: str) -> list[dict[str, Any]]:
    """Listed containers, stopped ones too, that mount the volume."""
    return [
        entry
        for entry in engine.containers()
        if any(mount.get("Type") == "volume" and mount.get("Name") == volume for mount in entry.get("Mounts") or ())
    ]


def _user(entry: Mapping[str, Any], fleet: str) -> dict[str, Any]:
    labels, name = entry.get("Labels") or {}, records.name_of(entry)
    mine = ours(labels, fleet) and not tampered(name, labels)
    return {"name": name, "service": labels.get("stowage.service", ""), "state": entry["State"], "ours": mine}


def _open(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the target: the volume that the data will come into, and the key that may fetch it. share: + stack, from."""
    name = share["volume"]
    with lock.working(paths, 30):
        if name not in {str(one["Name"]) for one in engine.volumes()}:
            engine.create_volume(name, "local", {}, volume_labels(share["fleet"], share["stack"], name))
        claim = {"fleet": share["fleet"], "stack": share["stack"], "driver": "local"}
        marked = volumes.mark(
            paths, name, **claim, state=volumes.INCOMING, generation=share["generation"], peer=share["from"]
        )
    return {"changed": marked, "key": Way(paths, name).key()}


def _serve(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the source: an sshd for the volume's directory and that key. share: + address, port, key."""
    way = Way(paths, share["volume"])
    return {"changed": True, "host_key": way.serve(directory_of(engine, share), share)}


def _fetch(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the target: bring the copy up to date. share: + address, port, host_key."""
    return {"changed": True, **Way(paths, share["volume"]).fetch(directory_of(engine, share), share)}


def _compare(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the target: fetch what changed last, then compare every byte, name, owner, mode and attribute."""
    way, place = Way(paths, share["volume"]), directory_of(engine, share)
    brought = way.fetch(place, share)
    way.compare(place, share)
    count, size = way.measure(place)
    return {"changed": True, **brought, "files": count, "bytes": size}


def _seal(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the source: stop who mounts the volume, then say that it goes to `to`. share: + stack, to, graces."""
    stopped = []
    for entry in _mounting(engine, share["volume"]):
        user = _user(entry, share["fleet"])
        if user["state"] not in records.RUNNING_STATES:
            continue
        if not user["ours"]:
            fix = "stop it, then move the volume again"
            place = f"container {user['name']}"
            raise StowageError(Problem("STW-VOLUME", place, "mounts the volume and is not ours", fix))
        engine.stop(user["name"], float(share["graces"].get(user["service"], 10.0)))
        stopped.append(user["name"])
    claim = volumes.claim(paths, share["volume"]) or {"generation": 1, "driver": "local"}
    sealed = {**claim, "fleet": share["fleet"], "stack": share["stack"], "state": SEALED, "peer": share["to"]}
    volumes.mark(paths, share["volume"], **sealed)
    count, size = Way(paths, share["volume"]).measure(directory_of(engine, share))
    return {"changed": True, "stopped": stopped, "files": count, "bytes": size}


def _ready(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the target: only the lease. Nobody may plan with the half of a move."""
    return {"changed": True}


def _commit(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the target: from here on this copy is the true one."""
    return {"changed": volumes.mark(paths, share["volume"], state=volumes.LIVE)}


def _retire(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the source: the copy is an old one now; it stays, and nothing of ours mounts it."""
    return {"changed": volumes.mark(paths, share["volume"], state=volumes.RETIRED, peer=share["to"])}


def _undo(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On the source: the old copy serves again. share: + stopped, the containers that were stopped for the move."""
    changed = volumes.mark(paths, share["volume"], state=volumes.LIVE, peer="")
    for name in share["stopped"]:
        engine.start(name)
    return {"changed": changed or bool(share["stopped"])}


def _close(engine: Engine, paths: host.Paths, share: Mapping[str, Any]) -> Found:
    """On both: the sshd, its keys, and (by the caller) the lease."""
    return {"changed": Way(paths, share["volume"]).close()}


def directory_of(engine: Engine, share: Mapping[str, Any]) -> str:
    """The directory of share["volume"]. Raises STW-VOLUME if it is not here."""
    for one in engine.volumes():
        if one["Name"] == share["volume"]:
            return str(one["Mountpoint"])
    raise StowageError(Problem("STW-VOLUME", f"volume {share['volume']}", "is not on this host", "observe again"))


MODES: dict[str, errand.Mode] = {
    "look": look,
    "open": _open,
    "serve": _serve,
    "seed": _fetch,
    "seal": _seal,
    "ready": _ready,
    "verify": _compare,
    "commit": _commit,
    "retire": _retire,
    "undo": _undo,
    "close": _close,
}
