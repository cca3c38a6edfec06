# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The input of schedule(), checked and made into values: all mistakes are refused together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain
from operator import attrgetter
from typing import Any

from ..errors import raise_all, show
from .constraints import EXISTS, Constraint
from .domains import Domains
from .model import CPUS, MEMORY, SHARE, Request, Service, seed
from .near import doubts, near
from .quick_nodes import RawNode
from .quick_services import quick_services
from .reader import Reader
from .reading_current import read_current, read_options, slot_key
from .reading_nodes import finish_nodes, read_nodes
from .reading_services import MOST_REPLICAS, RawService, read_service, undivided
from .words import amount

__all__ = ["read", "seed", "slot_key"]

MOST_NODES = 100_000
DEMANDS = Service._fields.index("demands")


def read(nodes: Any, services: Any, current: Any, options: Any) -> Request:
    """The checked input.

    Raises StowageError with every mistake (STW-SCHEDULE, STW-CONSTRAINT, STW-HOST, STW-CONTRADICTION).
    """
    reader = Reader()
    raw_nodes = read_nodes(reader, reader.items(nodes, "nodes"))
    raw_nodes = _unique(reader, "node", raw_nodes, MOST_NODES)
    names = {raw.node.name: raw for raw in raw_nodes if raw.node.name}
    listed = reader.items(services, "services")
    quick = enumerate(quick_services(listed))
    raw_services = [raw or read_service(reader, listed[at], at, names) for at, raw in quick]
    raw_services = _unique(reader, "service", raw_services, MOST_REPLICAS)
    total = sum(raw.service.replicas for raw in raw_services)
    if total > MOST_REPLICAS:
        reader.wrong("services", f"{total} replicas in all, at most {MOST_REPLICAS}", "check the replicas")
    known = {raw.service.name: raw.service for raw in raw_services}
    chosen = read_options(reader, options, names, known)
    held = read_current(reader, current, known)
    _shares(reader, raw_nodes, raw_services)
    raise_all(sorted(reader.problems, key=lambda problem: problem.place))
    dimensions = _dimensions(raw_nodes, raw_services)
    made = finish_nodes(raw_nodes, dimensions)
    position = {name: at for at, name in enumerate(dimensions)}
    wanted = tuple([_finish_service(raw, position) if raw.demands else raw.service for raw in raw_services])
    domains = Domains(made)
    warnings = (*sorted(reader.warnings), *_doubts(wanted, domains))
    return Request(dimensions, made, wanted, held, chosen, warnings, domains)


def _unique(reader: Reader, kind: str, raws: list[Any], most: int) -> list[Any]:
    """The same by name; names that are there twice are mistakes."""
    name_of = attrgetter(f"{kind}.name")
    names = [*map(name_of, raws)]
    ordered = sorted(names)
    if names != ordered:
        raws, names = sorted(raws, key=name_of), ordered
    if len(set(names)) < len(names):
        for name in sorted({one for one, two in zip(names, names[1:]) if one and one == two}):
            reader.wrong(f"{kind} {show(name)}", f"{names.count(name)} {kind}s have this name", "give each its own")
    if len(raws) > most:
        reader.wrong(f"{kind}s", f"{len(raws)} are more than {most}", "split the fleet")
    return raws


def _shares(reader: Reader, nodes: Iterable[RawNode], services: Iterable[RawService]) -> None:
    """Refuse parts of resources whose devices no host names."""
    named = {kind for devices in filter(None, map(attrgetter("devices"), nodes)) for kind in devices}
    for raw in [raw for raw in services if raw.demands]:
        for kind, demand in raw.demands.items():
            if kind not in (CPUS, MEMORY) and demand % SHARE and kind not in named:
                reader.problems.append(undivided(raw.service.name, kind, amount(kind, demand)))


def _dimensions(nodes: list[RawNode], services: list[RawService]) -> tuple[str, ...]:
    parts = [*filter(None, map(attrgetter("demands"), services)), *map(attrgetter("capacity"), nodes)]
    generic = set(chain.from_iterable(dict(zip(map(id, parts), parts)).values()))
    return (CPUS, MEMORY, *sorted(generic - {CPUS, MEMORY}))


def _finish_service(raw: RawService, position: Mapping[str, int]) -> Service:
    demands = tuple(sorted([(position[name], part) for name, part in raw.demands.items() if part]))
    return Service._make((*raw.service[:DEMANDS], demands, *raw.service[DEMANDS + 1 :]))


def _doubts(services: Collection[Service], domains: Domains) -> list[str]:
    """What is read but probably misspelt: labels, values, hosts, services, groups, storage classes."""
    rules = doubts(sorted(set(chain.from_iterable(map(attrgetter("constraints"), services)))), domains)
    affinities = set(chain.from_iterable(_distinct("affinities", services)))
    wanted = {one[0] for one in chain.from_iterable(map(attrgetter("classes"), services))}
    names = set(map(attrgetter("name"), services))
    groups = set(chain.from_iterable(map(attrgetter("groups"), services)))
    keys = _spread_doubts(services, domains)
    strangers = any(one.service not in names if one.service else one.group not in groups for one in affinities)
    absent = [name for name in wanted if not any(name in node.storage for node in domains.nodes)]
    if not (rules or keys or strangers or absent):
        return []
    found = []
    classes = set(chain.from_iterable(map(attrgetter("storage"), domains.nodes)))
    for service in services:
        found += [f"{service.name}: {rule}: {text}" for rule in service.constraints for text in rules.get(rule, ())]
        found += [f"{service.name}: {keys[key]}" for key in _spread_keys(service) if key in keys]
        for one in service.affinities:
            kind, name, known = ("service", one.service, names) if one.service else ("group", one.group, groups)
            if name not in known:
                found.append(f"{service.name}: affinities: no {kind} {show(name)}{_hint(name, known)}")
        for name, _size, volume in service.classes:
            if name not in classes:
                text = f"volume {show(volume)}: no host has the storage class {show(name)}{_hint(name, classes)}"
                found.append(f"{service.name}: {text}")
    return found


def _distinct(name: str, services: Collection[Service]) -> Iterable[Any]:
    """Their values of a field; one that several share, as it was read once, is there once."""
    return {id(value): value for value in map(attrgetter(name), services)}.values()


def _spread_keys(service: Service) -> list[str]:
    keys = [*service.preferences, *(rule.key for rule in service.rules), *(one.domain for one in service.affinities)]
    return list(dict.fromkeys(keys))


def _spread_doubts(services: Collection[Service], domains: Domains) -> Mapping[str, str]:
    seen = set(chain.from_iterable(map(attrgetter("preferences"), services)))
    seen.update(map(attrgetter("key"), chain.from_iterable(map(attrgetter("rules"), services))))
    seen.update(map(attrgetter("domain"), chain.from_iterable(_distinct("affinities", services))))
    keys = sorted(seen)
    found = doubts([Constraint(key, EXISTS) for key in keys], domains)
    return {rule.key: sentences[0] for rule, sentences in found.items()}


def _hint(name: str, known: Iterable[str]) -> str:
    like = near(name, known)
    return f"; near: {', '.join(like)}" if like else ""
