# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An adoption as short lines of text: what is taken over, what is not and why, and the proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .adoption import Wish
from .text import change_line, safe

SIGNS = {
    "take": "=",
    "adopted": ".",
    "differs": "~",
    "swarm": "~",
    "stopped": "!",
    "surplus": "-",
    "unknown": "?",
}
WORDS = {
    "take": "to take over as they run",
    "adopted": "adopted already",
    "differs": "would be replaced",
    "swarm": "Swarm's",
    "stopped": "not running",
    "surplus": "too many",
    "unknown": "of no service, left alone",
}
SWARM_WAY = (
    "  Swarm's tasks cannot be taken over: Swarm removes them. Deploy the stack with Stowage beside it, let the",
    "  traffic change over, then docker stack rm it; stop what writes to a volume first (docker service scale NAME=0).",
)


def adoption_lines(decided: Mapping[str, Any], wish: Wish, silent: Iterable[str]) -> list[str]:
    """What was found and what it means. silent: hosts that gave no answer."""
    candidates = decided["candidates"]
    hosts = sorted({one["node"] for one in candidates})
    lines = [safe(f"ADOPT  {wish.stack}  |  project {wish.project}  |  on {' '.join(hosts)}")]
    lines += [safe(f"  ? {node}  did not answer: what runs there is unknown") for node in silent]
    for one in candidates:
        lines += _candidate_lines(one)
    lines += [change_line(change) for change in _others(decided)]
    if any(one["fate"] == "swarm" for one in candidates):
        lines += SWARM_WAY
    fates = [one["fate"] for one in candidates]
    counts = [f"{fates.count(fate)} {words}" for fate, words in WORDS.items() if fate in fates]
    lines.append(f"Adopt: {', '.join(counts)}.")
    return [*lines, *_next(decided, wish)]


def _candidate_lines(one: Mapping[str, Any]) -> list[str]:
    task = f"{one['service']}.{one['slot']}" if one["slot"] else one["service"] or "-"
    head = f"  {SIGNS[one['fate']]} {task:<24} {one['node']:<12} {one['found']['name']}  {WORDS[one['fate']]}"
    lines = [safe(head)] + [safe(f"      {words}") for words in one["words"]]
    marks = {"live": "changed now, without a restart", "kept": "kept until it is replaced"}
    for found in one["found"]["differences"] if one["fate"] in ("take", "differs") else ():
        lines += [safe(f"      {marks[found['kind']]}: {found['words']}")] if found["kind"] in marks else []
    return lines


def _others(decided: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Changes of slots that no line speaks of yet."""
    told = {(one["service"], one["slot"]) for one in decided["candidates"] if one["slot"]}
    return [change for change in decided["changes"] if (change["service"], change["slot"]) not in told]


def _next(decided: Mapping[str, Any], wish: Wish) -> list[str]:
    taken = [one for one in decided["candidates"] if one["fate"] == "take"]
    if not taken:
        adopted = all(one["fate"] in ("adopted", "unknown") for one in decided["candidates"])
        return ["  nothing to do"] if adopted else ["  nothing can be taken over"]
    lines = [] if _others(decided) or len(taken) < len(decided["candidates"]) else ["  after that the plan is empty"]
    if wish.confirm:
        return lines
    if decided["problems"]:
        part = f"-e confirm={wish.stack} -e partial=true"
        return [*lines, safe(f"  next: mend the stack file and look again; {part} takes only those marked =")]
    return [*lines, safe(f"  next: -e confirm={wish.stack} takes them over; nothing was changed now")]


def taken_lines(node: str, result: Mapping[str, Any]) -> list[str]:
    """What one host did, a line per container."""
    return [
        safe(f"  {node} {task['service']}.{task['slot']}: {', '.join(task['done']) or 'as it was'}")
        for task in result.get("tasks", [])
    ]


def proof_lines(stack: str, changes: Iterable[Mapping[str, Any]], count: int) -> list[str]:
    """The plan for the stack after the adoption."""
    found = list(changes)
    if not found:
        what = f"PROVED  the plan for {stack} is empty: {count} tasks stay as they run"
        return [safe(what), "  next: stowage.fleet.deploy tells every host who serves"]
    head = f"PLAN  {stack}: {count} tasks stay as they run; the next deploy will still"
    return [safe(head), *(change_line(change) for change in found)]
