# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading services: what they need, where they may run, what they want to be near to or far from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import Problem, show
from .constraints import Constraint, canonical_key
from .grammar import Rule, key_problem, parse_rules
from .model import CPUS, MEMORY, Affinity, CountRule, Service, Toleration
from .never import relations
from .reader import MOST_COUNT, Reader, exact
from .reading_current import unknown_host
from .reading_ports import service_ports
from .reading_taints import EFFECTS
from .strategies import STRATEGIES

MOST_REPLICAS = 1_000_000  # of one service, and of all together
LEAST_PRIORITY, MOST_PRIORITY = -1000, 1_000_000
MODES = ("replicated", "global", "replicated-job", "global-job")
TOLERATION = re.compile(r"([^=:\s]+)(?:=([^:\s]*))?(?::([^:=\s]+))?")
DOMAIN = "node.hostname"
WEIGHT = 10
SERVICE_KEYS = frozenset(
    (
        "name",
        "mode",
        "replicas",
        "reservations",
        "ports",
        "constraints",
        "preferences",
        "max_replicas_per_node",
        "affinities",
        "volumes",
        "strategy",
        "hosts",
        "groups",
        "tolerations",
        "priority",
        "preempt",
        "concurrent",
        "stateful",
    )
)
AFFINITY_KEYS = frozenset(("service", "group", "domain", "required", "weight", "anti"))
VOLUME_KEYS = frozenset(("name", "shared", "class", "size"))


class RawService(NamedTuple):
    """A service; its demands by name, if any of them is neither cpus nor memory: else the service has them."""

    service: Service
    demands: Mapping[str, int]


class Volumes(NamedTuple):
    """What a service mounts: the volumes that tie it to a host, and (class, size, volume) of those with a class."""

    pins: tuple[str, ...]
    classes: tuple[tuple[str, int, str], ...]


def read_service(reader: Reader, value: Any, at: int, nodes: Collection[str]) -> RawService:
    """One service, with every mistake in it. nodes: the names of all hosts."""
    raw = reader.mapping(value, f"services[{at}]")
    name = reader.name(raw.get("name"), f"services[{at}].name")
    place = f"service {show(name)}" if name else f"services[{at}]"
    if not SERVICE_KEYS.issuperset(raw):
        reader.keys(raw, SERVICE_KEYS, place)
    mode = reader.choice(raw.get("mode"), MODES, f"{place}.mode")
    everywhere = mode.startswith("global")
    replicas = reader.count(raw.get("replicas"), f"{place}.replicas", MOST_REPLICAS, 1)
    limit = reader.count(raw.get("max_replicas_per_node"), f"{place}.max_replicas_per_node", MOST_REPLICAS)
    constraints, rules = _constraints(reader, raw.get("constraints"), f"{place}.constraints")
    preferences, skews = _preferences(reader, raw.get("preferences"), f"{place}.preferences")
    volumes = read_volumes(reader, raw.get("volumes"), f"{place}.volumes")
    ports, ranges = service_ports(reader, raw["ports"], f"{place}.ports") if raw.get("ports") else ((), ())
    if raw.get("ports") is not None and not raw["ports"]:
        reader.items(raw["ports"], f"{place}.ports")
    pins = () if everywhere else volumes.pins
    service = Service(
        name=name,
        everywhere=everywhere,
        job=mode.endswith("-job"),
        replicas=0 if everywhere else replicas,
        demands=(),
        ports=ports,
        constraints=constraints,
        preferences=preferences,
        max_per_node=0 if everywhere else limit,
        volumes=pins,
        strategy=reader.choice(raw.get("strategy"), tuple(STRATEGIES), f"{place}.strategy"),
        hosts=_hosts(reader, raw.get("hosts"), f"{place}.hosts", nodes),
        rules=() if everywhere else tuple(sorted({*rules, *skews})),
        classes=volumes.classes,
        stateful=reader.flag(raw.get("stateful"), f"{place}.stateful", bool(pins)),
        ranges=ranges,
    )
    service = _relations(reader, raw, place, service, mode)
    for reason in relations(service) if service.rules or service.affinities else ():
        reader.wrong(place, reason, "drop one of them", "STW-CONTRADICTION")
    return RawService(service, _demands(reader, raw.get("reservations"), f"{place}.reservations"))


def _relations(reader: Reader, raw: Mapping[str, Any], place: str, service: Service, mode: str) -> Service:
    """The service with what it says of others: affinities, groups, tolerations, priority, how many at once."""
    given = {
        key: raw[key]
        for key in ("affinities", "groups", "tolerations", "priority", "preempt", "concurrent")
        if key in raw
    }
    if not given:
        return service
    concurrent = reader.count(given.get("concurrent"), f"{place}.concurrent", MOST_REPLICAS)
    if concurrent and mode != "replicated-job":
        reader.wrong(f"{place}.concurrent", f"{mode} services run all at once", "use it with replicated-job only")
    priority = given.get("priority")
    if priority is not None and (type(priority) not in (int,) or not LEAST_PRIORITY <= priority <= MOST_PRIORITY):
        reason = f"{show(priority)} is not a whole number from {LEAST_PRIORITY} to {MOST_PRIORITY}"
        reader.wrong(f"{place}.priority", reason, "the larger the more important, 0 is usual")
        priority = 0
    return service._replace(
        affinities=read_affinities(reader, given.get("affinities"), f"{place}.affinities"),
        groups=tuple(reader.names(given.get("groups"), f"{place}.groups")),
        tolerations=read_tolerations(reader, given.get("tolerations"), f"{place}.tolerations"),
        priority=priority or 0,
        preempt=reader.flag(given.get("preempt"), f"{place}.preempt", False),
        concurrent=concurrent,
    )


@lru_cache(maxsize=4096)
def fine(text: str) -> tuple[Rule, ...]:
    """The rules of a text that has no mistake; () if it has one."""
    return tuple(parse_rules(text, "", []))


def _constraints(reader: Reader, value: Any, place: str) -> tuple[tuple[Constraint, ...], list[CountRule]]:
    if value is None or value == []:
        return (), []
    found: set[Constraint] = set()
    rules: list[CountRule] = []
    for at, text in enumerate(reader.items(value, place)):
        if not isinstance(text, str):
            reader.wrong(f"{place}[{at}]", f"{show(text)} is not a string", "quote it")
            continue
        for one in fine(text) or parse_rules(text, f"{place}[{at}]", reader.problems):
            if isinstance(one, CountRule):
                rules.append(one)
            else:
                found.add(one)
    return tuple(sorted(found)), rules


def _preferences(reader: Reader, value: Any, place: str) -> tuple[tuple[str, ...], list[CountRule]]:
    """Keys to spread over, in their order, and those that say how uneven it may get."""
    if value is None or value == []:
        return (), []
    found: list[str] = []
    rules = []
    for at, entry in enumerate(reader.items(value, place)):
        where = f"{place}[{at}]"
        raw = reader.mapping(entry, where)
        reader.keys(raw, ("spread", "max_skew"), where, strict=True)
        text = reader.text(raw.get("spread"), f"{where}.spread")
        key = canonical_key(text)
        skew = reader.count(raw.get("max_skew"), f"{where}.max_skew", MOST_REPLICAS, 0, 1)
        if key is None:
            reader.wrong(where, f"cannot spread over {show(text)}", "write {spread: node.labels.<name>}")
            continue
        if key not in found:
            found.append(key)
        if skew:
            rules.append(CountRule("skew", key, skew, ""))
    return tuple(found), rules


def read_volumes(reader: Reader, value: Any, place: str) -> Volumes:
    """A mapping {name, shared: true} is a volume that every host can reach: it ties nothing. It may have a class."""
    if value is None or value == []:
        return Volumes((), ())
    pins, classes = set(), set()
    for at, entry in enumerate(reader.items(value, place)):
        where = f"{place}[{at}]"
        if not isinstance(entry, Mapping):
            pins.add(reader.name(entry, where))
            continue
        raw = reader.mapping(entry, where)
        reader.keys(raw, VOLUME_KEYS, where)
        name = reader.name(raw.get("name"), f"{where}.name")
        size = reader.count(raw.get("size"), f"{where}.size", MOST_COUNT)
        if not reader.flag(raw.get("shared"), f"{where}.shared", False):
            pins.add(name)
        if raw.get("class") is not None:
            classes.add((reader.name(raw["class"], f"{where}.class"), size, name))
        elif size:
            reader.wrong(where, f"volume {show(name)} has a size but no class to count it in", "give it a class")
    return Volumes(tuple(sorted(pins - {""})), tuple(sorted(classes)))


def _hosts(reader: Reader, value: Any, place: str, nodes: Collection[str]) -> tuple[str, ...]:
    if value is None or value == []:
        return ()
    found = reader.names(value, place)
    for name in found:
        if name not in nodes:
            unknown_host(reader, name, place, nodes)
    return tuple(found)


def read_affinities(reader: Reader, value: Any, place: str) -> tuple[Affinity, ...]:
    """Wishes and rules towards others, sorted, each once."""
    found = set()
    for at, entry in enumerate(reader.items(value, place)):
        where = f"{place}[{at}]"
        raw = reader.mapping(entry, where)
        reader.keys(raw, AFFINITY_KEYS, where, strict=True)
        service = reader.text(raw.get("service"), f"{where}.service")
        group = reader.text(raw.get("group"), f"{where}.group")
        required = reader.flag(raw.get("required"), f"{where}.required", False)
        weight = reader.count(raw.get("weight"), f"{where}.weight", 100, WEIGHT, 1)
        anti = reader.flag(raw.get("anti"), f"{where}.anti", False)
        text = reader.text(raw.get("domain"), f"{where}.domain", DOMAIN)
        domain = canonical_key(text)
        if bool(service) == bool(group):
            reader.wrong(where, "names not just one of service and group", "write {service: name} or {group: name}")
        if required and raw.get("weight") is not None:
            reader.wrong(where, "is required and has a weight", "drop one: what is required is not weighed")
        if domain is None:
            problem = key_problem(text, f"{where}.domain")
            reader.wrong(f"{where}.domain", f"{show(text)} is no key of a domain", problem.fix)
            continue
        found.add(Affinity(service, group, domain, required, 0 if required else weight, anti))
    return tuple(sorted(found))


def read_tolerations(reader: Reader, value: Any, place: str) -> tuple[Toleration, ...]:
    """The taints that it does not mind, sorted, each once."""
    found = {}
    for at, entry in enumerate(reader.items(value, place)):
        text = reader.text(entry, f"{place}[{at}]", " ")
        match = TOLERATION.fullmatch(text)
        if match and not (match.group(1) == "*" and (match.group(2) or match.group(3))):
            key, wanted, effect = match.groups()
            if effect is not None:
                effect = reader.choice(effect, EFFECTS, f"{place}[{at}]")
            found[(key, wanted or "", wanted is None, effect or "")] = Toleration(key, wanted, effect)
        elif isinstance(entry, str):
            fix = "write key, key=value, key=value:NoSchedule, or * for all"
            reader.wrong(f"{place}[{at}]", f"{show(text)} is no toleration", fix)
    return tuple(found[key] for key in sorted(found))


def _demands(reader: Reader, value: Any, place: str) -> Mapping[str, int]:
    if value is None:
        return {}
    found = {}
    for name, content in reader.mapping(value, place).items():
        made = exact(name, content) if type(content) in (int, float) else None
        if made is None:
            made = reader.amount(name, content, f"{place}.{name}", shares=name not in (CPUS, MEMORY))
        if made is not None:
            found[name] = made
    return found


def undivided(name: str, demand: str, part: str) -> Problem:
    """The refusal of a part of a resource that nobody can divide."""
    reason = f"{part} is not a whole number of pieces, and no host names its devices"
    fix = f"round it; or name them to share them: stowage_resources: {{{demand}: [{demand}-0, {demand}-1]}}"
    return Problem("STW-SCHEDULE", f"service {show(name)}.reservations.{demand}", reason, fix)
