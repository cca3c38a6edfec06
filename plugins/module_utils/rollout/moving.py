# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Moving a volume: may it be done, in which steps, and what each host is told. Pure functions.

The order is what keeps the data: seed while everything runs, stop and seal, fetch the rest and compare, then one
record on the target makes its copy the true one. Killed before that record, the old copy counts; after it, the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..errors import Problem, show
from ..storage.generations import INCOMING, LIVE, RETIRED, copies, settled
from .plan import Digests, plan
from .text import safe

PORT = 7947
NEVER = 1 << 30  # a generation newer than any
ROOM = 1.05  # what the copy needs of the target's free space, of its size
STEPS = (  # mode, on which hosts, when, what it does
    ("open", "to", "ok", "make room and a key"),
    ("serve", "from", "ok", "serve the data to that key"),
    ("seed", "to", "ok", "copy while everything runs"),
    ("ready", "to", "ok", "lock"),
    ("seal", "from", "ok", "lock, stop the users, seal the data"),
    ("verify", "to", "ok", "fetch the rest, compare every byte"),
    ("commit", "to", "ok", "make the new copy the true one"),
    ("retire", "from", "ok", "keep the old copy, unused"),
    ("undo", "from", "undo", "serve from the old copy again"),
    ("close", "both", "always", "take the way down, give the locks back"),
)
SILENT = {"code": "STW-UNREACHABLE", "place": "", "reason": "gave no answer", "fix": "move the volume again"}
Step = dict[str, Any]
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]  # {mode: {node: what host_volume returned}}


class Wish(NamedTuple):
    """What is asked: the volume's full name, the host it goes to, and where it is if several have one."""

    volume: str
    to: str
    source: str = ""
    port: int = PORT


class World(NamedTuple):
    """What it is decided from. looks: {node: what host_volume found there}; the rest as plan() takes it."""

    fleet: Mapping[str, Any]
    compiled: Mapping[str, Any]
    observations: Mapping[str, Mapping[str, Any]]
    looks: Mapping[str, Mapping[str, Any]]
    digests: Digests


def decide(world: World, wish: Wish) -> dict[str, Any]:
    """{problems, steps, source, services [names], bytes, files, resumed} of a wish; problems: all against it."""
    problems = _asked_wrong(world, wish)
    source = wish.source or _source(world, wish, problems)
    if problems:
        return {"problems": problems, "steps": []}
    problems += _host_problems(world, wish, source) + _placement_problems(world, wish, source)
    look = world.looks[source]
    return {
        "problems": problems,
        "steps": [] if problems else _steps(world, wish, source),
        "source": source,
        "services": sorted(service["name"] for service in users_of(world, wish.volume)),
        "bytes": (look["volume"] or {}).get("bytes", 0),
        "files": (look["volume"] or {}).get("files", 0),
        "resumed": _incoming(world, wish, source),
    }


def decision_lines(decided: Mapping[str, Any], wish: Wish) -> list[str]:
    """The decision for people."""
    if not decided["steps"]:
        return []
    size = f"{decided['bytes'] / 1e6:.1f} MB in {decided['files']} files"
    users = ", ".join(decided["services"]) or "nobody"
    again = "; goes on where an earlier move stopped" if decided["resumed"] else ""
    head = f"MOVE  volume {safe(wish.volume)}  {decided['source']} -> {wish.to}"
    lines = [f"{head}  |  {size}, used by {safe(users)}{again}"]
    told = [step for step in decided["steps"] if step["when"] == "ok"]
    lines += [f"  {at}. {' and '.join(sorted(step['hosts']))}: {step['words']}" for at, step in enumerate(told, 1)]
    return [*lines, f"  then deploy: its users start on {wish.to}. They are stopped from step 5 until then."]


def share_of(step: Step, node: str, results: Results) -> dict[str, Any]:
    """What host_volume is told: the step's own share, and what earlier steps found that it needs."""
    share = dict(step["hosts"][node])
    if step["mode"] == "serve":
        share["key"] = only(results, "open").get("key", "")
    if step["mode"] in ("seed", "verify"):
        share["host_key"] = only(results, "serve").get("host_key", "")
    if step["mode"] == "undo":
        share["stopped"] = stopped_by_seal(results)
    return share


def may(step: Step, results: Results) -> bool:
    """True if the step is to be done after these results.

    undo: only if the data was sealed and nobody tried to commit; a commit without an answer may have happened.
    """
    failed = bool(problems_of(results))
    if step["when"] == "undo":
        return failed and "seal" in results and "commit" not in results
    return step["when"] == "always" or not failed


def problems_of(results: Results) -> list[Problem]:
    """Every problem that the hosts told, with its host in the place."""
    found = []
    for mode in results:
        for node, result in sorted(results[mode].items()):
            for one in result.get("problems", [SILENT]):
                place = f"{node}: {mode} {one['place']}".rstrip()
                found.append(Problem(str(one["code"]), place, str(one["reason"]), str(one.get("fix", ""))))
    return found


def judged(results: Mapping[str, Mapping[str, dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The results with one problem more if the two sides counted other numbers of files or bytes."""
    found = {mode: dict(by_node) for mode, by_node in results.items()}
    sealed, verified = only(found, "seal"), only(found, "verify")
    there, here = ((one.get("files"), one.get("bytes")) for one in (sealed, verified))
    if "files" in verified and there != here:
        reason = f"the source has {there[0]} files of {there[1]} bytes, the copy {here[0]} of {here[1]}"
        problem = Problem("STW-MOVE", "volume", reason, "look who else writes to the source, then move again")
        for node, one in found["verify"].items():
            found["verify"][node] = {**one, "problems": [*one.get("problems", ()), problem.as_dict()]}
    return found


def only(results: Results, mode: str) -> Mapping[str, Any]:
    """What the one host of a mode told; {} if it was not begun."""
    return next(iter(results.get(mode, {}).values()), {})


def stopped_by_seal(results: Results) -> list[str]:
    """Names of the containers that were stopped when the data was sealed."""
    return [str(name) for name in only(results, "seal").get("stopped", ())]


def having(world: World, volume: str) -> list[str]:
    """The hosts that have a true copy of the volume, sorted."""
    true, _blocked = settled(world.observations, [])
    return sorted(node for node, seen in true.items() if any(one["name"] == volume for one in seen["volumes"]))


def next_generation(world: World, volume: str) -> int:
    """The generation that a new copy gets. One that never became whole has a number of its own, given again."""
    older = [copy.generation for copy in copies(world.observations).get(volume, ()) if copy.state != INCOMING]
    return max(older, default=1) + 1


def lacking(node: str, look: Mapping[str, Any]) -> list[Problem]:
    """That programs are not installed on a host."""
    if not look["missing"]:
        return []
    fix = "run stowage.fleet.bootstrap, whose role storage installs them"
    return [Problem("STW-TOOLS", f"host {node}", f"has no {', '.join(look['missing'])}", fix)]


def foreign_users(volume: str, node: str, look: Mapping[str, Any]) -> list[Problem]:
    """That containers of others use a volume."""
    reason = "container {name} on {node} mounts it and is not this fleet's"
    return [
        Problem("STW-VOLUME", f"volume {volume}", reason.format(name=safe(user["name"]), node=node), "stop it first")
        for user in look["users"]
        if not user["ours"] and user["state"] == "running"
    ]


def blocked(world: World, seen: Mapping[str, Any], volume: str) -> list[tuple[str, str]]:
    """(service, reason) of the volume's users that could not be placed if this were observed."""
    names = {one["name"] for one in users_of(world, volume)}
    changes = plan(world.fleet, world.compiled, seen, world.digests)["changes"]
    return [
        (change["service"], safe(change["reason"]))
        for change in changes
        if change["service"] in names and change["change"] == "blocked"
    ]


def users_of(world: World, volume: str) -> list[Mapping[str, Any]]:
    """The Services that mount the volume."""
    services = world.compiled["services"]
    return [one for one in services if any(mount["name"] == volume for mount in one["volumes"])]


def _asked_wrong(world: World, wish: Wish) -> list[Problem]:
    known = {volume["name"] for seen in world.observations.values() for volume in seen["volumes"]}
    problems = []
    if wish.volume not in known:
        problems.append(unknown("volume", wish.volume, known))
    nodes = {node["name"] for node in world.fleet["nodes"]}
    for key, name in (("to", wish.to), ("from", wish.source)):
        if name not in nodes and (name or key == "to"):
            problems.append(unknown(key, name, nodes))
        elif name and name not in world.looks:
            problems.append(Problem("STW-UNREACHABLE", f"host {name}", "did not answer", "bring it back"))
    if wish.source == wish.to and wish.to:
        problems.append(Problem("STW-OPTION", "to", f"{show(wish.to)} has it already", "name another host"))
    if not 0 < wish.port < 65536:
        problems.append(Problem("STW-OPTION", "port", f"{wish.port} is no port", "give one from 1 to 65535"))
    return problems


def unknown(key: str, name: str, known: Iterable[str]) -> Problem:
    """That a name is not known, with those near to it."""
    near = get_close_matches(name, sorted(known), 3)
    fix = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known)[:10]) or 'none'}"
    return Problem("STW-OPTION", key, f"{show(name)} is not there" if name else "is missing", fix)


def _source(world: World, wish: Wish, problems: list[Problem]) -> str:
    nodes = having(world, wish.volume)
    if problems or len(nodes) == 1:
        if nodes == [wish.to]:
            problems.append(Problem("STW-OPTION", "to", f"{show(wish.to)} has it already", "name another host"))
        return nodes[0] if nodes else ""
    reason = f"volume {wish.volume} is on {', '.join(nodes) or 'no host that answered'}"
    problems.append(Problem("STW-OPTION", "from", reason, "say which one with -e from=HOST"))
    return ""


def _incoming(world: World, wish: Wish, source: str) -> bool:
    claim = world.looks[wish.to].get("claim") or {}
    return bool(claim.get("state") == INCOMING and claim.get("peer") == source)


def _host_problems(world: World, wish: Wish, source: str) -> list[Problem]:
    there, here, name = world.looks[source], world.looks[wish.to], f"volume {wish.volume}"
    volume, claim, problems = there["volume"] or {}, there.get("claim") or {}, []
    if claim.get("fleet") != world.fleet["name"]:
        reason = f"is not one that {world.fleet['name']} made on {source}"
        problems.append(Problem("STW-VOLUME", name, reason, "move it by hand: it is external"))
    if volume.get("driver") != "local" or volume.get("options"):
        reason = f"has driver {show(volume.get('driver'))} and {len(volume.get('options') or ())} options"
        problems.append(Problem("STW-VOLUME", name, reason, "only plain local volumes are copied from host to host"))
    if here["volume"] is not None and (here.get("claim") or {}).get("state", LIVE) not in (INCOMING, RETIRED):
        reason = f"{wish.to} has a volume of this name that is no copy of it"
        problems.append(Problem("STW-VOLUME", name, reason, "remove that one, or give one of them another name"))
    need = int(volume.get("bytes", 0) * ROOM) - ((here["volume"] or {}).get("bytes") or 0)
    if here["free"] < need:
        reason = f"needs {need} bytes, {here['free']} are free"
        problems.append(Problem("STW-VOLUME", f"host {wish.to}", reason, "make room, or name another host"))
    problems += lacking(source, there) + lacking(wish.to, here)
    return problems + foreign_users(wish.volume, source, there)


def _placement_problems(world: World, wish: Wish, source: str) -> list[Problem]:
    """What the plan would say if the volume were there already."""
    users = users_of(world, wish.volume)
    everywhere = [one["name"] for one in users if one["mode"].startswith("global")]
    if everywhere:
        reason = f"global service {everywhere[0]} has one on every host"
        return [Problem("STW-VOLUME", f"volume {wish.volume}", reason, "there is nothing to move")]
    fix = "mend what it says, or name another host"
    found = blocked(world, _as_if(world, wish, source), wish.volume)
    return [Problem("STW-PLACEMENT", f"{service} on {wish.to}", reason, fix) for service, reason in found]


def _as_if(world: World, wish: Wish, source: str) -> dict[str, Any]:
    """The observations as they will be: the source's copy old, the target's the true one."""
    seen = dict(world.observations)
    entry = next(one for one in seen[source]["volumes"] if one["name"] == wish.volume)
    old = {"generation": 1, "state": RETIRED, "peer": wish.to}
    new = {"generation": NEVER, "state": LIVE, "peer": source}
    there = {**(seen[source].get("volume_states") or {}), wish.volume: old}
    here = {**(seen[wish.to].get("volume_states") or {}), wish.volume: new}
    others = [one for one in seen[wish.to]["volumes"] if one["name"] != wish.volume]
    seen[source] = {**seen[source], "volume_states": there}
    claims = sorted({*seen[wish.to]["volume_claims"], wish.volume})
    seen[wish.to] = {**seen[wish.to], "volumes": [*others, entry], "volume_claims": claims, "volume_states": here}
    return seen


def _steps(world: World, wish: Wish, source: str) -> list[Step]:
    users = users_of(world, wish.volume)
    claim = world.looks[source].get("claim") or {}
    address = next(node["address"] for node in world.fleet["nodes"] if node["name"] == source)
    share = {
        "fleet": world.fleet["name"],
        "volume": wish.volume,
        "stack": str(claim.get("stack", "")),
        "from": source,
        "to": wish.to,
        "generation": next_generation(world, wish.volume),
        "address": address,
        "port": wish.port,
        "graces": {one["name"]: float(one["template"].get("stop_grace_period", 10.0)) for one in users},
    }
    where = {"to": [wish.to], "from": [source], "both": [source, wish.to]}
    return [
        {"id": at, "mode": mode, "when": when, "words": words, "hosts": dict.fromkeys(where[who], share)}
        for at, (mode, who, when, words) in enumerate(STEPS)
    ]
