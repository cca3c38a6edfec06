# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The revision of pulled configuration in a plan: a store that changed is another definition of its users. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem
from .tasks import REVISION

CODE = "STW-CONFIGSOURCE"
Service = Mapping[str, Any]


class Answer(NamedTuple):
    """What a service's store told: a revision and the names below the prefix (None: not told), or why nothing."""

    revision: str = ""
    names: list[str] | None = None
    reason: str = ""
    refused: bool = False  # it will not tell later either


def place(service: Service) -> str:
    """Where a mistake in a service's store is, in words."""
    config = service["template"]["config"]
    return f"service {service['name']}: {config['type']} {config['prefix']}".rstrip()


def problems(service: Service, answer: Answer) -> list[Problem]:
    """Why the service cannot start with what its store has."""
    if answer.refused:
        return [Problem(CODE, place(service), answer.reason, "mend config_source, or the store's content and rights")]
    required, known = service["template"]["config"].get("require", ()), answer.names
    absent = [] if known is None or answer.reason else [name for name in required if name not in known]
    fix = "add it to the store (stowage.fleet.publish_config), or take it from require"
    return [Problem(CODE, place(service), f"the store has no {name}, which require names", fix) for name in absent]


def revised(service: Service, answer: Answer, running: str) -> tuple[dict[str, Any], list[str]]:
    """The Service with its revision, and what the plan warns of. running: the revision that its containers have, or "".

    Without an answer what runs counts as the newest.
    """
    template, found = service["template"], answer.revision or running
    label = {REVISION: found} if found else {}
    made = {
        **template,
        "config": {**template["config"], "revision": found},
        "labels": dict(sorted({**template.get("labels", {}), **label}.items())),
    }
    if not answer.reason:
        return {**service, "template": made}, []
    kept = "what runs counts as the newest" if running else "and none runs with any: a deploy needs the store"
    return {**service, "template": made}, [f"{place(service)}: {answer.reason}: {kept}"]


def running(containers: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """{service: revision} that containers were made for, as far as all of a service agree."""
    found: dict[str, set[str]] = {}
    for container in containers:
        if container.get("config"):
            found.setdefault(container["service"], set()).add(container["config"])
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}


def unknown(plan: Mapping[str, Any]) -> list[Problem]:
    """One Problem for each service that the plan would start without knowing its configuration's revision."""
    found = {}
    for step in plan["steps"]:
        for share in step["hosts"].values() if step["phase"] == "start" else ():
            for task in share["tasks"]:
                config = (share["services"].get(task["spec"]) or {}).get("config")
                if config and not config["revision"]:
                    found[task["service"]] = config
    reason, fix = "its store does not answer, so what it would start with is not known", "bring the store back"
    return [
        Problem(CODE, f"service {name}: {config['type']} {config['prefix']}".rstrip(), reason, fix)
        for name, config in sorted(found.items())
    ]
