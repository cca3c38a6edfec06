# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading nodes: what is well-formed is taken at once, everything else gets a closer look with every refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..errors import show
from .model import CPUS, MEMORY, NOTHING, SHARE, UNLIMITED, Node, Taint
from .ports import Port
from .reader import MOST_COUNT, TEXT, Reader, exact, texts, whole
from .reading_ports import PROTOCOLS, address_text, read_ports

AVAILABILITIES = ("active", "pause", "drain")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
TAINT = re.compile(r"([^=:\s]+)(?:=([^:\s]*))?:([^:=\s]+)")
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
INTEGER = {int}
Quick = Callable[[Node, Any], bool]  # fills in one value; False if it needs a closer look


class RawNode(NamedTuple):
    """A node whose amounts are still by name."""

    node: Node
    capacity: Mapping[str, int]
    reserved: Mapping[str, int]
    devices: Mapping[str, Sequence[str]]  # of resources with named devices, sorted


def read_node(reader: Reader, value: Any, at: int) -> RawNode:
    """One node, by the quick way if nothing is odd about it."""
    if (
        value.__class__ is dict
        and NODE_KEYS.issuperset(value)
        and isinstance(value.get("name"), str)
        and value["name"].strip()
    ):
        quick = _quick(value)
        if quick is not None:
            return quick
    return _closer(reader, value, at)


def _quick(raw: dict[str, Any]) -> RawNode | None:
    """The node if every value has just the type it should have; None if anything needs a closer look."""
    node = Node(raw["name"])
    capacity, reserved, devices = NO_AMOUNTS, NO_AMOUNTS, NO_DEVICES
    for key, content in raw.items():
        if content is None or key == "name":
            continue
        if key == "capacity":
            found = _quick_amounts(content)
            stated = _quick_devices(content) if found is None else (found, NO_DEVICES)
            if stated is None:
                return None
            capacity, devices = stated
        elif key == "reserved":
            found = _quick_amounts(content)
            if found is None:
                return None
            reserved = found
        elif not QUICK[key](node, content):
            return None
    return RawNode(node, capacity, reserved, devices)


def _quick_text(attribute: str) -> Quick:
    def fill(node: Node, content: Any) -> bool:
        setattr(node, attribute, content)
        return content.__class__ is str

    return fill


def _quick_labels(node: Node, content: Any) -> bool:
    node.labels = content
    return texts(content)


def _quick_engine_labels(node: Node, content: Any) -> bool:
    node.engine_labels = content
    return texts(content)


def _quick_availability(node: Node, content: Any) -> bool:
    node.availability = content
    return content.__class__ is str and content in AVAILABILITIES


def _quick_unknown(node: Node, content: Any) -> bool:
    node.unknown = content
    return content is True or content is False


def _quick_facts(node: Node, content: Any) -> bool:
    node.facts = content or NOTHING
    return content.__class__ is dict and TEXT.issuperset(map(type, content))


def _quick_platform(node: Node, content: Any) -> bool:
    if not texts(content):
        return False
    node.os, node.arch = content.get("os", ""), content.get("arch", "")
    return True


def _quick_volumes(node: Node, content: Any) -> bool:
    if content.__class__ is not list or not TEXT.issuperset(map(type, content)) or not all(map(str.strip, content)):
        return False
    if content:
        node.volumes = frozenset(content)
    return True


def _quick_taints(node: Node, content: Any) -> bool:
    if content.__class__ is not list or not TEXT.issuperset(map(type, content)):
        return False
    found = _plain_taints(tuple(content))
    node.taints = found or ()
    return found is not None


@lru_cache(maxsize=1024)
def _plain_taints(listed: tuple[str, ...]) -> tuple[Taint, ...] | None:
    reader = Reader()
    found = _taints(reader, listed, "")
    return None if reader.problems else found


def _quick_storage(node: Node, content: Any) -> bool:
    if content.__class__ is not dict or not TEXT.issuperset(map(type, content)):
        return False
    if not INTEGER.issuperset(map(type, content.values())):
        return False
    node.storage = dict(content)
    return all(0 <= size <= MOST_COUNT for size in content.values())


def _quick_ports(node: Node, content: Any) -> bool:
    if content.__class__ is not list:
        return False
    for entry in content:
        if entry.__class__ is not dict or len(entry) != 3:
            return False
        port, ip, protocol = entry.get("port"), entry.get("ip"), entry.get("protocol")
        if port.__class__ is not int or ip.__class__ is not str or protocol.__class__ is not str:
            return False
        found = _plain_port(port, ip, protocol)
        if found is None:
            return False
        node.ports.add(found)
    return True


@lru_cache(maxsize=4096)
def _plain_port(port: int, ip: str, protocol: str) -> Port | None:
    found = address_text(ip) if 0 < port < 65536 and protocol in PROTOCOLS else None
    return None if found is None else Port(found, port, protocol)


def _odd(_node: Node, _content: Any) -> bool:
    return False


QUICK: dict[str, Quick] = {
    "id": _quick_text("id"),
    "hostname": _quick_text("hostname"),
    "role": _quick_text("role"),
    "ip": _quick_text("ip"),
    "address": _odd,
    "labels": _quick_labels,
    "engine_labels": _quick_engine_labels,
    "availability": _quick_availability,
    "unknown": _quick_unknown,
    "facts": _quick_facts,
    "platform": _quick_platform,
    "volumes": _quick_volumes,
    "taints": _quick_taints,
    "storage": _quick_storage,
    "ports": _quick_ports,
}


def _quick_amounts(stated: Any) -> Mapping[str, int] | None:
    if stated.__class__ is not dict:
        return None
    contents = tuple(stated.values())
    try:
        return _amounts(tuple(stated), contents, tuple(map(type, contents)))
    except TypeError:
        return None


def _quick_devices(stated: Any) -> tuple[Mapping[str, int], Mapping[str, Sequence[str]]] | None:
    """Amounts and devices, of a capacity that names some."""
    if stated.__class__ is not dict:
        return None
    named = {key: content for key, content in stated.items() if content.__class__ is list}
    found = _quick_amounts({key: content for key, content in stated.items() if key not in named})
    if found is None or CPUS in named or MEMORY in named or not TEXT.issuperset(map(type, named)):
        return None
    amounts, devices = dict(found), {}
    for key, content in named.items():
        if not TEXT.issuperset(map(type, content)) or not all(map(str.strip, content)):
            return None
        devices[key] = sorted(content)
        if len(set(content)) < len(content) or len(content) > MOST_DEVICES:
            return None
        amounts[key] = len(content) * SHARE
    return amounts, devices


@lru_cache(maxsize=4096)
def _amounts(names: tuple[Any, ...], contents: tuple[Any, ...], kinds: tuple[type, ...]) -> Mapping[str, int] | None:
    """The amounts, once for all hosts that state the same. kinds: the types, as True and 1 are equal."""
    found = {}
    for name, content, kind in zip(names, contents, kinds):
        if name.__class__ is not str:
            return None
        if content is None:
            continue
        made = exact(name, content) if kind in (int, float) else None
        if made is None or not whole(name, made):
            return None
        found[name] = made
    return found


def _closer(reader: Reader, value: Any, at: int) -> RawNode:
    raw = reader.mapping(value, f"nodes[{at}]")
    name = reader.name(raw.get("name"), f"nodes[{at}].name")
    place = f"node {show(name)}" if name else f"nodes[{at}]"
    reader.keys(raw, NODE_KEYS, place)
    node = Node(name)
    node.id = reader.text(raw.get("id"), f"{place}.id", name)
    node.hostname = reader.text(raw.get("hostname"), f"{place}.hostname", name)
    node.labels = dict(reader.labels(raw.get("labels"), f"{place}.labels"))
    node.engine_labels = dict(reader.labels(raw.get("engine_labels"), f"{place}.engine_labels"))
    node.role = reader.text(raw.get("role"), f"{place}.role", "worker")
    node.availability = reader.choice(raw.get("availability"), AVAILABILITIES, f"{place}.availability")
    node.ip = reader.text(raw.get("ip", raw.get("address")), f"{place}.ip")
    platform = reader.mapping(raw.get("platform"), f"{place}.platform")
    node.os = reader.text(platform.get("os"), f"{place}.platform.os")
    node.arch = reader.text(platform.get("arch"), f"{place}.platform.arch")
    node.unknown = reader.flag(raw.get("unknown"), f"{place}.unknown", False)
    node.volumes = frozenset(reader.names(raw.get("volumes"), f"{place}.volumes"))
    node.taints = _taints(reader, raw.get("taints"), f"{place}.taints")
    node.storage = _storage(reader, raw.get("storage"), f"{place}.storage")
    node.facts = reader.mapping(raw.get("facts"), f"{place}.facts") or NOTHING
    for port in read_ports(reader, raw.get("ports"), f"{place}.ports"):
        if isinstance(port, Port):
            node.ports.add(port)
        else:
            reader.wrong(f"{place}.ports", f"{port} is a range", "name each port that is bound")
    capacity, devices = _capacity(reader, raw.get("capacity"), f"{place}.capacity")
    return RawNode(node, capacity, reader.amounts(raw.get("reserved"), f"{place}.reserved"), devices)


def _capacity(reader: Reader, value: Any, place: str) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Amounts by name, and the devices of those resources that name them."""
    stated = reader.mapping(value, place)
    named = {key: content for key, content in stated.items() if isinstance(content, (list, tuple))}
    amounts = reader.amounts({key: content for key, content in stated.items() if key not in named}, place)
    devices: dict[str, list[str]] = {}
    for key, content in named.items():
        where = f"{place}.{key}"
        if key in (CPUS, MEMORY):
            reader.wrong(where, f"{key} is an amount, not a list of devices", "give a number")
            continue
        if not all(isinstance(name, str) and name.strip() for name in content):
            reader.wrong(where, f"{show(content)} is neither a number nor a list of names", "write [gpu-0, gpu-1]")
            continue
        names = sorted(set(content))
        if len(names) < len(content):
            twice = next(name for name in names if list(content).count(name) > 1)
            reader.wrong(where, f"device {show(twice)} is named twice", "give each device its own name")
        if len(names) > MOST_DEVICES:
            reader.wrong(where, f"{len(names)} devices, at most {MOST_DEVICES}", "count them instead")
        devices[key], amounts[key] = names, len(names) * SHARE
    return amounts, devices


def _taints(reader: Reader, value: Any, place: str) -> tuple[Taint, ...]:
    found = set()
    for at, entry in enumerate(reader.items(value, place)):
        text = reader.text(entry, f"{place}[{at}]", " ")
        match = TAINT.fullmatch(text)
        if match:
            effect = reader.choice(match.group(3), EFFECTS, f"{place}[{at}]")
            found.add(Taint(match.group(1), match.group(2) or "", effect))
        elif isinstance(entry, str):
            fix = "write key=value:NoSchedule or key:NoSchedule"
            reader.wrong(f"{place}[{at}]", f"{show(text)} is no taint", fix)
    return tuple(sorted(found))


def _storage(reader: Reader, value: Any, place: str) -> dict[str, int]:
    """Bytes by storage class. A list of classes: they are there, without a limit."""
    if isinstance(value, (list, tuple)):
        return dict.fromkeys(reader.names(value, place), UNLIMITED)
    found = {}
    for name, size in reader.mapping(value, place).items():
        if size is not None:
            found[name] = reader.count(size, f"{place}.{name}", MOST_COUNT)
    return found


def finish_nodes(raws: Sequence[RawNode], dimensions: tuple[str, ...]) -> tuple[Node, ...]:
    """The nodes in this order, with their capacity by dimension, less the reserve."""
    known: dict[tuple[int, int], list[int]] = {}  # equal amounts of plain nodes are one mapping: see _amounts
    for index, (node, capacity, reserved, devices) in enumerate(raws):
        node.index = index
        key = (id(capacity), id(reserved))
        if key not in known:
            known[key] = _by_dimension(capacity, reserved, dimensions)
        node.capacity = known[key]
        node.free = node.capacity[:]
        for name, names in devices.items():
            at = dimensions.index(name)
            node.devices[at] = dict.fromkeys(names[: node.capacity[at] // SHARE], SHARE)
    return tuple([raw.node for raw in raws])


def _by_dimension(capacity: Mapping[str, int], reserved: Mapping[str, int], dimensions: tuple[str, ...]) -> list[int]:
    """Unstated: cpus and memory have no limit, of anything else is none."""
    found = []
    for name in dimensions:
        given = capacity.get(name)
        if given is None:
            found.append(UNLIMITED if name in (CPUS, MEMORY) else 0)
        else:
            found.append(max(0, given - reserved.get(name, 0)))
    return found
