# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading nodes: what is well-formed is taken at once, everything else gets a closer look with every refusal."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
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


class RawNode(NamedTuple):
    """A node whose amounts are still by name."""

    node: Node
    capacity: Mapping[str, int]
    reserved: Mapping[str, int]
    devices: Mapping[str, Sequence[str]]  # of resources with named devices, sorted


def seed(text: str) -> int:
    """64 bits that depend on the text only."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def read_node(reader: Reader, value: Any, at: int) -> RawNode:
    """One node, by the quick way if nothing is odd about it."""
    if (
        isinstance(value, dict)
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
    get = raw.get
    node = Node(raw["name"])
    for key, attribute in (("id", "id"), ("hostname", "hostname"), ("role", "role"), ("ip", "ip")):
        text = get(key)
        if text is not None:
            if not isinstance(text, str):
                return None
            setattr(node, attribute, text)
    labels, engine_labels, availability = get("labels"), get("engine_labels"), get("availability")
    if not (labels is None or texts(labels)) or not (engine_labels is None or texts(engine_labels)):
        return None
    if labels:
        node.labels = labels
    if engine_labels:
        node.engine_labels = engine_labels
    if availability is not None:
        if availability not in AVAILABILITIES:
            return None
        node.availability = availability
    unknown = get("unknown")
    if unknown is not None:
        if unknown is not True and unknown is not False:
            return None
        node.unknown = unknown
    if not _quick_rest(node, raw):
        return None
    capacity, reserved = _quick_amounts(get("capacity")), _quick_amounts(get("reserved"))
    return None if capacity is None or reserved is None else RawNode(node, capacity, reserved, {})


def _quick_rest(node: Node, raw: dict[str, Any]) -> bool:
    get = raw.get
    if get("address") is not None or get("taints") or get("storage"):
        return False
    facts, platform, volumes = get("facts"), get("platform"), get("volumes")
    if facts is not None:
        if not isinstance(facts, dict) or not TEXT.issuperset(map(type, facts)):
            return False
        node.facts = facts or NOTHING
    if platform is not None:
        if not texts(platform):
            return False
        node.os, node.arch = platform.get("os", ""), platform.get("arch", "")
    if volumes is not None:
        if not isinstance(volumes, list) or not TEXT.issuperset(map(type, volumes)) or not all(map(str.strip, volumes)):
            return False
        if volumes:
            node.volumes = frozenset(volumes)
    return _quick_ports(node, get("ports"))


def _quick_ports(node: Node, ports: Any) -> bool:
    if not ports:
        return ports is None or ports == []
    if not isinstance(ports, list):
        return False
    for entry in ports:
        if not isinstance(entry, dict) or len(entry) != 3:
            return False
        port, ip, protocol = entry.get("port"), entry.get("ip"), entry.get("protocol")
        if (
            not isinstance(port, int)
            or isinstance(port, bool)
            or not isinstance(ip, str)
            or not isinstance(protocol, str)
        ):
            return False
        found = address_text(ip) if 0 < port < 65536 and protocol in PROTOCOLS else None
        if found is None:
            return False
        node.ports.add(Port(found, port, protocol))
    return True


def _quick_amounts(stated: Any) -> Mapping[str, int] | None:
    if stated is None:
        return {}
    if not isinstance(stated, dict) or not TEXT.issuperset(map(type, stated)):
        return None
    try:
        return _amounts(tuple(stated.items()), tuple(map(type, stated.values())))
    except TypeError:
        return None


@lru_cache(maxsize=4096)
def _amounts(stated: tuple[tuple[str, Any], ...], kinds: tuple[type, ...]) -> Mapping[str, int] | None:
    """The amounts, once for all hosts that state the same. kinds: the types, as True and 1 are equal."""
    found = {}
    for (name, content), kind in zip(stated, kinds):
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


def finish_node(raw: RawNode, index: int, dimensions: tuple[str, ...]) -> Node:
    """Capacity by dimension, less the reserve. Unstated: cpus and memory have no limit, of anything else is none."""
    node, capacity, reserved = raw.node, raw.capacity, raw.reserved
    node.index, node.hash = index, seed(node.name)
    for name in dimensions:
        given = capacity.get(name)
        if given is None:
            node.capacity.append(UNLIMITED if name in (CPUS, MEMORY) else 0)
        else:
            node.capacity.append(max(0, given - reserved[name]) if name in reserved else given)
    for name, names in raw.devices.items():
        at = dimensions.index(name)
        node.devices[at] = dict.fromkeys(names[: node.capacity[at] // SHARE], SHARE)
    node.free = list(node.capacity)
    return node
