# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Phase prepare: refuse what is locked or stale, take the lease, fetch the images. Nothing that runs is touched."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, StowageError, raise_all, show
from . import configured, host, lock, merging, pulling, shim_host
from .client import Engine, connect
from .observe import observe

Request = Mapping[str, Any]


def prepare(engine: Engine, paths: host.Paths, request: Request, check: bool = False) -> dict[str, Any]:
    """Take the lock for this run and pull what is missing: {changed, tasks: [], problems}, and what was pulled.

    With `pulling` (see pulling.fetch) in the result some images are still on their way: call again.
    request: patience, run {id, holder, controller, ttl}, takeover, share {fleet, expect {object: digest}, images
    [ref], policy {text, core}, require [{service, image, labels, shim, pulls}]}.
    Problems: STW-LOCKED, STW-STALE, STW-PULL, STW-IMAGE, STW-SHIM, STW-POLICY; after any of them this run holds no
    lease here.
    """
    share, run = request["share"], request["run"]
    try:
        lock.refuse_other(paths, run, request.get("takeover"))
        raise_all(stale(share.get("expect"), observe(engine, share["fleet"], paths.root)))
        if not check:
            lock.take(paths, run, preparing=True)
        fetched = _fetch(engine, paths, request, check)
        raise_all(fetched["problems"])
        if fetched["pulling"]:
            return {"changed": True, "tasks": [], **fetched}
        raise_all(_unfit(engine, share.get("require") or (), paths, check))
        changed = bool(fetched["pulled"])
        if share.get("policy"):
            changed = _police(share["policy"], paths.root, check) or changed
    except StowageError as error:
        if not check:
            lock.unlock(run["id"], paths.root)
        return {"changed": False, "tasks": [], "problems": error.problems}
    pulled = {"pulled": fetched["pulled"]} if fetched["pulled"] and not check else {}
    return {"changed": changed, "tasks": [], "problems": [], **pulled}


def _fetch(engine: Engine, paths: host.Paths, request: Request, check: bool) -> dict[str, Any]:
    """pulling.fetch()'s value. Under check nothing is fetched; what would be is said to be."""
    images = request["share"].get("images") or ()
    if check:
        return {"pulled": [image for image in images if not engine.has_image(image)], "pulling": [], "problems": []}
    patience = float(request.get("patience") or 0) or math.inf
    return pulling.fetch(engine, connect, images, paths, patience)


def _police(policy: Mapping[str, str], root: str, check: bool) -> bool:
    """Have the policy in force before anything starts: what starts may need others to become healthy."""
    from ..discovery.policed import deliver_policy  # noqa: PLC0415 (only this phase and endpoints need that room)
    from ..network.converge import NetworkError  # noqa: PLC0415

    try:
        return bool(deliver_policy(policy, root, check))
    except NetworkError as error:
        problem = Problem("STW-POLICY", "network policy", str(error)[:300], "look at `nft list ruleset`")
        raise StowageError(problem) from error


def stale(expect: Mapping[str, str] | None, seen: Mapping[str, Any]) -> list[Problem]:
    """One Problem for every object that changed, vanished or is new since `expect` was seen. seen: an Observation.

    Without `expect` (None) nothing was planned on, so nothing is stale.
    """
    if expect is None:
        return []
    present, fix = seen["objects"], "make the plan again"
    found = []
    for name in sorted({*expect, *present}):
        if expect.get(name) == present.get(name):
            continue
        now = _now(name, seen)
        if name not in present:
            reason = "has vanished since the plan was made"
        elif name not in expect:
            reason = f"is new since the plan was made{now}"
        else:
            reason = f"changed since the plan was made{now}"
        found.append(Problem("STW-STALE", name, reason, fix))
    return found


def _now(name: str, seen: Mapping[str, Any]) -> str:
    """What an object is now, in words."""
    kind, _space, own = name.partition(" ")
    if kind == "container":
        states = [c["state"] for c in seen["containers"] if c["name"] == own]
        return f": it is {states[0]} now" if states else ""
    if kind == "volume":
        there = any(volume["name"] == own for volume in seen["volumes"])
        return ": it was made anew" if there else ": it is missing now"
    return ""


def _unfit(engine: Engine, required: Any, paths: host.Paths, check: bool) -> list[Problem]:
    """A Problem for every image that lacks what its service needs of it. Under check a missing one is let be."""
    problems = []
    for one in required:
        image = engine.image(one["image"])
        problems += _unshimmed(one, image, paths) if "shim" in one else []
        if image is None and check:
            continue
        labels = ((image or {}).get("Config") or {}).get("Labels") or {}
        for name, wanted in sorted(one["labels"].items()):
            if labels.get(name) != wanted:
                told = f"has {show(labels[name])}" if name in labels else "is not there"
                reason = f"image {one['image']}: label {show(name)} {told}, {show(wanted)} is required"
                fix = "deploy this environment's image, or change require_labels"
                problems.append(Problem("STW-IMAGE", f"service {one['service']}", reason, fix))
    return problems


def _unshimmed(one: Mapping[str, Any], image: Mapping[str, Any] | None, paths: host.Paths) -> list[Problem]:
    """Why the shim cannot stand in front of a service's process here. one: an entry of `require`."""
    place, problems, fix = f"service {one['service']}", [], "run stowage.fleet.bootstrap on this host"
    if not shim_host.is_there(paths.root):
        problems.append(Problem("STW-SHIM", place, "this host has no shim for it", fix))
    elif one.get("pulls") and not configured.present(paths):
        problems.append(Problem("STW-SHIM", place, "this host has nothing that pulls its configuration", fix))
    if image is not None and not any(merging.process(one["shim"], image.get("Config") or {})):
        reason = f"image {one['image']} has neither entrypoint nor command: nothing to run after the shim"
        problems.append(Problem("STW-SHIM", place, reason, "state entrypoint or command"))
    return problems
