# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plans, steps and status as short lines of text. Everything that came from a host is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..network import reach
from . import canary
from .changes import STARTERS
from .gate import outcome

SIGNS = {
    "create": "+",
    "replace": "~",
    "move": ">",
    "start": "^",
    "await": ".",
    "reload": "*",
    "remove": "-",
    "clean": "-",
    "blocked": "!",
}
WORDS = {
    "create": "to add",
    "replace": "to replace",
    "move": "to move",
    "start": "to start again",
    "await": "to wait for",
    "reload": "to give new contents",
    "remove": "to remove",
    "clean": "to clean up",
    "blocked": "blocked",
    "unknown": "unknown",
    "unchanged": "unchanged",
}
PHASES = {
    "prepare": "lock the hosts and pull images",
    "start": "start",
    "endpoints": "tell every host who serves",
    "stop": "drain and stop",
    "remove": "remove what was stopped",
    "release": "give the locks back",
}
DONE = {"stop": "stopped", "remove": "removed"}
LINE = 300
REACH_LINES = 40
SHOWN = 6  # services in a line of progress


def safe(text: Any) -> str:
    """The text in printable ASCII, at most 300 characters: safe for terminals and logs."""
    line = "".join(ch if " " <= ch <= "~" else ascii(ch)[1:-1] for ch in str(text))
    return line if len(line) <= LINE else line[: LINE - 3] + "..."


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """The plan for people: a head, a line per change with its reason, the waves, a summary."""
    known = len(plan["nodes"]) - len(plan["unknown"])
    name = plan["fleet"]["name"]
    lines = [f"PLAN  {name}  |  {known} of {len(plan['nodes'])} nodes seen  |  plan {plan['digest'][:12]}"]
    lines += [f"  ? {node}  did not answer: unknown, nothing of it is moved or removed" for node in plan["unknown"]]
    lines += [change_line(change) for change in plan["changes"]]
    lines += _reach_lines(plan)
    lines += [safe(line) for line in canary.lines(plan.get("canaries") or {})]
    lines += _wave_lines(plan)
    lines += [f"  warning: {safe(text)}" for text in plan["warnings"]]
    return [*lines, summary_line(plan)]


def change_line(change: Mapping[str, Any]) -> str:
    """One change with its reason."""
    task = f"{change['service']}.{change['slot']}"
    where = change["node"]
    old = change["replaces"]
    if change["change"] == "move" and old:
        where = f"{old['node']} -> {where}"
    name = "BLOCKED" if change["change"] == "blocked" else change["change"]
    return safe(f"  {SIGNS[change['change']]} {task:<24} {name:<8} {where:<12} {change['reason']}".rstrip())


def _reach_lines(plan: Mapping[str, Any]) -> list[str]:
    """Who will reach whom, as far as that changes."""
    made = [safe(f"  {line}") for line in reach.lines(plan.get("reach", ()))]
    more = f"  reach: {len(made) - REACH_LINES} more changes, in the plan's file"
    return made if len(made) <= REACH_LINES else [*made[:REACH_LINES], more]


def _wave_lines(plan: Mapping[str, Any]) -> list[str]:
    tasks: dict[int, list[str]] = {}
    for step in plan["steps"]:
        for node, share in step["hosts"].items():
            found = [(step["wave"], task) for task in share.get("tasks", ()) if step["phase"] in ("start", "stop")]
            found += [(step["closes"], task) for task in share.get("stop", {}).get("tasks", ())]
            for wave, task in found:
                entry = f"{task['service']}.{task['slot']}@{node}"
                if entry not in tasks.setdefault(wave, []):
                    tasks[wave].append(entry)
    lines = []
    for wave in sorted(tasks):
        shown = tasks[wave][:6]
        more = f" and {len(tasks[wave]) - len(shown)} more" if len(tasks[wave]) > len(shown) else ""
        lines.append(safe(f"  wave {wave}: {' '.join(shown)}{more}"))
    if plan["steps"] and not tasks:
        nodes = sorted({node for step in plan["steps"] if step["phase"] == "endpoints" for node in step["hosts"]})
        lines.append(safe(f"  endpoints: the files on {' '.join(nodes)} are not as they should be"))
    return lines


def summary_line(plan: Mapping[str, Any]) -> str:
    """One line of counts."""
    counts = [f"{plan['summary'][kind]} {words}" for kind, words in WORDS.items() if plan["summary"][kind]]
    return "Plan: " + (", ".join(counts) if counts else "nothing runs, nothing to do") + "."


def diff_text(plan: Mapping[str, Any]) -> str:
    """The plan as --diff shows it; empty when nothing changes."""
    return "\n".join(plan_lines(plan)) + "\n" if plan["steps"] else ""


def step_heads(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What a playbook needs to know of each step: {id, title, hosts}."""
    last = max((step["wave"] for step in steps), default=0)
    return [{"id": step["id"], "title": step_title(step, last), "hosts": sorted(step["hosts"])} for step in steps]


def step_title(step: Mapping[str, Any], last: int) -> str:
    """A step's headline: its wave of how many, what it does, where."""
    wave = f"wave {step['wave']}/{last}: " if step["wave"] else ""
    hosts = sorted(step["hosts"])
    where = " ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
    beside = f", drain and stop what wave {step['closes']} replaced" if "closes" in step else ""
    return safe(f"{wave}{PHASES[step['phase']]}{beside} ({where})")


def step_lines(node: str, result: Mapping[str, Any]) -> list[str]:
    """What one host did in one step, a line per task."""
    lines = []
    for image in result.get("pulled", []):
        lines.append(safe(f"  {node} pulled {image['image']}: {_size(image['bytes'])} in {image['seconds']:.1f} s"))
    for task in result.get("stopped", []):
        lines.append(safe(f"  {node} {task['service']}.{task['slot']}: stopped"))
    for task in result.get("tasks", []):
        name = task["name"] if "slot" not in task else f"{task['service']}.{task['slot']}"
        took = f" {task['seconds']:.1f} s" if task.get("seconds") else ""
        if task.get("ok", True):
            state = task.get("state") or DONE.get(str(result.get("phase")), "done")
            lines.append(safe(f"  {node} {name}: {state}{took}"))
            continue
        kept = " - the old one runs again" if task.get("restored") else ""
        lines.append(safe(f"  {node} {name}: FAILED{took}: {task.get('error')}{kept}"))
        lines += [safe(f"      log: {line}") for line in task.get("log") or []]
    return lines


def pulling_line(node: str, pulling: Sequence[Mapping[str, Any]]) -> str:
    """How far the images are that a host is pulling now."""
    shown = [f"{one['image']} {_size(one['done'])} of {_size(one['total'])}" for one in pulling[:SHOWN]]
    more = f" and {len(pulling) - SHOWN} more" if len(pulling) > SHOWN else ""
    return safe(f"  {node} pulling {', '.join(shown)}{more}")


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB"


def progress_lines(plan: Mapping[str, Any], state: Mapping[str, Any], step: Mapping[str, Any]) -> list[str]:
    """How far the roll is after a step: of each service in its wave, how many new tasks are ready, or have traffic."""
    if step["phase"] not in ("start", "endpoints"):
        return []
    new: dict[str, list[str]] = {}
    for change in plan["changes"]:
        if change["change"] in STARTERS:
            new.setdefault(change["service"], []).append(change.get("name", ""))
    known = set(state["done"] if step["phase"] == "start" else [task["name"] for task in state["serving"]])
    what = "ready" if step["phase"] == "start" else "with traffic"
    counts = [f"{name} {sum(1 for task in new[name] if task in known)}/{len(new[name])}" for name in sorted(new)]
    begun = [text for text in counts if " 0/" not in text]
    more = f" and {len(begun) - SHOWN} more" if len(begun) > SHOWN else ""
    return [safe(f"  {what}: {', '.join(begun[:SHOWN])}{more}")] if begun else []


def status_lines(status: Mapping[str, Any]) -> list[str]:
    """A terminal table of status.build()'s value: services, then nodes."""
    rows = [("SERVICE", "WANT", "RUN", "HEALTHY", "NODES", "IMAGE", "NOTE")]
    for name, entry in status["services"].items():
        note = "; ".join(entry["notes"])
        counts = (str(entry["want"]), str(entry["running"]), str(entry["healthy"]))
        rows.append((name, *counts, " ".join(entry["nodes"]), entry["image"], note))
    hosts = [("NODE", "STATE", "ADDRESS", "CPUS", "MEMORY", "CONTAINERS", "LABELS")]
    for name, node in status["nodes"].items():
        memory = f"{node['memory'] / 2**30:.1f} GiB" if node["memory"] else "-"
        labels = " ".join(f"{key}={value}" for key, value in sorted(node["labels"].items()))
        facts = (str(node["cpus"] or "-"), memory, str(node["containers"]))
        hosts.append((name, node["state"], node["address"], *facts, labels))
    return [f"FLEET  {status['fleet']}", *_table(rows), "", *_table(hosts)]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cells = [tuple(safe(cell) for cell in row) for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def conclusion_lines(plan: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    """How a run ended, what failed and why, and what to do next."""
    ended = outcome(state)
    if ended == "done":
        return [summary_line(plan).replace("Plan:", "DONE ", 1)]
    lines = ["ROLLED BACK" if ended == "rolled back" else "STOPPED"]
    before = state.get("before_rollback", {"failed": [], "problems": []})
    for problem in before["problems"] + state["problems"]:
        fix = f"; {problem['fix']}" if problem["fix"] else ""
        lines.append(safe(f"  {problem['code']} {problem['place']}: {problem['reason']}{fix}"))
    for entry in before["failed"] + state["failed"]:
        kept = "; the old one runs again" if entry["restored"] else ""
        lines.append(safe(f"  {entry['service']}.{entry['slot']} on {entry['node']}: {entry['error']}{kept}"))
        lines += [safe(f"      log: {line}") for line in entry["log"]]
    if state["done"]:
        lines.append(safe(f"  done before that: {' '.join(state['done'])}"))
    return [*lines, "  next: mend the cause and deploy again; the run goes on from what is observed then"]
