# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Canaries: what is wanted of services whose new version begins beside the old one.

A service whose stack file states `canary` is held at the version it was deployed as while a Service of its own,
`<name>-canary`, runs the new one. What is remembered is on the hosts alone: the old version in the records of releases
(an Observation's `deployed`), that a version was aborted (`aborted`), that it was promoted by its own containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest
from ..discovery.canary import without_requests
from ..errors import Problem, raise_all, show
from ..fleet import owned, ready
from ..fleet.observed import ACTIVE_STATES
from ..spec.canary import canary_replicas
from .releases import Secrets

END = "-canary"
CODE = "STW-CANARY"
AGREED = 2  # hosts that must remember the same old version, if so many answered
Service = Mapping[str, Any]
Observations = Mapping[str, Mapping[str, Any]]
Before = Mapping[str, "dict[str, Any] | None"]  # {service: what _before() says of it}


class Canaries(NamedTuple):
    """What is wanted once canaries are seen to.

    compiled: as plan() takes it. found: {service: {state: held | aborted | promoted, of: image before, to: image now,
    spec, replicas, weight, match, mirror, hold, known: whether the old version is on record}}. blocked: services that
    keep just what they have, because nobody remembers what they were.
    """

    compiled: dict[str, Any]
    found: dict[str, dict[str, Any]]
    blocked: dict[str, Problem]


def settle(compiled: Mapping[str, Any], observations: Observations, options: Mapping[str, Any]) -> Canaries:
    """What is wanted, of each service with a canary the old and the new version.

    options: promote, abort, retry [services]. Raises StowageError (STW-CANARY) for a promotion or an end of what is no
    canary, or does not serve.
    """
    services = {service["name"]: service for service in compiled["services"]}
    containers = owned(observations)
    found: dict[str, dict[str, Any]] = {}
    for name, service in sorted(services.items()):
        if _holds(service, containers):
            found[name] = _state(service, containers, observations, options)
    raise_all(_asked_problems(services, found, containers, options))
    before = {name: _before(services[name], observations) for name, one in found.items() if one["state"] != "promoted"}
    raise_all(_taken(services, found) + _unreached(services, found, before))
    return _wanted(compiled, services, found, before)


def _holds(service: Service, containers: Iterable[Mapping[str, Any]]) -> bool:
    """Another version of it runs, and none of this one: then a roll to it has not begun."""
    if not service["update"].get("canary"):
        return False
    spec = digest(service["template"])
    mine = [c for c in containers if c["service"] == service["name"] and c["state"] in ACTIVE_STATES]
    return bool(mine) and all(c["spec"] != spec for c in mine)


def _state(
    service: Service,
    containers: Iterable[Mapping[str, Any]],
    observations: Observations,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    name, spec, rule = service["name"], digest(service["template"]), service["update"]["canary"]
    state = "held"
    if name in options.get("promote", ()):
        state = "promoted"
    elif name in options.get("abort", ()) or (
        spec in aborted(observations).get(name, ()) and name not in options.get("retry", ())
    ):
        state = "aborted"
    before = sorted({c["image"] for c in containers if c["service"] == name and c["state"] in ACTIVE_STATES})
    return {
        **{key: rule[key] for key in ("weight", "match", "mirror", "hold")},
        "state": state,
        "of": ", ".join(before),
        "to": service["template"]["image"],
        "spec": spec,
        "replicas": canary_replicas(rule, service["replicas"]),
    }


def aborted(observations: Observations) -> dict[str, set[str]]:
    """{service: specs that were aborted}, as far as any host remembers."""
    found: dict[str, set[str]] = {}
    for seen in observations.values():
        for name, spec in (seen.get("aborted") or {}).items():
            found.setdefault(str(name), set()).add(str(spec))
    return found


def beside_now(observations: Observations) -> dict[str, set[str]]:
    """{service: specs of its canary that run}."""
    found: dict[str, set[str]] = {}
    for container in owned(observations):
        if container["service"].endswith(END) and container["state"] in ACTIVE_STATES:
            found.setdefault(container["service"][: -len(END)], set()).add(container["spec"])
    return found


def planned(found: Mapping[str, Mapping[str, Any]], observations: Observations) -> dict[str, Any]:
    """What a plan has of canaries: {canaries, aborted: {service: spec} that hosts shall remember}, each only if so."""
    wanted = {name: one["spec"] for name, one in sorted(found.items()) if one["state"] == "aborted"}
    told = {"aborted": wanted} if wanted or aborted(observations) else {}
    return {"canaries": found, **told} if found else told


def _asked_problems(
    services: Mapping[str, Service],
    found: Mapping[str, Mapping[str, Any]],
    containers: list[dict[str, Any]],
    options: Mapping[str, Any],
) -> list[Problem]:
    problems = []
    for what in ("promote", "abort", "retry"):
        for name in sorted(set(options.get(what, ()))):
            reason, fix = _refused(what, name, services, found, containers)
            if reason:
                problems.append(Problem(CODE, f"{what} {show(name)}", reason, fix))
    return problems


def _refused(
    what: str,
    name: str,
    services: Mapping[str, Service],
    found: Mapping[str, Mapping[str, Any]],
    containers: list[dict[str, Any]],
) -> tuple[str, str]:
    """Why it cannot be promoted or aborted, and what to do; ("", "") if it can."""
    held = ", ".join(sorted(found)) or "none"
    if name not in services:
        return "is no service of a stack file", f"say <stack>_<service>; services with a canary now: {held}"
    if name not in found:
        return "has no canary now", f"services with a canary now: {held}"
    mine = [c for c in containers if c["service"] == name + END and c["state"] in ACTIVE_STATES]
    if what == "retry":
        return "", ""
    if what == "abort":
        return ("", "") if mine else ("no canary of it runs", "take the change out of the stack file")
    serving = [c for c in mine if c["spec"] == found[name]["spec"] and ready(c)]
    wanted = found[name]["replicas"]
    if len(serving) < wanted:
        reason = f"{len(serving)} of {wanted} tasks of its canary run this version and are ready"
        fix = f"deploy (-e stowage_retry={name} if it was aborted), and look at the canary before it is promoted"
        return reason, fix
    return "", ""


def _taken(services: Mapping[str, Service], found: Iterable[str]) -> list[Problem]:
    return [
        Problem(CODE, f"service {name}", f"its canary would be called {name}{END}, as another service", "rename one")
        for name in found
        if name + END in services
    ]


def _unreached(
    services: Mapping[str, Service], found: Mapping[str, Mapping[str, Any]], before: Before
) -> list[Problem]:
    """A Problem for each canary whose version is known by other names in Traefik's file than the one that serves."""
    held = {name: old for name, old in before.items() if old and found[name]["state"] == "held"}
    judged = (without_requests(old["service"], services[name]) for name, old in held.items())
    return [problem for problem in judged if problem]


def _wanted(
    compiled: Mapping[str, Any],
    services: dict[str, dict[str, Any]],
    found: dict[str, dict[str, Any]],
    before: Before,
) -> Canaries:
    files, secrets = dict(compiled["files"]), Secrets(compiled)
    wanted, blocked = dict(services), {}
    for name, one in found.items():
        if one["state"] == "promoted":
            continue
        if one["state"] == "held":
            wanted[name + END] = beside(services[name], one)
        old = before[name]
        one["known"] = old is not None
        if old is None:
            reason = f"it holds {one['of']}, and no record of that version is kept: what is lost of it is not replaced"
            blocked[name] = Problem(CODE, f"service {name}", reason, "promote or abort the canary")
        else:
            files.update({key: entry for key, entry in old["files"].items() if key not in files})
            wanted[name] = secrets.named(_kept(old["service"], services[name]), files)[0]
    made = [_letting(service, found) for service in wanted.values()]
    return Canaries({**compiled, "services": made, "files": files}, found, blocked)


def beside(service: Service, one: Mapping[str, Any]) -> dict[str, Any]:
    """The Service of a canary: the new version, a few tasks, for requests through the ingress only."""
    dropped = ("vip", "aliases", "sources", "pre_roll", "must_end")
    made = {key: value for key, value in service.items() if key not in dropped}
    own = service["name"]
    near = [
        {**one, "service": own + END} if one.get("service") == own else one
        for one in service["placement"].get("affinities") or ()
    ]
    return {
        **made,
        "placement": {**service["placement"], **({"affinities": near} if near else {})},
        "name": service["name"] + END,
        "short": service["short"] + END,
        "replicas": one["replicas"],
        "ports": [],
        "aliases": [],
        "endpoint_mode": "dnsrr",
        "update": {key: value for key, value in service["update"].items() if key != "canary"},
        "canary": {"of": service["name"], **{key: one[key] for key in ("weight", "match", "mirror")}},
    }


def _kept(before: Service, now: Service) -> dict[str, Any]:
    """The old version, as many of it as are wanted now. That it has a canary is kept with it."""
    return {
        **before,
        "replicas": now["replicas"],
        "update": {**before["update"], "canary": now["update"]["canary"]},
    }


def _before(service: Service, observations: Observations) -> dict[str, Any] | None:
    """{service, files} of the version before, if enough hosts remember the same; a single host is not believed."""
    told: dict[str, list[dict[str, Any]]] = {}
    for node in sorted(observations):
        one = (observations[node].get("deployed") or {}).get(service["name"])
        if one and one["service"].get("name") == service["name"] and one["service"].get("stack") == service["stack"]:
            told.setdefault(digest(one), []).append(one)
    best = max(sorted(told), key=lambda key: len(told[key]), default="")
    if not best or len(told[best]) < min(AGREED, len(observations)):
        return None
    same = digest(told[best][0]["service"]["template"]) == digest(service["template"])
    return None if same else told[best][0]


def _letting(service: Service, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The service with its canaried callers' canaries let in where those are."""
    allow = list(service.get("allow") or ())
    held = {name for name, one in found.items() if one["state"] == "held"}
    more = [{**entry, "from": entry["from"] + END} for entry in allow if entry["from"] in held]
    return {**service, "allow": allow + more} if more else dict(service)


def of(name: str, services: Mapping[str, Service]) -> str:
    """The service that a container belongs to as others see it: a canary that leaves counts as its service's."""
    stem = name[: -len(END)]
    return stem if name.endswith(END) and name not in services and stem in services else name


def lines(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What the plan says of canaries, for people."""
    return [f"  canary {name}: {words(one)}" for name, one in sorted(found.items())]


def words(one: Mapping[str, Any]) -> str:
    """One canary: versions, its share, and what may be done."""
    versions = f"{one['of']} -> {one['to']}" if one["of"] != one["to"] else f"a new definition of {one['to']}"
    if one["state"] == "promoted":
        return f"{versions} is promoted"
    if one["state"] == "aborted":
        return f"{versions} was aborted, the old version stays; deploy with stowage_retry, or change the stack file"
    shares = [f"{one['weight']} % of the requests"] if one["weight"] else []
    shares += [f"what matches {one['match']}"] if one["match"] else []
    shares += [f"copies of {one['mirror']} %"] if one["mirror"] else []
    then = f"promoted after {one['hold']:g} s" if one["hold"] else "stowage.fleet.promote or abort decides"
    return f"{versions} on {one['replicas']} task(s): {', '.join(shares)}; {then}"


def hold(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """{seconds, services}: which canaries are promoted by themselves, and how long after they serve; {} if none is."""
    held = {name: float(one["hold"]) for name, one in sorted(found.items()) if one["state"] == "held" and one["hold"]}
    return {"seconds": max(held.values()), "services": list(held)} if held else {}
