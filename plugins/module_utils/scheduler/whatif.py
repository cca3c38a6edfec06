# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What if: other arguments for schedule() (hosts lost or added, services scaled), and what they would change.

A question is the arguments of schedule(): (nodes, services, current, options). All functions are pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .reading_current import slot_key
from .scheduling import schedule

Value = Mapping[str, Any]
Question = tuple[list[Any], list[Any], list[Any], dict[str, Any]]


def lose(question: Question, names: Collection[str]) -> Question:
    """The same without some hosts: they are given up, with all that runs there."""
    nodes, services, current, options = question
    lost = [{**node, "unknown": True} if node["name"] in names else node for node in nodes]
    given_up = sorted({*options.get("assume_lost", ()), *names})
    return lost, services, current, {**options, "assume_lost": given_up}


def join(question: Question, added: Iterable[Value]) -> Question:
    """The same with more hosts."""
    nodes, services, current, options = question
    return [*nodes, *(dict(node) for node in added)], services, current, options


def copies(nodes: Iterable[Value], model: str, count: int) -> list[dict[str, Any]]:
    """New hosts like one that exists: without its volumes, names and address. model: its name."""
    like = next(node for node in nodes if node["name"] == model)
    kept = {key: value for key, value in like.items() if key not in ("id", "hostname", "ip", "address", "volumes")}
    return [
        {**kept, "name": f"{model}-copy{number}", "availability": "active", "unknown": False}
        for number in range(1, count + 1)
    ]


def scale(question: Question, replicas: Mapping[str, int]) -> Question:
    """The same with other numbers of replicas, by service."""
    nodes, services, current, options = question
    scaled = [{**one, "replicas": replicas[one["name"]]} if one["name"] in replicas else one for one in services]
    return nodes, scaled, current, options


def ask(question: Question) -> dict[str, Any]:
    """The answer of schedule()."""
    return schedule(*question)


def difference(before: Value, after: Value) -> dict[str, list[dict[str, Any]]]:
    """What another answer changes: {moved, new, gone, homeless, housed}, each a list sorted by service and slot.

    moved: {service, slot, from, to, why}; new, gone: {service, slot, node, why}; homeless: unplaced entries that had a
    home before or did not exist; housed: placed now, unplaced before.
    """
    was, now = _places(before), _places(after)
    lacked = {(one["service"], one["slot"]) for one in before["unplaced"]}
    found: dict[str, list[dict[str, Any]]] = {"moved": [], "new": [], "gone": [], "homeless": [], "housed": []}
    for service, slot in sorted(set(was) | set(now), key=lambda key: (key[0], slot_key(key[1]))):
        key, entry = (service, slot), {"service": service, "slot": slot}
        why = str((after["reasons"].get(f"{service}.{slot}") or {}).get("why", ""))
        if key in was and key in now and was[key] != now[key]:
            found["moved"].append({**entry, "from": was[key], "to": now[key], "why": why})
        elif key in now and key not in was:
            found["housed" if key in lacked else "new"].append({**entry, "node": now[key], "why": why})
        elif key in was and key not in now:
            found["gone"].append({**entry, "node": was[key], "why": why})
    found["homeless"] = [one for one in after["unplaced"] if (one["service"], one["slot"]) not in lacked]
    without = {(one["service"], one["slot"]) for one in found["homeless"]}
    found["gone"] = [one for one in found["gone"] if (one["service"], one["slot"]) not in without]
    return found


def _places(result: Value) -> dict[tuple[str, Any], str]:
    return {(one["service"], one["slot"]): one["node"] for one in result["placements"]}


def survival(question: Question, placed: Value) -> list[dict[str, Any]]:
    """What would happen to an answered question if any one host were lost, once everything is where it was placed.

    [{node, replicas: how many run there, moved: how many others find a new home, homeless: unplaced entries}], by
    name; hosts that run nothing are left out, and slots of global services go with their host.
    """
    nodes, services, _current, options = question
    settled: Question = (nodes, services, [dict(one) for one in placed["placements"]], options)
    here: dict[str, int] = {}
    for one in placed["placements"]:
        here[one["node"]] = here.get(one["node"], 0) + 1
    report = []
    for name in sorted(here):
        changed = difference(placed, ask(lose(settled, [name])))
        homeless = [one for one in changed["homeless"] if one["slot"] != name]
        report.append({"node": name, "replicas": here[name], "moved": len(changed["moved"]), "homeless": homeless})
    return report
