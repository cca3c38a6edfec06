# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading `current` (who holds what now) and the options."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import partial
from itertools import repeat
from typing import Any

from ..errors import show
from .model import NOTHING, SHARE, Held, Options, Service, Slot
from .near import near
from .reader import Reader, exact

CURRENT_KEYS = frozenset(("service", "slot", "node", "devices", "ports"))
OPTION_KEYS = frozenset(("assume_lost", "allow_moves", "unknown_missing", "rebalance", "repair_moves", "explain"))
RANGE = re.compile(r"(?:.+:)?(\d{1,5})-(\d{1,5})/(tcp|udp|sctp)", re.ASCII)
MOST_MOVES = 1_000_000
MOST_REPAIR = 100


def slot_key(slot: Slot) -> tuple[int, int, str]:
    """Sort key of a slot: numbers first."""
    return (1, 0, slot) if isinstance(slot, str) else (0, slot, "")


def read_current(
    reader: Reader, value: Any, services: Mapping[str, Service], nodes: Collection[str]
) -> tuple[Held, ...]:
    """Every entry once, by service, slot and node."""
    entries = reader.items(value, "current")
    everywhere = {name for name, service in services.items() if service.everywhere}
    found = _quick(entries, services, nodes, everywhere)
    if found is None:
        found = []
        for at, entry in enumerate(entries):
            _closer(reader, entry, f"current[{at}]", everywhere, found)
    try:
        found.sort()
    except TypeError:  # slots that are text beside numbers, or entries that are there twice
        found.sort(key=lambda held: (held.service, slot_key(held.slot), held.node, str(_plain(held))))
    return _once(reader, found)


def _quick(
    entries: list[Any], services: Collection[str], nodes: Collection[str], everywhere: Collection[str]
) -> list[Held] | None:
    """All entries, if each is a plain one of a known service on a known host; None if any needs a closer look."""
    if not {dict}.issuperset(map(type, entries)) or not {3}.issuperset(map(len, entries)):
        return None
    try:
        names, slots, hosts = ([entry[key] for entry in entries] for key in ("service", "slot", "node"))
        if not set(names).issubset(services) or not set(hosts).issubset(nodes):
            return None
    except (KeyError, TypeError):
        return None
    kinds = set(map(type, slots))
    if not kinds <= {int, str} or not {str}.issuperset(map(type, set(names) | set(hosts))):
        return None
    if (everywhere or str in kinds) and any(
        isinstance(slot, str) is not (name in everywhere) for name, slot in zip(names, slots)
    ):
        return None
    return list(map(partial(tuple.__new__, Held), zip(names, slots, hosts, repeat(NOTHING), repeat(NOTHING))))


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
        repair_moves=reader.count(raw.get("repair_moves"), "options.repair_moves", MOST_REPAIR, 3),
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
    fix = f"did you mean {' or '.join(like)}?" if like else f"the fleet has {len(nodes)} hosts, none with a near name"
    reader.wrong(place, f"host {show(name)} is not in the fleet", fix, "STW-HOST")
