# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading nodes: what is well-formed is taken at once, everything else gets a closer look with every refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from ..errors import show
from .model import CPUS, MEMORY, NOTHING, SHARE, UNLIMITED, Node
from .ports import Port
from .quick_nodes import MOST_DEVICES, NODE_KEYS, RawNode, quick_nodes
from .reader import MOST_COUNT, Reader
from .reading_ports import read_ports
from .reading_taints import AVAILABILITIES, read_taints


def read_nodes(reader: Reader, values: Sequence[Any]) -> list[RawNode]:
    """All nodes, by the quick way if nothing is odd about them; else one by one."""
    found = quick_nodes(values)
    return [read_node(reader, value, at) for at, value in enumerate(values)] if found is None else found


def read_node(reader: Reader, value: Any, at: int) -> RawNode:
    """One node, by the quick way if nothing is odd about it."""
    quick = quick_nodes((value,))
    return _closer(reader, value, at) if quick is None else quick[0]


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
    node.taints = read_taints(reader, raw.get("taints"), f"{place}.taints")
    node.storage = _storage(reader, raw.get("storage"), f"{place}.storage")
    node.facts = reader.mapping(raw.get("facts"), f"{place}.facts") or NOTHING
    for port in read_ports(reader, raw.get("ports"), f"{place}.ports"):
        if isinstance(port, Port):
            node.listed += (port,)
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
    known: dict[tuple[int, int], list[int]] = {}  # equal amounts of plain nodes are one mapping: see quick_nodes
    keys = zip(map(id, map(itemgetter(1), raws)), map(id, map(itemgetter(2), raws)))
    for index, ((node, capacity, reserved, devices), key) in enumerate(zip(raws, keys)):
        node.index = index
        found = known.get(key)
        if found is None:
            found = known[key] = _by_dimension(capacity, reserved, dimensions)
        node.capacity, node.free = found, found[:]
        if devices:
            node.devices = {
                at: dict.fromkeys(devices[name][: found[at] // SHARE], SHARE)
                for at, name in enumerate(dimensions)
                if name in devices
            }
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
