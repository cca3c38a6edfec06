# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.placement: read, judged by the scheduler's own reading, and compiled together with deploy.placement."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

from ..errors import show
from ..scheduler.constraints import Constraint
from ..scheduler.grammar import parse_rules
from ..scheduler.never import pairs
from ..scheduler.reader import Reader as Values
from ..scheduler.reading_services import read_service
from .document import KeyPath
from .findings import Findings
from .keys import nearest
from .reader import DROP, Reader, form, literal

PLACE = re.compile(r"service [^.]*\.(\w+)(?:\[(\d+)\])?")
OWN_KEYS = ("groups", "tolerations", "priority", "preempt", "stateful")
CODES = {"STW-SCHEDULE": "STW-PLACEMENT"}


class _Any(frozenset[str]):
    """Every host: which hosts there are is not known when a stack file is read."""

    def __contains__(self, name: object) -> bool:
        return True


@form("rules")
def read_rules(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of constraints; Marathon's lists `[hostname, GROUP_BY, "3"]` become `hostname:GROUP_BY:3`."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each item with a dash")
    made = []
    for index, item in enumerate(value):
        parts = item if isinstance(item, list) else [item]
        if not 0 < len(parts) < 4 or not all(_scalar(part) for part in parts) or not isinstance(parts[0], str):
            reader.type_error(
                (*path, index), item, "a constraint", "write node.labels.disk == ssd, or [hostname, UNIQUE]"
            )
        else:
            made.append(":".join(literal(part) for part in parts))
    return made or DROP


def _scalar(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def compile_placement(
    stack: str, names: Container[str], stated: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """A Service's `placement` (docs/architecture.md) from deploy.placement and x-stowage.placement.

    names: the services of the stack, by their short names.
    """
    over = {item["over"]: item.get("max_skew") for item in own.get("spread", ())}
    wanted = list(dict.fromkeys([*(item["spread"] for item in stated.get("preferences", ())), *over]))
    spread = [{"spread": key, **({"max_skew": over[key]} if over.get(key) is not None else {})} for key in wanted]
    affinities = [
        {**_target(stack, names, item), **({"anti": True} if kind == "anti_affinity" else {})}
        for kind in ("affinity", "anti_affinity")
        for item in own.get(kind, ())
    ]
    made: dict[str, Any] = {
        "constraints": sorted({*stated.get("constraints", ()), *own.get("constraints", ())}),
        "preferences": spread,
        "max_replicas_per_node": stated.get("max_replicas_per_node", 0),
        "strategy": own.get("strategy"),
        "hosts": sorted(own.get("hosts", ())),
        **({"affinities": affinities} if affinities else {}),
    }
    return {**made, **{key: own[key] for key in OWN_KEYS if key in own}}


def _target(stack: str, names: Container[str], item: Mapping[str, Any]) -> dict[str, Any]:
    """An affinity with the full name of its service."""
    if item.get("service") in (None, "") or item["service"] not in names:
        return dict(item)
    return {**item, "service": f"{stack}_{item['service']}"}


def check_placement(findings: Findings, name: str, service: Mapping[str, Any], names: Container[str]) -> None:
    """Note what the scheduler would refuse, at its place in the file; and rules that exclude each other anywhere."""
    deploy = service.get("deploy") or {}
    stated, own = deploy.get("placement") or {}, (service.get("x-stowage") or {}).get("placement") or {}
    path: KeyPath = ("services", name, "x-stowage", "placement")
    if own:
        _own(findings, path, own, deploy, names)
    constraints = {
        rule
        for text in {*stated.get("constraints", ()), *own.get("constraints", ())}
        for rule in parse_rules(text, "", [])
        if isinstance(rule, Constraint)
    }
    hosts = sorted(own.get("hosts", ()))
    if hosts:
        constraints.add(Constraint("node.hostname", "in", f"({', '.join(hosts)})"))
    at = path if own else ("services", name, "deploy", "placement", "constraints")
    for reason in pairs(sorted(constraints)):
        text = reason.replace(f"node.hostname in ({', '.join(hosts)})", f"hosts [{', '.join(hosts)}]")
        findings.add(at, "STW-CONTRADICTION", text, "no host can satisfy both: drop one")


def _own(
    findings: Findings, path: KeyPath, own: Mapping[str, Any], deploy: Mapping[str, Any], names: Container[str]
) -> None:
    made = compile_placement("", (), {}, own)
    asked = {key: made[key] for key in ("constraints", "preferences", "affinities", *OWN_KEYS) if key in made}
    asked["constraints"] = list(own.get("constraints", ()))
    asked["preferences"] = [_renamed(item) for item in own.get("spread", ())]
    values = Values()
    read_service(values, {"name": path[1], "replicas": deploy.get("replicas", 1), **asked}, 0, _Any())
    for problem in values.problems:
        place, entry = _place(own, problem.place)
        code = CODES.get(problem.code, problem.code)
        findings.add((*path, *place), code, problem.reason, problem.fix, entry)
    for kind in ("affinity", "anti_affinity"):
        for item in own.get(kind, ()):
            target = item.get("service", "")
            if target and target not in names and "_" not in target:
                fix = nearest(target, names) if isinstance(names, Mapping) else ""
                reason = f"service {show(target)} is not in the stack"
                findings.add(
                    (*path, kind), "STW-REFERENCE", reason, fix or "name another stack's as <stack>_<service>", item
                )


def _renamed(item: Mapping[str, Any]) -> dict[str, Any]:
    return {("spread" if key == "over" else key): value for key, value in item.items()}


def _place(own: Mapping[str, Any], text: str) -> tuple[tuple[Any, ...], Any]:
    """The path below x-stowage.placement, and the list item, of a place that the scheduler names."""
    match = PLACE.match(text)
    if match is None:
        return (), None
    key, index = match.group(1), int(match.group(2) or 0)
    if key == "affinities":
        towards = list(own.get("affinity", ()))
        key, index = ("affinity", index) if index < len(towards) else ("anti_affinity", index - len(towards))
    elif key == "preferences":
        key = "spread"
    items = own.get(key)
    if not isinstance(items, list) or match.group(2) is None:
        return (key,), None
    return ((key, items[index]), None) if isinstance(items[index], str) else ((key,), items[index])


def beyond_swarm(text: str) -> bool:
    """True if the text is a rule that only x-stowage.placement.constraints takes."""
    found = parse_rules(text, "", [])
    return bool(found) and not all(isinstance(one, Constraint) and one.operator in ("==", "!=") for one in found)
