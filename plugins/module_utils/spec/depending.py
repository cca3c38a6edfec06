# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""depends_on: its forms, what it may name, and which services must have ended before others start."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from ..errors import show
from .document import KeyPath
from .findings import Findings
from .forms import read_strings
from .keys import nearest
from .reader import DROP, Reader, form, literal
from .template import restart_policy

STARTED, HEALTHY, ENDED = "service_started", "service_healthy", "service_completed_successfully"
CONDITIONS = (STARTED, HEALTHY, ENDED)


@form("depends_on")
def read_depends_on(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of services; a mapping of conditions if one of them says more than service_started."""
    if not isinstance(value, dict):
        return read_strings(reader, path, value)
    made: dict[str, dict[str, Any]] = {}
    for name, item in value.items():
        at = (*path, name)
        if item is not None and not isinstance(item, dict):
            reader.type_error(at, item, "a mapping with condition")
            continue
        made[name] = _condition(reader, at, item or {})
    plain = all(entry == {"condition": STARTED} for entry in made.values())
    return (list(made) if plain else made) or DROP


def _condition(reader: Reader, path: KeyPath, item: dict[str, Any]) -> dict[str, Any]:
    for name in sorted(set(item) - {"condition", "required", "restart"}):
        fix = f"known here: condition, required; {nearest(name, ('condition', 'required'))}".rstrip("; ")
        reader.refuse((*path, name), "STW-KEY", f"unknown key {show(name)}", fix, key=True)
    if item.get("restart"):
        reader.warn("depends_on.restart: no effect", path)
    condition, required = item.get("condition", STARTED), item.get("required", True)
    if condition not in CONDITIONS:
        fix = nearest(str(condition), CONDITIONS) or f"write {', '.join(CONDITIONS)}"
        reader.refuse((*path, "condition"), "STW-DEPENDS", f"condition {show(condition)} is unknown", fix)
        condition = STARTED
    if not isinstance(required, bool):
        reader.type_error((*path, "required"), required, "true or false")
    made = {"condition": literal(condition)}
    return {**made, "required": False} if required is False else made


def conditions(stated: Any) -> dict[str, dict[str, Any]]:
    """depends_on in its long form, whichever form it has."""
    if isinstance(stated, Mapping):
        return {name: dict(item) for name, item in stated.items()}
    return {name: {"condition": STARTED} for name in stated or ()}


def before(service: Mapping[str, Any]) -> list[str]:
    """The jobs that must have ended before the service is rolled (x-stowage.before)."""
    return list((service.get("x-stowage") or {}).get("before", ()))


def targets(service: Mapping[str, Any], known: Container[str]) -> list[str]:
    """What a service depends on: what is not required is left out if the stack has it not."""
    stated = conditions(service.get("depends_on"))
    required = [name for name, item in stated.items() if name in known or item.get("required", True)]
    return [*required, *(name for name in before(service) if name in known and name not in required)]


def awaited(services: Mapping[str, Any]) -> set[str]:
    """Names of the services that must have ended with 0 before others start."""
    return {name for service in services.values() for name in {*_ends(service), *before(service)}}


def check_dependencies(findings: Findings, services: Mapping[str, Any]) -> None:
    """Services that are not there, cycles, and waiting for the end of what never ends."""
    edges = {name: targets(service, services) for name, service in services.items()}
    for name, wanted in edges.items():
        for target in wanted:
            path = ("services", name, "depends_on", target)
            if target not in services:
                fix = nearest(target, services) or "name a service of this stack, in an active profile"
                findings.add(path, "STW-DEPENDS", f"service {show(target)} is not in the stack", fix)
    for target in sorted({name for service in services.values() for name in _ends(service)} & set(services)):
        stated = services[target]
        if runs_for_ever(stated):
            waiting = next(name for name in services if target in _ends(services[name]))
            fix = f"write restart: no or on-failure in {target}"
            reason = f"service {show(target)} is started again whenever it ends"
            findings.add(("services", waiting, "depends_on", target), "STW-DEPENDS", reason, fix)
    cycle = find_cycle(edges)
    if cycle:
        reason = f"cycle {' -> '.join(cycle)}"
        findings.add(("services", cycle[0], "depends_on", cycle[1]), "STW-DEPENDS", reason, "remove one of these")


def _ends(service: Mapping[str, Any]) -> set[str]:
    return {name for name, item in conditions(service.get("depends_on")).items() if item.get("condition") == ENDED}


def says_restart(service: Mapping[str, Any]) -> bool:
    """True if the service says whether it is started again."""
    return "restart" in service or "restart_policy" in (service.get("deploy") or {})


def runs_for_ever(service: Mapping[str, Any]) -> bool:
    """True if the service says that it is started again whenever it ends."""
    return says_restart(service) and restart_policy(service)["condition"] == "any"


def find_cycle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """The first cycle by name, first and last equal; [] if there is none. Without recursion: chains may be long."""
    done: set[str] = set()
    for start in sorted(edges):
        path, walk = [start], [iter(sorted(edges[start]))]
        while walk and start not in done:
            target = next(walk[-1], None)
            if target is None:
                done.add(path.pop())
                walk.pop()
            elif target in path:
                return [*path[path.index(target) :], target]
            elif target in edges and target not in done:
                path.append(target)
                walk.append(iter(sorted(edges[target])))
    return []
