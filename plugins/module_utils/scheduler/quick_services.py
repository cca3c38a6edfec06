# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading services that have nothing odd in them, a key at a time: every value is checked, none is asked for twice, and
no place of a mistake is put into words. Anything else is left to read_service(), which knows every refusal."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple

from .constraints import Constraint, canonical_key
from .model import NANO, SHARE, Affinity, CountRule, PortRange, Service, Toleration
from .never import opposed, relations
from .ports import ANY, Port
from .reader import MOST_COUNT, MOST_CPUS, TEXT, Reader, exact
from .reading_ports import LAST, PROTOCOLS, service_ports
from .reading_services import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    MOST_REPLICAS,
    RawService,
    Volumes,
    fine,
    read_affinities,
    read_tolerations,
    read_volumes,
)
from .strategies import STRATEGIES

QUICK_KEYS = frozenset(
    (
        "name",
        "mode",
        "hosts",
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
PORT_VALUES = {int, str, type(None)}
INTEGER = {int}
Ports = tuple[tuple[Port, ...], tuple[PortRange, ...]]


class Odd(Exception):
    """Something needs a closer look."""


class _Limits(NamedTuple):
    constraints: tuple[Constraint, ...]
    preferences: tuple[str, ...]
    rules: tuple[CountRule, ...]


NO_LIMITS = _Limits((), (), ())
NO_AMOUNTS: dict[str, int] = {}  # read only, one for all services
NO_DEMANDS: tuple[tuple[tuple[int, int], ...], dict[str, int]] = ((), NO_AMOUNTS)
NO_PORTS: Ports = ((), ())
NO_VOLUMES = Volumes((), ())
NONE_LISTED: list[Any] = []  # read only
MODE = "replicated"
PLAIN_PORT = {"published", "protocol"}
NO_HOSTS: tuple[Any, ...] = (None, [])


def quick_services(values: Sequence[Any]) -> list[RawService | None]:
    """The services; None for each one about which anything needs a closer look."""
    fine = [at for at, value in enumerate(values) if value.__class__ is dict and _usual(value)]
    found: list[RawService | None] = [None] * len(values)
    together = _together([values[at] for at in fine])
    for number, at in enumerate(fine):
        made = together[number : number + 1] if together is not None else _together([values[at]])
        if made:
            found[at] = made[0]
    return found


def _usual(raw: dict[Any, Any]) -> bool:
    """True for a replicated service with the keys that most have, which may run on any host."""
    return QUICK_KEYS.issuperset(raw) and raw.get("mode", MODE) == MODE and raw.get("hosts") in NO_HOSTS


def _together(given: Sequence[dict[str, Any]]) -> list[RawService] | None:
    """All of them, or None if any needs a closer look."""
    try:
        names, strategies = [one.get("name") for one in given], [one.get("strategy", "spread") for one in given]
        if not all(map(str.strip, _texts(names))) or not STRATEGIES.keys() >= {*_texts(strategies)}:
            return None
        replicas = _numbers(given, "replicas", 1, (0, MOST_REPLICAS))
        limits = _numbers(given, "max_replicas_per_node", 0, (0, MOST_REPLICAS))
        priorities = _numbers(given, "priority", 0, (LEAST_PRIORITY, MOST_PRIORITY))
        constraints, preferences, rules = _unzip([*map(_limits, given)], 3)
        demands, generic = _unzip(_each(given, "reservations", _demands, NO_DEMANDS), 2)
        ports, ranges = _unzip(_each(given, "ports", _ports, NO_PORTS), 2)
        volumes, classes = _unzip(_each(given, "volumes", _volumes, NO_VOLUMES), 2)
        affinities = _each(given, "affinities", _affinities, ())
        groups = _each(given, "groups", _groups, ())
        tolerations = _each(given, "tolerations", _tolerations, ())
    except (Odd, TypeError):
        return None
    no, none, zero = repeat(False), repeat(()), repeat(0)
    own = (names, no, no, replicas, demands, ports, constraints, preferences, limits, volumes, strategies, none)
    more = (rules, affinities, groups, tolerations, priorities, no, classes, zero, map(bool, volumes), ranges)
    services = [*map(Service._make, zip(*own, *more))]
    if any(next(relations(one), None) for one in services if len(one.rules) > 1):
        return None
    return [*map(RawService._make, zip(services, generic))]


def _each(given: Sequence[dict[str, Any]], key: str, read: Callable[[Any], Any], default: Any) -> list[Any]:
    """What is made of the values under a key."""
    return [read(one[key]) if key in one else default for one in given]


def _unzip(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    return [*zip(*rows)] if rows else [()] * width


def _numbers(given: Sequence[dict[str, Any]], key: str, default: int, ends: tuple[int, int]) -> list[int]:
    found = [one.get(key, default) for one in given]
    if not INTEGER.issuperset(map(type, found)):
        raise Odd
    if found and not ends[0] <= min(found) <= max(found) <= ends[1]:
        raise Odd
    return found


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


def _affinities(value: Any) -> tuple[Affinity, ...]:
    return _related(_bytes(value))


@lru_cache(maxsize=8192)
def _related(written: bytes) -> tuple[Affinity, ...]:
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
    if not stated:
        return NO_DEMANDS
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
    if min(stated.values()) < 0 or max(stated.values()) > MOST_COUNT or cpus > MOST_CPUS:
        raise Odd
    made = {name: part * SHARE for name, part in stated.items()}
    if "memory" in made:
        made["memory"] = stated["memory"]
    if cpus:
        made["cpus"] = cpus * NANO
    return made


def _limits(raw: dict[str, Any]) -> _Limits:
    """Constraints, what to spread over, and the count rules of both."""
    constraints, preferences = raw.get("constraints", NONE_LISTED), raw.get("preferences", NONE_LISTED)
    if not (constraints.__class__ is preferences.__class__ is list):
        raise Odd
    if not (constraints or preferences):
        return NO_LIMITS
    return _limited(tuple(_texts(constraints)), tuple(map(_parts, preferences)))


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


def _volumes(value: Any) -> Volumes:
    return NO_VOLUMES if value == [] else _read(read_volumes, value)


def _tolerations(value: Any) -> tuple[Toleration, ...]:
    return _tolerated(tuple(_texts(value)))


@lru_cache(maxsize=4096)
def _tolerated(listed: tuple[str, ...]) -> tuple[Toleration, ...]:
    return _read(read_tolerations, listed)  # type: ignore[no-any-return]


def _ports(value: Any) -> Ports:
    if value.__class__ is not list:
        raise Odd
    if not value:
        return NO_PORTS
    if len(value) != 1:
        return _read(service_ports, value)  # type: ignore[no-any-return]
    (entry,) = value
    if entry.__class__ is not dict or not PORT_VALUES.issuperset(map(type, entry.values())):
        raise Odd
    return _port(tuple(entry.items()))


@lru_cache(maxsize=8192)
def _port(entry: tuple[tuple[str, Any], ...]) -> Ports:
    raw = dict(entry)
    number, protocol = raw.get("published"), raw.get("protocol", PROTOCOLS[0])
    if PLAIN_PORT.issuperset(raw) and number.__class__ is int and 0 < number <= LAST and protocol in PROTOCOLS:
        return (Port(ANY, number, protocol),), ()
    return _read(service_ports, [dict(entry)])  # type: ignore[no-any-return]
