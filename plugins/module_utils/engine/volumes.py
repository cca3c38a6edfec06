# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Named volumes on a host: made once, claimed for good, never removed and never replaced by an empty one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..canonical import dumps
from ..errors import Problem, show
from . import owners
from .client import Engine, EngineError
from .files import write_atomic
from .host import Paths, read_json
from .labels import volume_labels
from .payload import named_volumes

Definition = dict[str, Any]
Blocked = dict[str, Problem]
LIVE, INCOMING, RETIRED = "live", "incoming", "retired"  # and sealed: storage.generations tells what they mean


def claimed(paths: Paths, fleet: str) -> list[str]:
    """Names of the volumes that this fleet once made or used on this host, sorted."""
    return sorted(name for name, claim in _claims(paths).items() if claim.get("fleet") == fleet)


def claim(paths: Paths, name: str) -> dict[str, Any] | None:
    """This host's claim on a volume {fleet, stack, driver, and generation, state, peer if it was moved}, or None."""
    return _claims(paths).get(name)


def states(paths: Paths, fleet: str) -> dict[str, dict[str, Any]]:
    """{name: {generation, state, peer}} of the volumes that were moved, or are being moved (storage.generations).

    peer: the other host of the move, "" if there is none.
    """
    found = {}
    for name, claim in sorted(_claims(paths).items()):
        stated = {"generation": claim.get("generation", 1), "state": claim.get("state", LIVE)}
        if claim.get("fleet") == fleet and stated != {"generation": 1, "state": LIVE}:
            found[name] = {**stated, "peer": claim.get("peer", "")}
    return found


def mark(paths: Paths, name: str, **values: Any) -> bool:
    """Put values (fleet, stack, driver, generation, state, peer) into a volume's claim.

    True if that changed it. Call it with the flock held.
    """
    claims = _claims(paths)
    before = dict(claims)
    claims[name] = {**claims.get(name, {}), **values}
    if claims == before:
        return False
    _write(paths, claims)
    return True


def wanted(share: Mapping[str, Any]) -> dict[str, Definition]:
    """{name on this host: definition} of the volumes that the share's tasks mount; placeholders are filled per task."""
    declared = {volume["name"]: volume for volume in share.get("volumes", ())}
    found: dict[str, Definition] = {}
    for task in share["tasks"]:
        template = share["services"].get(task["spec"]) or {}
        for stated, name in named_volumes(template, task):
            found[name] = {"stack": task["stack"], **declared.get(stated, {}), "stated": stated}
    return found


def ensure(engine: Engine, paths: Paths, share: Mapping[str, Any], check: bool = False) -> tuple[bool, Blocked]:
    """Make the volumes that are missing and claim them. Returns (changed, {name: why it cannot be used}).

    share: fleet, services, tasks, volumes [{name, driver, driver_opts, labels, stack, external}], recreate_volumes.
    """
    needed = wanted(share)
    if not needed:
        return False, {}
    present = {str(volume["Name"]): volume for volume in engine.volumes()}
    claims, changed, blocked = _claims(paths), False, {}
    for name, volume in sorted(needed.items()):
        problem = _moved(name, claims.get(name) or {}) or _problem(
            name, volume, present.get(name), name in claims, share.get("recreate_volumes") or ()
        )
        problem = problem or _directory(paths, name, volume, check)
        if problem is None and name not in present and not check:
            problem = _create(engine, share["fleet"], name, volume)
        if problem is not None:
            blocked[name] = problem
            continue
        claim = {"fleet": share["fleet"], "stack": volume["stack"], "driver": volume.get("driver") or "local"}
        changed = changed or name not in present
        if "generation" in claims.get(name, {}):
            # A sealed copy that the plan chose serves again: its move was given up.
            claim = {**claims[name], **claim, "state": LIVE, "peer": ""}
        # What is on a network file system is not lost with this host's volume: nothing to claim.
        if not volume.get("external") and not volume.get("mount") and claims.get(name) != claim:
            claims[name], changed = claim, True
    if changed and not check:
        # After the volumes: a claim without a volume would block them for ever.
        _write(paths, claims)
    return changed, blocked


def _moved(name: str, claim: Mapping[str, Any]) -> Problem | None:
    """Why a copy that is not the true one is not used, whatever the plan says."""
    peer, state = show(claim.get("peer")), claim.get("state")
    if state == INCOMING:
        fix = "move it again: it goes on where it stopped"
        return Problem("STW-VOLUME", f"volume {name}", f"is a copy from {peer} that is not whole yet", fix)
    if state == RETIRED:
        fix = "make the plan again"
        return Problem("STW-VOLUME", f"volume {name}", f"is an old copy: the volume was moved to {peer}", fix)
    return None


def _write(paths: Paths, claims: Mapping[str, Any]) -> None:
    write_atomic(paths.volumes, dumps({"schema": 1, "volumes": claims}).encode(), mode=0o644)


def _claims(paths: Paths) -> dict[str, Any]:
    found = read_json(paths.volumes).get("volumes")
    return dict(found) if isinstance(found, dict) else {}


def _problem(
    name: str, volume: Definition, present: Mapping[str, Any] | None, claim: bool, recreate: Any
) -> Problem | None:
    place = f"volume {name}"
    if present is None and volume.get("external"):
        return Problem("STW-VOLUME", place, "is external and not on this host", f"docker volume create {name}")
    if present is None and claim and name not in recreate and volume["stated"] not in recreate:
        fix = f'restore it, or start empty with -e \'{{"stowage_recreate_volumes": ["{name}"]}}\''
        return Problem("STW-VOLUME", place, "was made here once and is missing: its data would be lost", fix)
    if present is None or volume.get("external"):
        return None
    return _difference(place, volume, present)


def _difference(place: str, volume: Definition, present: Mapping[str, Any]) -> Problem | None:
    fix = "give the volume a new name, or move its data and remove it"
    driver = volume.get("driver") or "local"
    if present.get("Driver") != driver:
        return Problem("STW-VOLUME", place, f"has driver {show(present.get('Driver'))}, wanted {show(driver)}", fix)
    found, stated = present.get("Options") or {}, _options(volume)
    differing = sorted(key for key in {*found, *stated} if found.get(key) != stated.get(key))
    if differing and stated:
        return Problem("STW-VOLUME", place, f"has other driver_opts: {', '.join(differing)} differ", fix)
    return None


def _directory(paths: Paths, name: str, volume: Definition, check: bool) -> Problem | None:
    """Make the directory that a volume of a storage class is; never beside a mount that is not there."""
    mount = volume.get("mount")
    if not mount:
        return None
    place = os.path.join(paths.root, str(mount).lstrip("/"))
    if not os.path.ismount(place):
        fix = "see `systemctl status` of its mount unit, or run stowage.fleet.bootstrap"
        return Problem("STW-STORAGE", f"volume {name}", f"{mount} is not mounted on this host", fix)
    if not check:
        os.makedirs(os.path.join(paths.root, str(volume["directory"]).lstrip("/")), mode=0o755, exist_ok=True)
        if volume.get("single_writer"):
            owners.own(name, volume["directory"], paths.root)
    return None


def _options(volume: Definition) -> dict[str, str]:
    return {key: str(value) for key, value in (volume.get("driver_opts") or {}).items()}


def _create(engine: Engine, fleet: str, name: str, volume: Definition) -> Problem | None:
    labels = {**(volume.get("labels") or {}), **volume_labels(fleet, volume["stack"], name)}
    try:
        engine.create_volume(name, volume.get("driver") or "local", _options(volume), labels)
    except EngineError as error:
        fix = "check the volume's driver and its options"
        return Problem("STW-VOLUME", f"volume {name}", f"cannot be made: {error}", fix)
    return None
