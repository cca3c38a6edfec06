# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Phase prepare: refuse what is locked or stale, take the lease, fetch the images. Nothing that runs is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import Problem, StowageError, raise_all, show
from . import host, lock
from .client import Engine, EngineError
from .observe import observe
from .start import in_parallel

Request = Mapping[str, Any]


def prepare(engine: Engine, paths: host.Paths, request: Request, check: bool = False) -> dict[str, Any]:
    """Take the lock for this run and pull what is missing: {changed, tasks: [], problems}.

    request: run {id, holder, controller, ttl}, takeover, share {fleet, expect {object: digest}, images [ref],
    policy {text, core}, require [{service, image, labels}]}.
    Problems: STW-LOCKED, STW-STALE, STW-PULL, STW-IMAGE, STW-POLICY; after any of them this run holds no lease here.
    """
    share, run = request["share"], request["run"]
    try:
        lock.refuse_other(paths, run, request.get("takeover"))
        raise_all(stale(share.get("expect"), observe(engine, share["fleet"], paths.root)))
        if not check:
            lock.take(paths, run, preparing=True)
        changed, problems = _pull(engine, share.get("images") or (), check)
        raise_all(problems or _unfit(engine, share.get("require") or (), check))
        if share.get("policy"):
            changed = _police(share["policy"], paths.root, check) or changed
    except StowageError as error:
        if not check:
            lock.unlock(run["id"], paths.root)
        return {"changed": False, "tasks": [], "problems": error.problems}
    return {"changed": changed, "tasks": [], "problems": []}


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


def _unfit(engine: Engine, required: Any, check: bool) -> list[Problem]:
    """A Problem for every image that lacks a label which its service asks for. Under check a missing one is let be."""
    problems = []
    for one in required:
        image = engine.image(one["image"])
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


def _pull(engine: Engine, images: Any, check: bool) -> tuple[bool, list[Problem]]:
    """Fetch the missing images at once. Returns (changed, problems)."""
    results = in_parallel(lambda image: _pull_one(engine, image, check), sorted(set(images)))
    return any(changed for changed, _problem in results), [problem for _changed, problem in results if problem]


def _pull_one(engine: Engine, image: str, check: bool) -> tuple[bool, Problem | None]:
    try:
        if engine.has_image(image):
            return False, None
        if not check:
            engine.pull(image)
        return True, None
    except EngineError as error:
        fix = "check the image's name, the registry, and this host's way to it"
        return False, Problem("STW-PULL", f"image {image}", str(error), fix)
