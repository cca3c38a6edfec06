# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A held canary in Traefik's file: its share of the requests, those that match a rule, or copies of them.

A canary is a Service of its own beside the stable one, with the key
    canary: {of: name of the stable service, weight: 0 to 100, match: rule or "", mirror: percent or None}
Each HTTP service `web` of the stable one becomes three: `web-stable`, `web-canary`, and `web` over both. Whoever names
`web`, labels of others too, meets both.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import Problem, show
from .convert import Task, convert, is_enabled
from .defaults import complete_http
from .rules import Mistake, check_rule

STABLE, CANARY = "-stable", "-canary"
WHOLE = 100
# A copy needs the body twice in memory: greater ones are not copied to the canary.
MIRROR_BODY = 1048576
Service = Mapping[str, Any]


def apart(services: Iterable[Service]) -> tuple[list[Service], list[Service]]:
    """(services with routes of their own, canaries), each in the order given."""
    listed = list(services)
    return [one for one in listed if not one.get("canary")], [one for one in listed if one.get("canary")]


def check_stated(service: Service, options: Mapping[str, Any]) -> list[Problem]:
    """STW-CANARY for a canary that the service's labels give no way to its requests, and for a rule that is none."""
    stated = (service.get("update") or {}).get("canary")
    if not stated:
        return []
    where = f"{service['name']} x-stowage.canary"
    problems = []
    unheard: list[Problem] = []  # of the labels: told with the service
    enabled = is_enabled(service, options, unheard)
    items = convert(service, [], options, unheard) if enabled else []
    if not any(item[:2] == ("http", "routers") for item in items):
        reason = "the service has no HTTP router that could send requests to it"
        problems.append(Problem("STW-CANARY", where, reason, "add traefik labels, or remove canary"))
    if stated["match"]:
        mistake = check_rule(stated["match"])[1]
        if "{{" in stated["match"] or not stated["match"].isprintable():
            mistake = Mistake("templates and control characters are no part of a rule", "write Header(`X-Canary`, `1`)")
        if mistake:
            problems.append(Problem("STW-CANARY", f"{where}.match", mistake.reason, mistake.fix))
    return problems


def without_requests(before: Service, now: Service) -> Problem | None:
    """STW-CANARY if the new version's labels name none of the Traefik services that the old one's routes lead to."""
    old, new = _named(before), _named(now)
    if not old or old & new:
        return None
    reason = f"its labels speak of Traefik service {_listed(new)}, and requests go to {_listed(old)}: it would get none"
    fix = "keep the names of Traefik services, or take canary away for this change"
    return Problem("STW-CANARY", f"{now['name']} x-stowage.canary", reason, fix)


def _named(service: Service) -> set[str]:
    """The HTTP services of Traefik that a Service's labels define."""
    unheard: list[Problem] = []  # labels are judged where routes are made
    return {item.name for item in convert(service, [], {}, unheard) if item[:2] == ("http", "services")}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(show(name) for name in sorted(names)) or "none"


def add_canary(
    http: dict[str, Any],
    owned: Iterable[str],
    canary: Service,
    tasks: Sequence[Task],
    options: Mapping[str, Any],
) -> list[Problem]:
    """Bring one canary into a complete `http` section, in place; what is wrong with names that it needs.

    owned: Traefik services of the stable Service alone. tasks: those of the canary that serve; without one nothing
    changes, so a canary that died gets no request. The canary's own labels say nothing: routes are the stable one's.
    """
    names = sorted(owned)
    made = _balancers(canary, tasks, options)
    names = [name for name in names if made.get(name, {}).get("servers")]
    problems = _taken(http["services"], names, canary)
    if problems:
        return problems
    rule = canary["canary"]
    for name in names:
        _split(http["services"], name, made[name], rule)
    if rule.get("match"):
        _match(http, set(names), rule["match"])
    return []


def _balancers(canary: Service, tasks: Sequence[Task], options: Mapping[str, Any]) -> dict[str, Any]:
    """{Traefik service of the stable one: load balancer over the canary's tasks}, with the defaults of the ingress."""
    unheard: list[Problem] = []  # the same labels were judged with the stable service
    named = {**canary, "name": canary["canary"]["of"]}  # services that labels do not name are called after it
    items = [item for item in convert(named, tasks, options, unheard) if item[:2] == ("http", "services")]
    section = {"services": {item.name: item.value for item in items}}
    if options.get("defaults", True):
        complete_http(section, {item.name: [canary] for item in items})
    return {name: value["loadBalancer"] for name, value in section["services"].items()}


def _taken(services: Mapping[str, Any], names: Iterable[str], canary: Service) -> list[Problem]:
    fix = "rename that Traefik service"
    return [
        Problem("STW-CANARY", str(canary["canary"]["of"]), f"Traefik service {name + end} exists already", fix)
        for name in names
        for end in (STABLE, CANARY)
        if name + end in services
    ]


def _split(services: dict[str, Any], name: str, balancer: dict[str, Any], rule: Mapping[str, Any]) -> None:
    """One Traefik service to three."""
    stable = services[name]
    services[name + STABLE], services[name + CANARY] = stable, {"loadBalancer": balancer}
    if not stable["loadBalancer"]["servers"]:
        services[name] = {"weighted": {"services": [{"name": name + CANARY, "weight": WHOLE}]}}
    elif rule.get("mirror"):
        mirrors = [{"name": name + CANARY, "percent": rule["mirror"]}]
        services[name] = {
            "mirroring": {"service": name + STABLE, "mirrors": mirrors, "maxBodySize": MIRROR_BODY},
        }
    else:
        services[name] = {"weighted": _weighted(name, stable["loadBalancer"], balancer, int(rule["weight"]))}


def _weighted(name: str, stable: Mapping[str, Any], canary: Mapping[str, Any], weight: int) -> dict[str, Any]:
    shares = [(name + STABLE, WHOLE - weight), (name + CANARY, weight)]
    found: dict[str, Any] = {"services": [{"name": one, "weight": share} for one, share in shares if share]}
    if all(balancer.get("healthCheck") for balancer in (stable, canary)):
        found["healthCheck"] = {}  # a side without a healthy server leaves its share to the other one
    cookie = (stable.get("sticky") or {}).get("cookie")
    if cookie:  # who has a session stays with the version that it began with
        own = copy.deepcopy(dict(cookie))
        found["sticky"] = {"cookie": {**own, "name": f"{own['name']}_side"}}
    return found


def _match(http: dict[str, Any], names: set[str], match: str) -> None:
    """Beside each router of the service one for the requests that match, just before it."""
    routers = http.get("routers") or {}
    for router, value in sorted(routers.items()):
        if value.get("service") in names:
            # Traefik's own priority is the rule's length: no more than one above, or it would pass others by.
            priority = int(value.get("priority") or len(value["rule"].encode())) + 1
            routers[router + CANARY] = {
                **copy.deepcopy(value),
                "rule": f"({value['rule']}) && ({match})",
                "priority": priority,
                "service": value["service"] + CANARY,
            }


def add_canaries(
    http: dict[str, Any],
    owners: Mapping[str, Sequence[str]],
    canaries: Iterable[Service],
    serving: Callable[[str], Sequence[Task]],
    options: Mapping[str, Any],
) -> list[Problem]:
    """All canaries, in the order given. owners: {Traefik service: Services that define it}.

    A Traefik service of several Services is left alone: a share of one of them cannot be told.
    """
    problems: list[Problem] = []
    for canary in canaries:
        stable = canary["canary"]["of"]
        owned = [name for name, found in owners.items() if list(found) == [stable]]
        problems += add_canary(http, owned, canary, serving(canary["name"]), options)
    return problems
