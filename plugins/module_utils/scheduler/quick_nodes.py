# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading many nodes at once, a key at a time: what is well-formed is taken as it is, and anything odd is left to the
closer look of reading_nodes.py, which knows every refusal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from .model import CPUS, MEMORY, NOTHING, SHARE, Node
from .ports import Port
from .reader import MOST_COUNT, TEXT, exact, whole
from .reading_ports import PROTOCOLS, address_text
from .reading_taints import AVAILABILITIES, plain_taints

MOST_DEVICES = 10_000
NODE_KEYS = frozenset(
    (
        "name",
        "id",
        "hostname",
        "ip",
        "address",
        "role",
        "availability",
        "unknown",
        "platform",
        "labels",
        "engine_labels",
        "capacity",
        "reserved",
        "ports",
        "volumes",
        "taints",
        "storage",
        "facts",
    )
)

NO_AMOUNTS: Mapping[str, int] = {}
NO_DEVICES: Mapping[str, Sequence[str]] = {}
INTEGER, DICT, LIST = {int}, {dict}, {list}
NUMBERS = {int, float}
LISTED = {list, int, float}
Fill = Callable[[Sequence[Node], Sequence[Any]], bool]  # fills in one key of some nodes; False: needs a closer look


class RawNode(NamedTuple):
    """A node whose amounts are still by name."""

    node: Node
    capacity: Mapping[str, int]
    reserved: Mapping[str, int]
    devices: Mapping[str, Sequence[str]]  # of resources with named devices, sorted


def quick_nodes(values: Sequence[Any]) -> list[RawNode] | None:
    """The nodes, if every value of each has just the type it should have; None if anything needs a closer look."""
    if not DICT.issuperset(map(type, values)) or not NODE_KEYS.issuperset(set(chain.from_iterable(values))):
        return None
    names = [value.get("name") for value in values]
    if not _texts(names) or not all(map(str.strip, names)):
        return None
    nodes = [*map(Node, names)]
    capacities = _Amounts()
    try:
        for key in set(FILLS).intersection(chain.from_iterable(values)):
            having, column = nodes, [value.get(key) for value in values]
            if None in column:
                having = [node for node, content in zip(nodes, column) if content is not None]
                column = [content for content in column if content is not None]
            if not FILLS[key](having, column):
                return None
        capacity = capacities.column([value.get("capacity") for value in values])
        reserved = capacities.column([value.get("reserved") for value in values], named=False)
    except TypeError:  # something that has no hash where a name or a number should be
        return None
    if capacity is None or reserved is None:
        return None
    devices = capacities.devices
    return [
        RawNode(node, has, less, devices.get(at, NO_DEVICES))
        for at, (node, has, less) in enumerate(zip(nodes, capacity, reserved))
    ]


def _texts(values: Sequence[Any]) -> bool:
    return TEXT.issuperset(map(type, values))


def _text_maps(values: Sequence[Any]) -> bool:
    """True if all are dicts of strings by strings."""
    return (
        DICT.issuperset(map(type, values))
        and TEXT.issuperset(map(type, chain.from_iterable(values)))
        and TEXT.issuperset(map(type, chain.from_iterable(map(dict.values, values))))
    )


def _text_lists(values: Sequence[Any]) -> bool:
    return LIST.issuperset(map(type, values)) and TEXT.issuperset(map(type, chain.from_iterable(values)))


def _fill_text(attribute: str) -> Fill:
    def fill(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
        for node, content in zip(nodes, column):
            setattr(node, attribute, content)
        return _texts(column)

    return fill


def _labels(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    for node, content in zip(nodes, column):
        node.labels = content
    return _text_maps(column)


def _engine_labels(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    for node, content in zip(nodes, column):
        node.engine_labels = content
    return _text_maps(column)


def _availability(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    for node, content in zip(nodes, column):
        node.availability = content
    return _texts(column) and set(column).issubset(AVAILABILITIES)


def _unknown(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    for node, content in zip(nodes, column):
        node.unknown = content
    return {bool}.issuperset(map(type, column))


def _facts(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    for node, content in zip(nodes, column):
        node.facts = content or NOTHING
    return DICT.issuperset(map(type, column)) and _texts([*chain.from_iterable(column)])


def _platform(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    if not _text_maps(column):
        return False
    for node, content in zip(nodes, column):
        node.os, node.arch = content.get("os", ""), content.get("arch", "")
    return True


def _volumes(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    if not _text_lists(column) or not all(map(str.strip, chain.from_iterable(column))):
        return False
    for node, content in zip(nodes, column):
        if content:
            node.volumes = frozenset(content)
    return True


def _taints(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    if not _text_lists(column):
        return False
    for node, content in zip(nodes, column):
        found = plain_taints(tuple(content))
        if found is None:
            return False
        node.taints = found
    return True


def _storage(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    if not DICT.issuperset(map(type, column)) or not _texts([*chain.from_iterable(column)]):
        return False
    sizes = [*chain.from_iterable(map(dict.values, column))]
    if (
        not INTEGER.issuperset(map(type, sizes))
        or not 0 <= min(sizes, default=0) <= max(sizes, default=0) <= MOST_COUNT
    ):
        return False
    for node, content in zip(nodes, column):
        node.storage = dict(content)
    return True


PARTS = itemgetter("port", "ip", "protocol")


def _ports(nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    entries: list[Any] = [*chain.from_iterable(column)] if LIST.issuperset(map(type, column)) else [None]
    if not DICT.issuperset(map(type, entries)) or not {3}.issuperset(map(len, entries)):
        return False
    try:
        parts = [*map(PARTS, entries)]
    except KeyError:
        return False
    numbers, addresses, protocols = zip(*parts) if parts else ((), (), ())
    if not INTEGER.issuperset(map(type, numbers)) or not _texts(addresses) or not _texts(protocols):
        return False
    known = {part: _plain_port(*part) for part in set(parts)}
    if None in known.values():
        return False
    found = map(known.__getitem__, parts)
    for node, content in zip(nodes, column):
        for _entry in content:
            node.ports.add(next(found))  # type: ignore[arg-type]
    return True


@lru_cache(maxsize=4096)
def _plain_port(port: int, ip: str, protocol: str) -> Port | None:
    found = address_text(ip) if 0 < port < 65536 and protocol in PROTOCOLS else None
    return None if found is None else Port(found, port, protocol)


def _odd(_nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    return not column


FILLS: dict[str, Fill] = {
    "id": _fill_text("id"),
    "hostname": _fill_text("hostname"),
    "role": _fill_text("role"),
    "ip": _fill_text("ip"),
    "address": _odd,
    "labels": _labels,
    "engine_labels": _engine_labels,
    "availability": _availability,
    "unknown": _unknown,
    "facts": _facts,
    "platform": _platform,
    "volumes": _volumes,
    "taints": _taints,
    "storage": _storage,
    "ports": _ports,
}


class _Amounts:
    """Amounts by name; equal ones of several hosts are made once and are one mapping."""

    def __init__(self) -> None:
        """None known yet."""
        self.known: dict[tuple[tuple[str, float], ...], Mapping[str, int] | None] = {}
        self.devices: dict[int, Mapping[str, Sequence[str]]] = {}  # by position: resources that name their devices

    def column(self, stated: Sequence[Any], named: bool = True) -> list[Mapping[str, int]] | None:
        """The amounts of each host; None if anything needs a closer look. named: it may name devices."""
        if not {dict, type(None)}.issuperset(map(type, stated)):
            return None
        given = [*filter(None, stated)]
        kinds = set(map(type, chain.from_iterable(map(dict.values, given))))
        if not (LISTED if named else NUMBERS).issuperset(kinds) or not _texts([*chain.from_iterable(given)]):
            return None
        lists = list in kinds
        found: list[Mapping[str, int]] = []
        for at, content in enumerate(stated):
            if not content:
                found.append(NO_AMOUNTS)
                continue
            if lists and list in map(type, content.values()):
                made = self._named(content, at)
            else:
                made = self._of(tuple(content.items()))
            if made is None:
                return None
            found.append(made)
        return found

    def _of(self, items: tuple[tuple[str, float], ...]) -> Mapping[str, int] | None:
        if items not in self.known:
            made = {name: exact(name, content) for name, content in items}
            fine = all(part is not None and whole(name, part) for name, part in made.items())
            self.known[items] = made if fine else None  # type: ignore[assignment]
        return self.known[items]

    def _named(self, stated: dict[str, Any], at: int) -> Mapping[str, int] | None:
        """Amounts of a host that names devices."""
        names = {key: content for key, content in stated.items() if content.__class__ is list}
        amounts = self._of(tuple([(key, content) for key, content in stated.items() if key not in names]))
        if amounts is None or CPUS in names or MEMORY in names:
            return None
        found, devices = dict(amounts), {}
        for key, content in names.items():
            if not _texts(content) or not all(map(str.strip, content)):
                return None
            if len(set(content)) < len(content) or len(content) > MOST_DEVICES:
                return None
            devices[key], found[key] = sorted(content), len(content) * SHARE
        self.devices[at] = devices
        return found
