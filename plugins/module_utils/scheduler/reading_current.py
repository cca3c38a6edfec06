# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading `current` (who holds what now) and the options."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from ..errors import show
from .model import CPUS, MEMORY, NOTHING, SHARE, Current, Group, Held, Key, Options, Service, Slot
from .near import near
from .reader import TEXT, Reader, exact

CURRENT_KEYS = frozenset(("service", "slot", "node", "devices", "ports"))
OPTION_KEYS = frozenset(("assume_lost", "allow_moves", "unknown_missing", "rebalance", "repair_moves", "explain"))
RANGE = re.compile(r"(?:.+:)?(\d{1,5})-(\d{1,5})/(tcp|udp|sctp)", re.ASCII)
NUMBERS = {int, float}
MOST_MOVES = 1_000_000
MOST_REPAIR = 100
MOST_SHOWN = 8  # hosts that are named where none has a near name


def slot_key(slot: Slot) -> tuple[int, int, str]:
    """Sort key of a slot: numbers first."""
    return (1, 0, slot) if isinstance(slot, str) else (0, slot, "")


def read_current(reader: Reader, value: Any, services: Mapping[str, Service]) -> Current:
    """Every entry once, by service, slot and node."""
    entries = reader.items(value, "current")
    everywhere = {name for name, service in services.items() if service.everywhere}
    quick = _quick(entries, services, everywhere)
    if quick is not None:
        return quick
    found: list[Held] = []
    for at, entry in enumerate(entries):
        _closer(reader, entry, f"current[{at}]", everywhere, found)
    found.sort(key=lambda held: (held.service, slot_key(held.slot), held.node, str(_plain(held))))
    held = _once(reader, found)
    groups = {}
    for name, one in groupby(held, key=itemgetter(0)):
        _names, slots, hosts, _devices, _ports = map(list, zip(*one))
        groups[name] = Group(slots, hosts, len(set(slots)) == len(slots))
    return Current(groups, {((one.service, one.slot), one.node): one for one in held if one.devices or one.ports})


def _quick(entries: list[Any], services: Mapping[str, Service], everywhere: Collection[str]) -> Current | None:
    """All entries, a column at a time; None if any needs a closer look or is there twice."""
    if not {dict}.issuperset(map(type, entries)):
        return None
    try:
        names = [entry["service"] for entry in entries]
        slots = [entry["slot"] for entry in entries]
        hosts = [entry["node"] for entry in entries]
        plain = {3}.issuperset(map(len, entries))
        held = {} if plain else _holding([entry for entry in entries if len(entry) != 3])
        groups = _groups(names, slots, hosts, services)
    except (KeyError, TypeError):  # also slots that are text beside numbers
        return None
    if groups is None or held is None or not _named(groups) or not _named(set(hosts)):
        return None
    named = [*chain.from_iterable([groups[name].slots for name in everywhere if name in groups])]
    kinds = [*map(type, slots)]
    if not {str}.issuperset(map(type, named)):
        return None
    fine = kinds.count(str) == len(named) and kinds.count(int) == len(slots) - len(named)
    return Current(groups, held) if fine else None


def _named(names: Collection[Any]) -> bool:
    return {str}.issuperset(map(type, names)) and all(map(str.strip, names))


def _groups(
    names: list[str], slots: list[Any], hosts: list[str], services: Mapping[str, Service]
) -> dict[str, Group] | None:
    """The columns, cut into services by name; None if an entry is there twice."""
    found: dict[str, Group] = {}
    first: dict[int, list[Slot]] = {}  # by number: the slots from 1
    for name, own, places in _cut(names, slots, hosts, services):
        count = len(own)
        numbers = first.get(count)
        if numbers is None:
            numbers = first[count] = [*range(1, count + 1)]
        if own == numbers:
            found[name] = Group(numbers, places, True)
            continue
        pairs = sorted(zip(own, places))
        if len(set(pairs)) < count:
            return None
        ordered = [slot for slot, _host in pairs]
        found[name] = Group(ordered, [host for _slot, host in pairs], len(set(ordered)) == count)
    return found


def _cut(
    names: list[str], slots: list[Any], hosts: list[str], services: Mapping[str, Service]
) -> Iterator[tuple[str, list[Any], list[str]]]:
    """Name, slots and hosts of each service, in order."""
    if names != sorted(names):
        parts: dict[str, tuple[list[Any], list[str]]] = {name: ([], []) for name in sorted(set(names))}
        for name, slot, host in zip(names, slots, hosts):
            own, places = parts[name]
            own.append(slot)
            places.append(host)
        for name, part in parts.items():
            yield name, *part
        return
    start, most = 0, len(names)
    while start < most:
        name = names[start]
        service = services.get(name)
        end = start + (service.replicas if service else 0)
        if not (start < end <= most and names[end - 1] == name and (end == most or names[end] != name)):
            end = bisect_right(names, name, start)
        yield name, slots[start:end], hosts[start:end]
        start = end


def _holding(entries: list[dict[str, Any]]) -> dict[tuple[Key, str], Held] | None:
    """Entries with more than a place; None if any needs a closer look."""
    reader, found = Reader(), {}
    for entry in entries:
        if not CURRENT_KEYS.issuperset(entry):
            return None
        devices = ports = NOTHING
        if "devices" in entry:
            devices = _fine_devices(entry["devices"]) or _devices(reader, entry["devices"], "")
        if "ports" in entry:
            ports = _fine_ports(entry["ports"]) or _ports(reader, entry["ports"], "")
        key = (entry["service"], entry["slot"])
        found[(key, entry["node"])] = Held(*key, entry["node"], devices, ports)
    return None if reader.problems else found


def _fine_devices(value: Any) -> Mapping[str, Mapping[str, int]] | None:
    """_devices(), if there is nothing to say against any of it; None else."""
    if value.__class__ is not dict or not all(names.__class__ is dict and names for names in value.values()):
        return None
    found: dict[str, Any] = {}
    for kind, names in value.items():
        known = kind.__class__ is str and kind not in (CPUS, MEMORY) and TEXT.issuperset(map(type, names))
        if not known or not NUMBERS.issuperset(map(type, names.values())):
            return None
        found[kind] = {name: exact(kind, part) for name, part in names.items()}
        if not all(made and made <= SHARE for made in found[kind].values()):
            return None
    return found


def _fine_ports(value: Any) -> Mapping[str, int] | None:
    """_ports(), if there is nothing to say against any of it; None else."""
    if value.__class__ is not dict or not TEXT.issuperset(map(type, value)):
        return None
    for text, number in value.items():
        first, last = _ends(text)
        if number.__class__ is not int or not 0 < first <= number <= last < 65536:
            return None
    return dict(value)


@lru_cache(maxsize=4096)
def _ends(text: str) -> tuple[int, int]:
    """The first and the last port of a range; 0 and 0 if it is none."""
    match = RANGE.fullmatch(text)
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def _plain(held: Held) -> list[Any]:
    return [sorted((kind, sorted(names.items())) for kind, names in held.devices.items()), sorted(held.ports.items())]


def _once(reader: Reader, found: list[Held]) -> tuple[Held, ...]:
    twice = [
        at
        for at, (one, two) in enumerate(zip(found, found[1:]), 1)
        if one[1] == two[1] and one[2] == two[2] and one[0] == two[0]
    ]
    for at in reversed(twice):
        held = found[at]
        if _plain(held) != _plain(found[at - 1]):
            reason = f"{held.service}.{held.slot} on {held.node} is there twice, with different devices or ports"
            reader.wrong("current", show(reason)[1:-1], "give each replica once")
        del found[at]
    return tuple(found)


def _closer(reader: Reader, entry: Any, place: str, everywhere: Collection[str], found: list[Held]) -> None:
    raw = reader.mapping(entry, place)
    reader.keys(raw, CURRENT_KEYS, place)
    name, node = reader.name(raw.get("service"), f"{place}.service"), reader.name(raw.get("node"), f"{place}.node")
    slot = _slot(reader, raw.get("slot"), f"{place}.slot", name in everywhere)
    devices = _devices(reader, raw.get("devices"), f"{place}.devices")
    ports = _ports(reader, raw.get("ports"), f"{place}.ports")
    if slot is not None:
        found.append(Held(name, slot, node, devices, ports))


def _slot(reader: Reader, value: Any, place: str, everywhere: bool) -> Slot | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        reader.wrong(place, f"{show(value)} is not a slot", "a number from 1, or for a global service its node")
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and not everywhere:
        return int(value) if len(value) < 19 else str(value)
    return str(value) if isinstance(value, str) or everywhere else int(value)


def _devices(reader: Reader, value: Any, place: str) -> Mapping[str, Mapping[str, int]]:
    """What is held of named devices: {resource: {device: part of SHARE}}; at most the whole of each."""
    if value is None:
        return NOTHING
    found: dict[str, dict[str, int]] = {}
    for kind, names in reader.mapping(value, place).items():
        for name, part in reader.mapping(names, f"{place}.{kind}").items():
            made = exact(kind, part) if type(part) in (int, float) and kind not in ("cpus", "memory") else None
            if made is None or not 0 < made <= SHARE:
                reader.wrong(f"{place}.{kind}", f"{show(part)} of {show(name)} is no part of a device", "use 0 to 1")
            else:
                found.setdefault(kind, {})[name] = made
    return found or NOTHING


def _ports(reader: Reader, value: Any, place: str) -> Mapping[str, int]:
    """What is held of ranges of ports: {range as it is written: port}."""
    if value is None:
        return NOTHING
    found = {}
    for text, port in reader.mapping(value, place).items():
        match = RANGE.fullmatch(text)
        number = reader.count(port, f"{place}.{text}", 65535, least=1)
        if match is None or (number and not int(match.group(1)) <= number <= int(match.group(2))):
            reader.wrong(place, f"{show(port)} is no port of the range {show(text)}", "write 8000-8010/tcp: 8003")
        else:
            found[text] = number
    return found or NOTHING


def read_options(reader: Reader, value: Any, nodes: Collection[str], services: Collection[str]) -> Options:
    """The options, with their defaults."""
    raw = reader.mapping(value, "options")
    reader.keys(raw, OPTION_KEYS, "options", strict=True)
    lost = reader.names(raw.get("assume_lost"), "options.assume_lost")
    for name in lost:
        if name not in nodes:
            unknown_host(reader, name, "options.assume_lost", nodes)
    rebalance = reader.mapping(raw.get("rebalance"), "options.rebalance")
    reader.keys(rebalance, ("max_moves", "stateful"), "options.rebalance", strict=True)
    return Options(
        assume_lost=frozenset(lost),
        allow_moves=reader.flag(raw.get("allow_moves"), "options.allow_moves", True),
        unknown_missing=reader.choice(raw.get("unknown_missing"), ("hold", "place"), "options.unknown_missing"),
        rebalance_moves=reader.count(rebalance.get("max_moves"), "options.rebalance.max_moves", MOST_MOVES),
        rebalance_stateful=reader.flag(rebalance.get("stateful"), "options.rebalance.stateful", False),
        repair_moves=reader.count(raw.get("repair_moves"), "options.repair_moves", MOST_REPAIR, 4),
        explain=_explain(reader, raw.get("explain"), services),
    )


def _explain(reader: Reader, value: Any, services: Collection[str]) -> tuple[str, ...]:
    names = reader.names(value, "options.explain")
    for name in names:
        service = name.partition(".")[0]
        if not any(name.startswith(f"{one}.") for one in services if one.startswith(service)):
            like = near(service, services)
            fix = f"did you mean {' or '.join(f'{one}.1' for one in like)}?" if like else "write service.slot, as web.1"
            reader.wrong("options.explain", f"{show(name)} is no slot of a service", fix)
    return tuple(names)


def unknown_host(reader: Reader, name: str, place: str, nodes: Collection[str]) -> None:
    """Refuse a host that the fleet does not have, with the near names."""
    like = near(name, nodes, 3)
    few = f"the fleet has {', '.join(sorted(nodes)) or 'no hosts'}"
    many = f"the fleet has {len(nodes)} hosts, none with a near name"
    fix = f"did you mean {' or '.join(like)}?" if like else few if len(nodes) <= MOST_SHOWN else many
    reader.wrong(place, f"host {show(name)} is not in the fleet", fix, "STW-HOST")
