# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backups and restores of volumes: may it be done, in which steps, and what each host is told. Pure functions.

A restore never overwrites: the copy comes beside the volume and is then put in its place in one step, or, on another
host, as a newer generation. Killed before that, the old data counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import Problem, show
from ..storage.backups import DIRECTORY, HOST, Repository
from ..storage.generations import LIVE, RETIRED, settled
from ..storage.slots import names
from . import moving
from .moving import NEVER, Results, Step, World
from .text import safe

PORT = 7948
FILES, DUMP = "files", "dump"
BEFORE = "{volume}.before"
WORDS = {
    "key": "make a key for the way to the repository",
    "serve": "serve the repository to that key",
    "save": "save it",
    "fetch": "bring the snapshot back, read back every byte",
    "swap": "lock, stop the users, put the copy in its place, start them",
    "load": "give the dump to the service's own command",
    "seal": "lock, stop the users, seal the old data",
    "commit": "make the restored copy the true one",
    "retire": "keep the old copy, unused",
    "undo": "serve from the old copy again",
    "close": "take the way down, give the locks back",
}
MOVING = ("seal", "commit", "retire", "undo")  # modes of host_volume


class Wish(NamedTuple):
    """What is asked: the volume's full name; for a restore a snapshot ("" the newest) and a host ("" where it is)."""

    volume: str
    repository: Repository
    restore: bool = False
    snapshot: str = ""
    node: str = ""
    port: int = PORT


class _Case(NamedTuple):
    """What a wish comes to."""

    node: str  # where it is saved, or restored
    source: str  # of a restore to another host: the one that has the volume now, "" if none that answers
    kind: str
    snapshot: Mapping[str, Any]


def reader(wish: Wish, node: str, first: str) -> str:
    """restic's name of the repository if this host is to list its snapshots, else ""."""
    if wish.repository.kind == DIRECTORY or (wish.repository.kind == HOST and wish.repository.node == node):
        return wish.repository.path
    return wish.repository.path if wish.repository.kind not in (DIRECTORY, HOST) and node == first else ""


def decide(world: World, wish: Wish) -> dict[str, Any]:
    """{problems, steps, lines, deploy} of a wish; problems: all against it. deploy: whether one must follow."""
    problems: list[Problem] = []
    case = _restored(world, wish, problems) if wish.restore else _saved(world, wish, problems)
    if case is None:
        return {"problems": problems, "steps": [], "lines": [], "deploy": False}
    problems += _host_problems(world, wish, case)
    if wish.restore and case.kind == FILES:
        problems += _placement_problems(world, wish, case)
    steps = [] if problems else _steps(world, wish, case)
    return {
        "problems": problems,
        "steps": steps,
        "lines": _lines(wish, case, steps) if steps else [],
        "deploy": wish.restore and case.kind == FILES and _elsewhere(world, wish, case),
    }


def share_of(step: Step, node: str, results: Results) -> dict[str, Any]:
    """What a host is told: the step's own share, and what earlier steps found that it needs."""
    share = dict(step["hosts"][node])
    for mode, key in (("key", "key"), ("serve", "host_key")):
        told = moving.only(results, mode).get(key)
        share.update({key: told} if told else {})
    if step["mode"] == "undo":
        share["stopped"] = moving.stopped_by_seal(results)
    return share


def conclusion(results: Results) -> str:
    """One line of how it ended well."""
    told = {mode: moving.only(results, mode) for mode in results}
    stopped = sum(float(one.get("stopped") or 0) for mode, one in told.items() if mode in ("save", "swap", "load"))
    down = f"; its users were stopped for {stopped:.1f} s" if stopped else "; nothing was stopped"
    if "save" in told:
        saved = told["save"]
        size = f"{saved['files']} files, {saved['bytes'] / 1e6:.1f} MB, {saved['added'] / 1e6:.1f} MB of them new"
        return f"SAVED  snapshot {safe(saved['snapshot'])}: {size}{down}"
    if "load" in told:
        return "RESTORED  the service's own command took the whole dump"
    return f"RESTORED  {told['fetch']['files']} files, {told['fetch']['bytes'] / 1e6:.1f} MB{down}"


def _saved(world: World, wish: Wish, problems: list[Problem]) -> _Case | None:
    node = _home(world, wish, problems)
    return _Case(node, "", DUMP if _hook(world, wish.volume).get("dump") else FILES, {}) if node else None


def _home(world: World, wish: Wish, problems: list[Problem]) -> str:
    """The one host that has the volume's true copy, "" with a problem if there is no such one."""
    _true, blocked = settled(world.observations, [])
    problems += [problem for name, problem in blocked.items() if name == wish.volume]
    having = [node for node in moving.having(world, wish.volume) if wish.node in ("", node)]
    if len(having) == 1 or problems:
        return having[0] if having else ""
    known = {volume["name"] for seen in world.observations.values() for volume in seen["volumes"]}
    if wish.volume not in known:
        problems.append(moving.unknown("volume", wish.volume, known))
    else:
        reason = f"volume {wish.volume} is on {', '.join(having) or f'no host but others than {wish.node}'}"
        problems.append(Problem("STW-OPTION", "host", reason, "say which one with -e host=NAME"))
    return ""


def _restored(world: World, wish: Wish, problems: list[Problem]) -> _Case | None:
    snapshot = _snapshot(world, wish, problems)
    having = moving.having(world, wish.volume)
    nodes = {node["name"] for node in world.fleet["nodes"]}
    if wish.node and wish.node not in nodes:
        problems.append(moving.unknown("host", wish.node, nodes))
    elif wish.node and wish.node not in world.looks:
        problems.append(Problem("STW-UNREACHABLE", f"host {wish.node}", "did not answer", "bring it back"))
    elif not wish.node and len(having) != 1:
        reason = f"volume {wish.volume} is on {', '.join(having) or 'no host that answered'}"
        problems.append(Problem("STW-OPTION", "host", reason, "say where it shall be with -e host=NAME"))
    if problems or snapshot is None:
        return None
    node = wish.node or having[0]
    kind = DUMP if "kind=dump" in snapshot["tags"] else FILES
    if kind == DUMP and node not in having:
        reason = f"snapshot {snapshot['id']} is a dump: it needs the running service, which is on {', '.join(having)}"
        fix = "deploy it with -e stowage_recreate_volumes=... first, then restore where it runs"
        problems.append(Problem("STW-BACKUP", f"volume {wish.volume}", reason, fix))
        return None
    others = [one for one in having if one != node]
    return _Case(node, others[0] if others and node not in having else "", kind, snapshot)


def _snapshot(world: World, wish: Wish, problems: list[Problem]) -> Mapping[str, Any] | None:
    found = {one["id"]: one for look in world.looks.values() for one in look.get("snapshots") or ()}
    known = sorted(found.values(), key=lambda one: str(one["time"]), reverse=True)
    chosen = [one for one in known if one["id"].startswith(wish.snapshot)] if wish.snapshot else known[:1]
    if len(chosen) == 1:
        return dict(chosen[0])
    shown = ", ".join(f"{one['id']} of {one['time']}" for one in known[:10])
    reason = f"{show(wish.snapshot)} is not there" if wish.snapshot else f"has no snapshot in {wish.repository.shown}"
    fix = f"known: {shown}" if known else "save one with stowage.fleet.backup"
    problems.append(Problem("STW-BACKUP", f"volume {wish.volume}", reason, fix))
    return None


def _hook(world: World, volume: str) -> dict[str, Any]:
    """{dump, load} of the volume, {} if it states none."""
    for service in _users(world, volume):
        for mount in service["volumes"]:
            if volume in names(service, mount["name"]).values() and mount.get("backup"):
                return dict(mount["backup"])
    return {}


def _users(world: World, volume: str) -> list[Mapping[str, Any]]:
    """The Services that mount the volume, in one slot or in all."""
    services = world.compiled["services"]
    return [one for one in services if any(volume in names(one, m["name"]).values() for m in one["volumes"])]


def _host_problems(world: World, wish: Wish, case: _Case) -> list[Problem]:
    problems = []
    look = world.looks.get(case.node)
    if look is None:
        return [Problem("STW-UNREACHABLE", f"host {case.node}", "did not answer", "bring it back")]
    volume = look["volume"] or {}
    if volume and (volume.get("driver") != "local" or volume.get("options")) and case.kind == FILES:
        reason = f"has driver {show(volume.get('driver'))} and {len(volume.get('options') or ())} options"
        fix = "save it where its data is, or give it x-stowage.backup dump and load"
        problems.append(Problem("STW-VOLUME", f"volume {wish.volume}", reason, fix))
    for node in sorted({case.node, wish.repository.node} - {""}):
        if node not in world.looks:
            problems.append(Problem("STW-UNREACHABLE", f"host {node}", "did not answer", "bring it back"))
        else:
            problems += moving.lacking(node, world.looks[node])
    problems += moving.foreign_users(wish.volume, case.node, look)
    if case.kind == DUMP and not any(user["state"] == "running" for user in look["users"]):
        reason = f"no container that mounts it runs on {case.node}"
        problems.append(Problem("STW-BACKUP", f"volume {wish.volume}", reason, "deploy its service first"))
    if case.kind == DUMP and wish.restore and not _hook(world, wish.volume).get("load"):
        reason = f"snapshot {case.snapshot['id']} is a dump, and the volume has no command to load it"
        problems.append(Problem("STW-BACKUP", f"volume {wish.volume}", reason, "give it x-stowage.backup.load"))
    return problems


def _elsewhere(world: World, wish: Wish, case: _Case) -> bool:
    """True if the restored copy is not put in the place of one on the same host."""
    return case.node not in moving.having(world, wish.volume)


def _placement_problems(world: World, wish: Wish, case: _Case) -> list[Problem]:
    """What the plan would say if the volume were there already."""
    if not _elsewhere(world, wish, case):
        return []
    seen = dict(world.observations)
    for node, one in seen.items():
        states = dict(one.get("volume_states") or {})
        states[wish.volume] = {"generation": 1, "state": RETIRED, "peer": case.node}
        volumes = list(one["volumes"])
        claims = set(one["volume_claims"])
        if node == case.node:
            states[wish.volume] = {"generation": NEVER, "state": LIVE, "peer": ""}
            others = [entry for entry in volumes if entry["name"] != wish.volume]
            volumes = [*others, {"name": wish.volume, "driver": "local", "stack": "", "labels": {}}]
            claims.add(wish.volume)
        seen[node] = {**one, "volumes": volumes, "volume_claims": sorted(claims), "volume_states": states}
    found = moving.blocked(world, seen, wish.volume)
    fix = "mend that, or name another host"
    return [Problem("STW-PLACEMENT", f"{service} on {case.node}", reason, fix) for service, reason in found]


def _steps(world: World, wish: Wish, case: _Case) -> list[Step]:
    """The steps, each {id, mode, when, words, hosts: {node: share}}."""
    repository = wish.repository.on(case.node)
    way = repository.kind == HOST
    both = sorted({case.node, case.source, repository.node} - {""})
    share = _share(world, wish, case)
    order: list[tuple[str, list[str], str]] = []
    if way:
        order += [("key", [case.node], "ok"), ("serve", [repository.node], "ok")]
    if not wish.restore:
        order += [("save", [case.node], "ok")]
    elif case.kind == DUMP:
        order += [("load", [case.node], "ok")]
    elif not _elsewhere(world, wish, case):
        order += [("fetch", [case.node], "ok"), ("swap", [case.node], "ok")]
    else:
        order += [("fetch", [case.node], "ok")]
        order += [("seal", [case.source], "ok")] if case.source else []
        order += [("commit", [case.node], "ok")]
        order += [("retire", [case.source], "ok"), ("undo", [case.source], "undo")] if case.source else []
    order += [("close", both, "always")]
    return [
        {"id": at, "mode": mode, "when": when, "words": _words(mode, case), "hosts": dict.fromkeys(hosts, share)}
        for at, (mode, hosts, when) in enumerate(order)
    ]


def _words(mode: str, case: _Case) -> str:
    if mode == "save" and case.kind == DUMP:
        return "save what the service's own command says, while it runs"
    return (
        "save it while its users run, then stop them, save what changed, start them" if mode == "save" else WORDS[mode]
    )


def _share(world: World, wish: Wish, case: _Case) -> dict[str, Any]:
    users, claim = _users(world, wish.volume), (world.looks[case.node].get("claim") or {})
    repository = wish.repository.on(case.node)
    stack = str(claim.get("stack") or (users[0]["stack"] if users else ""))
    addresses = {node["name"]: node["address"] for node in world.fleet["nodes"]}
    hook = _hook(world, wish.volume)
    return {
        "fleet": world.fleet["name"],
        "volume": wish.volume,
        "stack": stack,
        "node": case.node,
        "graces": {one["name"]: float(one["template"].get("stop_grace_period", 10.0)) for one in users},
        "repository": "sftp:stowage:/" if repository.kind == HOST else repository.path,
        **({"directory": repository.path, "address": addresses[repository.node]} if repository.kind == HOST else {}),
        "port": wish.port,
        "dump": hook.get("dump", []) if case.kind == DUMP else [],
        "load": hook.get("load", []) if case.kind == DUMP else [],
        "snapshot": str(case.snapshot.get("id", "")),
        "path": str(next(iter(case.snapshot.get("paths") or ()), "")),
        "beside": wish.restore and case.kind == FILES and not _elsewhere(world, wish, case),
        "generation": moving.next_generation(world, wish.volume),
        "from": case.source,
        "to": case.node,
    }


def _lines(wish: Wish, case: _Case, steps: list[Step]) -> list[str]:
    what = (
        f"snapshot {safe(case.snapshot['id'])} of {safe(case.snapshot['time'])}" if wish.restore else "a new snapshot"
    )
    head = "RESTORE" if wish.restore else "BACKUP"
    arrow = "<-" if wish.restore else "->"
    lines = [f"{head}  volume {safe(wish.volume)} on {case.node} {arrow} {what} in {safe(wish.repository.shown)}"]
    told = [step for step in steps if step["when"] == "ok"]
    lines += [f"  {at}. {' and '.join(sorted(step['hosts']))}: {step['words']}" for at, step in enumerate(told, 1)]
    if any(step["mode"] == "swap" for step in steps):
        lines.append(f"  the old data stays as volume {safe(BEFORE.format(volume=wish.volume))} on {case.node}")
    return lines
