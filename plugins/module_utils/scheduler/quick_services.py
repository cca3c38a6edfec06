# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading a service that has nothing odd in it: every value is checked, none is asked for twice, and no place of a
mistake is put into words. Anything else is left to read_service(), which knows every refusal."""

from __future__ import annotations

import marshal
from functools import lru_cache
from typing import Any, NamedTuple

from .constraints import Constraint, canonical_key
from .model import NANO, SHARE, Affinity, CountRule, PortRange, Service, Toleration
from .never import opposed, relations
from .ports import Port
from .reader import MOST_COUNT, MOST_CPUS, TEXT, Reader, exact
from .reading_ports import service_ports
from .reading_services import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    MOST_REPLICAS,
    RawService,
    fine,
    read_affinities,
    read_tolerations,
    read_volumes,
)
from .strategies import STRATEGIES

QUICK_KEYS = frozenset(
    (
        "name",
        "replicas",
        "reservations",
        "ports",
        "constraints",
        "preferences",
        "max_replicas_per_node",
        "affinities",
        "volumes",
        "strategy",
        "groups",
        "tolerations",
        "priority",
    )
)
NUMBERS = {int, float}
PORT_VALUES = {int, str}
Ports = tuple[tuple[Port, ...], tuple[PortRange, ...]]


class Odd(Exception):
    """Something needs a closer look."""


class _Limits(NamedTuple):
    constraints: tuple[Constraint, ...]
    preferences: tuple[str, ...]
    rules: tuple[CountRule, ...]


NO_LIMITS = _Limits((), (), ())
NO_AMOUNTS: dict[str, int] = {}  # read only, one for all services


def quick_service(raw: Any) -> RawService | None:
    """The service; None if anything about it needs a closer look."""
    if raw.__class__ is not dict or not QUICK_KEYS.issuperset(raw):
        return None
    try:
        name, strategy, replicas, limit, priority = _plain(raw)
        limits = _limits(raw) if raw.get("constraints") or raw.get("preferences") else _unlimited(raw)
        ports, ranges = _ports(raw["ports"]) if "ports" in raw else ((), ())
        demands, generic = _demands(raw["reservations"]) if "reservations" in raw else ((), NO_AMOUNTS)
        volumes, classes = _read(read_volumes, raw["volumes"]) if "volumes" in raw else ((), ())
        affinities = _affinities(_bytes(raw["affinities"])) if "affinities" in raw else ()
        groups = _groups(raw["groups"]) if "groups" in raw else ()
        tolerations = _tolerations(tuple(_texts(raw["tolerations"]))) if "tolerations" in raw else ()
    except (Odd, TypeError):
        return None
    constraints, preferences, rules = limits
    own = (name, False, False, replicas, demands, ports, constraints, preferences, limit, volumes, strategy, ())
    more = (rules, affinities, groups, tolerations, priority, False, classes, 0, bool(volumes), ranges)
    service = Service._make(own + more)
    return None if len(rules) > 1 and next(relations(service), None) else RawService(service, generic)


def _plain(raw: dict[str, Any]) -> tuple[str, str, int, int, int]:
    """Name, strategy, replicas, most per node, priority."""
    get = raw.get
    name, strategy = get("name"), get("strategy", "spread")
    replicas, limit, priority = get("replicas", 1), get("max_replicas_per_node", 0), get("priority", 0)
    if name.__class__ is not str or not name.strip() or strategy.__class__ is not str or strategy not in STRATEGIES:
        raise Odd
    if not (replicas.__class__ is limit.__class__ is priority.__class__ is int):
        raise Odd
    if not (0 <= replicas <= MOST_REPLICAS and 0 <= limit <= MOST_REPLICAS):
        raise Odd
    if not LEAST_PRIORITY <= priority <= MOST_PRIORITY:
        raise Odd
    return name, strategy, replicas, limit, priority


def _texts(value: Any) -> list[str]:
    if value.__class__ is not list or not TEXT.issuperset(map(type, value)):
        raise Odd
    return value


def _read(read: Any, value: Any) -> Any:
    """What another reader makes of it, if that finds nothing to say."""
    reader = Reader()
    found = read(reader, value, "")
    if reader.problems or reader.warnings:
        raise Odd
    return found


def _bytes(value: Any) -> bytes:
    """A value that tells all about it and can be looked up: 1, 1.0 and True are equal to Python, but not here."""
    try:
        return marshal.dumps(value, 2)
    except ValueError:
        raise Odd from None


@lru_cache(maxsize=8192)
def _affinities(written: bytes) -> tuple[Affinity, ...]:
    """Members of one group often say the same: then they get the same value, and what follows from it is kept too."""
    entries = marshal.loads(written)
    if entries.__class__ is not list:
        raise Odd
    found = tuple(sorted({_affinity(_bytes(entry)) for entry in entries}))
    if opposed(found):
        raise Odd
    return found


@lru_cache(maxsize=32768)
def _affinity(written: bytes) -> Affinity:
    return _read(read_affinities, [marshal.loads(written)])[0]  # type: ignore[no-any-return]


def _groups(value: Any) -> tuple[str, ...]:
    found = _texts(value)
    if not all(map(str.strip, found)):
        raise Odd
    return tuple(found) if len(found) < 2 else tuple(sorted(set(found)))


def _demands(stated: Any) -> tuple[tuple[tuple[int, int], ...], dict[str, int]]:
    """Cpus and memory, whose dimensions are always the first two; or, with more, all of them by name."""
    if stated.__class__ is not dict:
        raise Odd
    if len(stated) != 2 or "cpus" not in stated or "memory" not in stated:
        return (), _generic(stated)
    cpus, memory = stated["cpus"], stated["memory"]
    if cpus.__class__ not in (int, float) or memory.__class__ not in (int, float):
        raise Odd
    cores, size = exact("cpus", cpus), exact("memory", memory)
    if cores is None or size is None:
        raise Odd
    if cores and size:
        return ((0, cores), (1, size)), NO_AMOUNTS
    return tuple([(at, part) for at, part in enumerate((cores, size)) if part]), NO_AMOUNTS


def _generic(stated: dict[Any, Any]) -> dict[str, int]:
    if not TEXT.issuperset(map(type, stated)) or not NUMBERS.issuperset(map(type, stated.values())):
        raise Odd
    if float in map(type, stated.values()):
        found = {name: exact(name, part) for name, part in stated.items()}
        if None in found.values():
            raise Odd
        return found  # type: ignore[return-value]
    cpus = stated.get("cpus", 0)
    if not stated or min(stated.values()) < 0 or max(stated.values()) > MOST_COUNT or cpus > MOST_CPUS:
        raise Odd
    made = {name: part * SHARE for name, part in stated.items()}
    if "memory" in made:
        made["memory"] = stated["memory"]
    if cpus:
        made["cpus"] = cpus * NANO
    return made


def _limits(raw: dict[str, Any]) -> _Limits:
    """Constraints, what to spread over, and the count rules of both."""
    preferences = raw.get("preferences", [])
    if preferences.__class__ is not list:
        raise Odd
    parts = [*map(_parts, preferences)]
    return _limited(tuple(_texts(raw.get("constraints", []))), tuple(parts))


def _unlimited(raw: dict[str, Any]) -> _Limits:
    if raw.get("constraints", []) != [] or raw.get("preferences", []) != []:
        raise Odd
    return NO_LIMITS


@lru_cache(maxsize=8192)
def _limited(texts: tuple[str, ...], preferences: tuple[tuple[str, int], ...]) -> _Limits:
    """Many services say the same: then they get the same values."""
    parsed = [*map(fine, texts)]
    keys = [_key(text) for text, _skew in preferences]
    if not all(parsed) or None in keys:
        raise Odd
    both = [one for rules in parsed for one in rules]
    rules = {one for one in both if isinstance(one, CountRule)}
    rules.update([CountRule("skew", key, skew, "") for key, (_text, skew) in zip(keys, preferences) if key and skew])
    constraints = {one for one in both if isinstance(one, Constraint)}
    return _Limits(tuple(sorted(constraints)), tuple(dict.fromkeys(filter(None, keys))), tuple(sorted(rules)))


def _parts(entry: Any) -> tuple[str, int]:
    """What to spread over as it is written, and the most that domains may differ by; 0: nothing is said of that."""
    if entry.__class__ is not dict or not {"spread", "max_skew"}.issuperset(entry):
        raise Odd
    text, skew = entry.get("spread"), entry.get("max_skew", 0)
    if text.__class__ is not str or skew.__class__ is not int or not 0 <= skew <= MOST_REPLICAS:
        raise Odd
    if "max_skew" in entry and not skew:
        raise Odd
    return text, skew


_key = lru_cache(maxsize=4096)(canonical_key)


@lru_cache(maxsize=4096)
def _tolerations(listed: tuple[str, ...]) -> tuple[Toleration, ...]:
    return _read(read_tolerations, listed)  # type: ignore[no-any-return]


def _ports(value: Any) -> Ports:
    if value.__class__ is not list:
        raise Odd
    if len(value) != 1:
        return _read(service_ports, value)  # type: ignore[no-any-return]
    (entry,) = value
    if entry.__class__ is not dict or not PORT_VALUES.issuperset(map(type, entry.values())):
        raise Odd
    return _port(tuple(entry.items()))


@lru_cache(maxsize=8192)
def _port(entry: tuple[tuple[str, Any], ...]) -> Ports:
    return _read(service_ports, [dict(entry)])  # type: ignore[no-any-return]
