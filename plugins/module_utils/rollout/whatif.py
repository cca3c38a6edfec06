# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What if, and why, for people: questions from extra variables, answers as lines of text. Nothing is changed by it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..errors import Problem, raise_all, show
from ..scheduler import whatif
from .placing import PIN, Question, answer
from .text import safe

CODE = "STW-OPTION"
MOST_LINES = 200
MOST_HOSTS = 10_000
MOST_REPLICAS = 1_000_000
MOST_WIDTH = 40  # of a task's name, before what follows is no longer in line
COPIES = re.compile(r"(\d{1,5})(?:\s*\*\s*(\S+))?", re.ASCII)
SIGNS = {"moved": ">", "new": "+", "housed": "+", "gone": "-", "homeless": "!"}


class Wish(NamedTuple):
    """What is asked: hosts to lose, hosts to add (a text `3`, `3*n1`, or nodes), {service: replicas}, survival."""

    without: Sequence[str] = ()
    add_hosts: Any = None
    scale: Mapping[str, str] = {}
    survive: bool = False

    def __bool__(self) -> bool:
        """True if anything is asked."""
        return bool(self.without or self.add_hosts is not None or self.scale or self.survive)


def scales(values: Iterable[str]) -> dict[str, str]:
    """{service: text} of texts `web=9`."""
    return {name.strip(): number.strip() for name, _equals, number in (value.partition("=") for value in values)}


def what_if_lines(asked: Question, wish: Wish) -> list[str]:
    """The answer to a wish, as lines. Raises StowageError (STW-OPTION, and what the scheduler refuses)."""
    before = answer(asked)
    question, words = _changed(_carried_out(asked, before), wish)
    lines: list[str] = []
    after = answer(Question(*question)) if words else before
    if words:
        lines.append(safe(f"WHAT IF  {', '.join(words)}"))
        lines += _difference_lines(whatif.difference(before, after))
    if wish.survive:
        lines += _survival_lines(question, after)
    return lines


def _carried_out(asked: Question, placed: Mapping[str, Any]) -> Question:
    """The question once its answer is true: what would change is told of the plan, not of what runs before it."""
    options = {key: value for key, value in asked.options.items() if key != "rebalance"}
    return asked._replace(current=[dict(one) for one in placed["placements"]], options=options)


def wish_problems(
    wish: Wish, nodes: Sequence[Mapping[str, Any]], services: Iterable[Mapping[str, Any]]
) -> list[Problem]:
    """Every mistake in a wish that shows before a plan is made. nodes: the fleet's. services: all that is stated."""
    problems: list[Problem] = []
    names = {node["name"] for node in nodes}
    problems += [unknown("without", "host", name, names) for name in wish.without if name not in names]
    _replicas(wish.scale, {one["name"]: one for one in services}, problems)
    _model(nodes, wish.add_hosts, problems)
    return problems


def _changed(asked: Question, wish: Wish) -> tuple[whatif.Question, list[str]]:
    problems: list[Problem] = []
    names = {node["name"] for node in asked.nodes}
    services = {one["name"]: one for one in asked.services if not one["name"].endswith(PIN)}
    question: whatif.Question = (asked.nodes, asked.services, asked.current, asked.options)
    words = []
    for name in wish.without:
        if name not in names:
            problems.append(unknown("without", "host", name, names))
    replicas = _replicas(wish.scale, services, problems)
    added, add_words = _added(asked.nodes, wish.add_hosts, problems)
    raise_all(problems)
    if wish.without:
        question = whatif.lose(question, wish.without)
        words.append(f"without {' '.join(wish.without)}")
    if added:
        question = whatif.join(question, added)
        words.append(add_words)
    if replicas:
        question = whatif.scale(question, replicas)
        words += [f"{name} scaled to {number}" for name, number in sorted(replicas.items())]
    return question, words


def _replicas(
    stated: Mapping[str, str], services: Mapping[str, Mapping[str, Any]], problems: list[Problem]
) -> dict[str, int]:
    found = {}
    for given, number in stated.items():
        name = full_name(given, services)
        if name is None:
            problems.append(unknown("scale", "service", given, services))
        elif not re.fullmatch(r"\d{1,7}", number, re.ASCII) or int(number) > MOST_REPLICAS:
            fix = f"write scale=web=9; at most {MOST_REPLICAS}"
            problems.append(Problem(CODE, "scale", f"{show(number)} is no number of replicas", fix))
        elif str(services[name].get("mode", "")).startswith("global"):
            problems.append(Problem(CODE, "scale", f"{name} is global: it runs on every host", "lose or add hosts"))
        else:
            found[name] = int(number)
    return found


def _added(nodes: Sequence[Mapping[str, Any]], wish: Any, problems: list[Problem]) -> tuple[list[Any], str]:
    if isinstance(wish, (list, tuple)) and all(isinstance(node, Mapping) for node in wish):
        return list(wish), f"with {len(wish)} more hosts"
    model, number = _model(nodes, wish, problems)
    return (whatif.copies(nodes, model, number), f"with {number} more hosts like {model}") if model else ([], "")


def _model(nodes: Sequence[Mapping[str, Any]], wish: Any, problems: list[Problem]) -> tuple[str, int]:
    """(the host that added ones are like, how many) of a wish such as 3 or 3*n1; ("", 0) if it is a list, or wrong."""
    if wish is None or wish == "":
        return "", 0
    fix = "write add_hosts=3, add_hosts=3*n1, or a list of nodes [{name: new, capacity: {cpus: 4}}]"
    fix += f"; at most {MOST_HOSTS}"
    if isinstance(wish, (list, tuple)):
        if not all(isinstance(node, Mapping) for node in wish):
            problems.append(Problem(CODE, "add_hosts", "is no list of nodes", fix))
        return "", 0
    match = COPIES.fullmatch(str(wish).strip()) if not isinstance(wish, bool) else None
    known = {node["name"] for node in nodes}
    if match is None or int(match.group(1)) > MOST_HOSTS:
        problems.append(Problem(CODE, "add_hosts", f"{show(wish)} is no number of hosts", fix))
        return "", 0
    active = [node["name"] for node in nodes if node.get("availability") == "active" and not node.get("unknown")]
    model = match.group(2) or next(iter(active), "")
    if model not in known:
        problems.append(unknown("add_hosts", "host", model, known))
        return "", 0
    return model, int(match.group(1))


def full_name(given: str, services: Collection[str]) -> str | None:
    """The full name of a service: as it is, or by the short name if only one service has it."""
    if given in services:
        return given
    ends = [name for name in services if name.endswith(f"_{given}")]
    return ends[0] if len(ends) == 1 else None


def unknown(option: str, kind: str, name: str, known: Iterable[str]) -> Problem:
    """The refusal of a name that does not exist, with the near ones (of services the short names too)."""
    names = {*known, *(full.partition("_")[2] for full in known if kind == "service" and "_" in full)}
    near = get_close_matches(name, sorted(names), 3, 0.6)
    fix = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known)[:10])}"
    return Problem(CODE, option, f"no {kind} is called {show(name)}", fix)


def _difference_lines(changed: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    lines = []
    names = [f"{one['service']}.{one['slot']}" for kind in SIGNS for one in changed[kind]]
    width = min(max(map(len, names), default=0), MOST_WIDTH)
    for kind, sign in SIGNS.items():
        for one in changed[kind]:
            where = f"{one['from']} -> {one['to']}" if kind == "moved" else one.get("node", "no home")
            name = f"{one['service']}.{one['slot']}"
            lines.append(safe(f"  {sign} {name:<{width}}  {where:<14} {one.get('why', '')}".rstrip()))
    words = {
        "moved": "to move",
        "new": "to add",
        "housed": "find a home",
        "gone": "to remove",
        "homeless": "without a home",
    }
    counts = [f"{len(changed[kind])} {text}" for kind, text in words.items() if changed[kind]]
    return [*_cut(lines), f"  {', '.join(counts) if counts else 'nothing changes'}"]


def _survival_lines(question: whatif.Question, placed: Mapping[str, Any]) -> list[str]:
    report = whatif.survival(question, {**placed, "placements": _with_pins(question, placed)})
    lines = ["SURVIVAL  lose any one host"]
    for entry in report:
        homeless = [one for one in entry["homeless"] if not one["service"].endswith(PIN)]
        fate = f"{len(homeless)} would have no home" if homeless else "all find a home"
        lines.append(safe(f"  {entry['node']:<12} {entry['replicas']} replicas: {fate}"))
        lines += _cut([safe(f"    ! {one['service']}.{one['slot']}  {one['why']}") for one in homeless])
    fine = sum(1 for one in report if not any(not lost["service"].endswith(PIN) for lost in one["homeless"]))
    return [*lines, f"  {fine} of {len(report)} hosts can be lost"]


def _with_pins(question: whatif.Question, placed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The placements, and the stand-ins of blocked services where they are."""
    pins = [entry for entry in question[2] if entry["service"].endswith(PIN)]
    return [*placed["placements"], *pins]


def _cut(lines: list[str]) -> list[str]:
    more = len(lines) - MOST_LINES
    return lines if more <= 0 else [*lines[:MOST_LINES], f"  ... and {more} more"]


def why_lines(asked: Question, tasks: Iterable[str], blocked: Mapping[str, str]) -> list[str]:
    """Why each of the tasks (service.slot, or a service: all of it) is where it is, or nowhere.

    blocked: {service: why nothing of it moves}.

    Raises StowageError (STW-OPTION) for tasks of services that do not exist.
    """
    services = [one["name"] for one in asked.services if not one["name"].endswith(PIN)]
    known, problems, named = [*services, *blocked], [], []
    for task in tasks:
        given, _dot, slot = task.partition(".")
        name = full_name(given, known)
        if name is None:
            problems.append(unknown("explain", "service", given, known))
        elif slot or name in blocked:
            named.append((name, slot or "*"))
        else:
            named += [(name, each) for each in _slots(asked, name)]
    raise_all(problems)
    wanted = [f"{name}.{slot}" for name, slot in named if name not in blocked]
    result = answer(asked._replace(options={**asked.options, "explain": wanted})) if wanted else {"reasons": {}}
    lines: list[str] = []
    for name, slot in named:
        task = f"{name}.{slot}"
        if name in blocked:
            lines.append(safe(f"WHY  {task}  blocked: {blocked[name]}"))
            continue
        lines += _why(task, result.get("explain", {}).get(task), result["reasons"].get(task))
    return lines


def _slots(asked: Question, name: str) -> list[str]:
    """All slots of a service: 1 to its replicas, or the hosts' names."""
    service = next(one for one in asked.services if one["name"] == name)
    if str(service.get("mode", "")).startswith("global"):
        return sorted(node["name"] for node in asked.nodes)
    return [str(number) for number in range(1, int(service.get("replicas", 1)) + 1)]


def _why(task: str, told: Mapping[str, Any] | None, reason: Mapping[str, Any] | None) -> list[str]:
    if (told or reason or {"decision": "absent"})["decision"] == "absent":
        return [safe(f"WHY  {task}  is not wanted: no such slot")]
    told = told or reason or {}
    where = told.get("node") or "no home"
    why = str(told.get("why", ""))
    why = why if why.startswith(f"{where}: ") else f"{where}: {why}"
    lines = [safe(f"WHY  {task}  {told.get('decision', '')}  {why}")]
    for entry in told.get("filters", ()):
        hosts = entry["removed"]
        shown = " ".join(hosts[:8]) + (f" and {len(hosts) - 8} more" if len(hosts) > 8 else "")
        if hosts:
            lines.append(
                safe(f"  filter {entry['filter']} removed {len(hosts)}: {shown}  {entry.get('why') or ''}".rstrip())
            )
    for at, entry in enumerate(told.get("candidates", ())):
        score = ", ".join(f"{name} {number}" for name, number in entry.get("score", {}).items())
        kind = ("chosen", "runner-up")[at] if at < 2 else "also"
        lines.append(safe(f"  {kind} {entry.get('words') or entry['node']} ({score})"))
    for entry in told.get("nearest", ()):
        misses = "; ".join(str(miss.get("words") or miss.get("filter")) for miss in entry["misses"])
        lines.append(safe(f"  near miss {entry['node']}: {misses}"))
    if told.get("smallest_change"):
        lines.append(safe(f"  smallest change: {told['smallest_change']}"))
    return lines
