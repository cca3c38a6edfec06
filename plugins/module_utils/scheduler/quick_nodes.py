# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading many nodes at once, a key at a time: what is well-formed is taken as it is, and anything odd is left to the
closer look of reading_nodes.py, which knows every refusal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
    keys: set[Any] = set(chain.from_iterable(values)) if DICT.issuperset(map(type, values)) else {None}
    if not NODE_KEYS.issuperset(keys):
        return None
    names = _column(values, "name")
    if not _texts(names) or not all(map(str.strip, names)):
        return None
    nodes = [*map(Node, names)]
    try:
        if not all(_filled(key, nodes, _column(values, key)) for key in keys.intersection(FILLS)):
            return None
        capacity = _amounts(_column(values, "capacity"), LISTED)
        reserved = _amounts(_column(values, "reserved"), NUMBERS)
    except TypeError:  # something that has no hash where a name or a number should be
        return None
    if capacity is None or reserved is None:
        return None
    return [
        RawNode(node, amounts, less, devices)
        for node, (amounts, devices), (less, _none) in zip(nodes, capacity, reserved)
    ]


def _filled(key: str, nodes: Sequence[Node], column: Sequence[Any]) -> bool:
    if None in column:
        nodes = [node for node, content in zip(nodes, column) if content is not None]
        column = [content for content in column if content is not None]
    return FILLS[key](nodes, column)


def _column(values: Sequence[Any], key: str) -> list[Any]:
    """What each has under a key; None if nothing."""
    try:
        return [value[key] for value in values]
    except KeyError:
        return [value.get(key) for value in values]


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
    if not INTEGER.issuperset({type(number) for number, _ip, _protocol in parts}):
        return False
    known = {part: _plain_port(*part) for part in set(parts)}
    if None in known.values():
        return False
    if len(known) == 1 and len(entries) == len(nodes) and all(column):  # one port, the same one everywhere
        bound: tuple[Any, ...] = (*known.values(),)
        for node in nodes:
            node.listed = bound
        return True
    found: list[Any] = [*map(known.__getitem__, parts)]
    shared: dict[tuple[Port, ...], tuple[Port, ...]] = {}
    start = 0
    for node, many in zip(nodes, map(len, column)):
        if many:
            bound = tuple(found[start : start + many])
            node.listed = shared.setdefault(bound, bound)
            start += many
    return True


def _plain_port(port: int, ip: Any, protocol: Any) -> Port | None:
    if not _texts((ip, protocol)):
        return None
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


Made = tuple[Mapping[str, int], Mapping[str, Sequence[str]]]  # amounts, and the devices of those that name them
NOTHING_STATED: Made = (NO_AMOUNTS, NO_DEVICES)


def _amounts(column: Sequence[Any], kinds: Collection[type]) -> list[Made] | None:
    """The amounts of each host by name, equal ones made once; None if anything needs a closer look."""
    if not {dict, type(None)}.issuperset(map(type, column)):
        return None
    given = [*filter(None, column)]
    names = [*dict.fromkeys(chain.from_iterable(given))]
    parts = [_column(given, name) for name in names]
    found = set(chain.from_iterable([set(map(type, part)) for part in parts]))
    if type(None) in found and sum(map(len, given)) == sum([len(part) - part.count(None) for part in parts]):
        found.remove(type(None))  # not stated
    if not found.issubset(kinds) or not _texts(names):
        return None
    if list in found:
        parts = [[tuple(one) if one.__class__ is list else one for one in part] for part in parts]
    rows = [*zip(*parts)]
    known = {row: _make(names, row) for row in set(rows)}
    if None in known.values():
        return None
    made: list[Any] = [*map(known.__getitem__, rows)]
    if len(made) == len(column):
        return made
    each = iter(made)
    return [next(each) if content else NOTHING_STATED for content in column]


def _make(names: Sequence[str], row: Sequence[Any]) -> Made | None:
    """The amounts of one row of a table; None where nothing is stated."""
    amounts: dict[str, int] = {}
    devices: dict[str, Sequence[str]] = {}
    for name, content in zip(names, row):
        if content is None:
            continue
        if content.__class__ is not tuple:
            amount = exact(name, content)
            if amount is None or not whole(name, amount):
                return None
            amounts[name] = amount
            continue
        if name in (CPUS, MEMORY) or not _texts(content) or not all(map(str.strip, content)):
            return None
        if len(set(content)) < len(content) or len(content) > MOST_DEVICES:
            return None
        devices[name], amounts[name] = sorted(content), len(content) * SHARE
    return amounts, devices
