# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The input of schedule(), checked and made into values: all mistakes are refused together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..errors import raise_all, show
from .constraints import Constraint, address, canonical_key
from .grammar import parse
from .model import CPUS, MEMORY, UNLIMITED, Held, Node, Options, Request, Service, Slot
from .near import doubts
from .ports import ANY, Port
from .reader import Reader
from .strategies import STRATEGIES

MOST_NODES = 100_000
MOST_REPLICAS = 1_000_000  # of one service, and of all together
LONGEST = 253  # characters of a name
MODES = ("replicated", "global", "replicated-job", "global-job")
AVAILABILITIES = ("active", "pause", "drain")
PROTOCOLS = ("tcp", "udp", "sctp")
NODE_KEYS = (
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
)
SERVICE_KEYS = (
    "name",
    "mode",
    "replicas",
    "reservations",
    "ports",
    "constraints",
    "preferences",
    "max_replicas_per_node",
    "affinities",
    "volumes",
    "strategy",
    "hosts",
)
PORT_KEYS = ("port", "published", "target", "protocol", "mode", "ip", "host_ip", "address", "name", "app_protocol")
CURRENT_KEYS = ("service", "slot", "node")
OPTION_KEYS = ("assume_lost", "allow_moves", "unknown_missing")


def read(nodes: Any, services: Any, current: Any, options: Any) -> Request:
    """The checked input. Raises StowageError with every mistake (STW-SCHEDULE, STW-CONSTRAINT, STW-HOST)."""
    reader = Reader()
    raw_nodes = [_raw_node(reader, node, at) for at, node in enumerate(reader.items(nodes, "nodes"))]
    raw_nodes = _unique(reader, "node", sorted(raw_nodes, key=lambda raw: raw.node.name), MOST_NODES)
    names = {raw.node.name for raw in raw_nodes} - {""}
    raw_services = [_raw_service(reader, one, at, names) for at, one in enumerate(reader.items(services, "services"))]
    raw_services = _unique(reader, "service", sorted(raw_services, key=lambda raw: raw.service.name), MOST_REPLICAS)
    total = sum(raw.service.replicas for raw in raw_services)
    if total > MOST_REPLICAS:
        reader.wrong("services", f"{total} replicas in all, at most {MOST_REPLICAS}", "check the replicas")
    chosen = _options(reader, options, names)
    held = _current(reader, current, {raw.service.name: raw.service for raw in raw_services})
    raise_all(sorted(reader.problems, key=lambda problem: problem.place))
    dimensions = _dimensions(raw_nodes, raw_services)
    made = tuple(_finish_node(raw, index, dimensions) for index, raw in enumerate(raw_nodes))
    wanted = tuple(_finish_service(raw, dimensions) for raw in raw_services)
    warnings = (*sorted(reader.warnings), *_label_warnings(wanted, made))
    return Request(dimensions, made, wanted, held, chosen, warnings)


class RawNode(NamedTuple):
    """A node whose amounts are still by name."""

    node: Node
    capacity: dict[str, int]
    reserved: dict[str, int]


class RawService(NamedTuple):
    """A service whose demands are still by name."""

    service: Service
    demands: dict[str, int]


def seed(text: str) -> int:
    """64 bits that depend on the text only."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def _unique(reader: Reader, kind: str, raws: list[Any], most: int) -> list[Any]:
    names = [getattr(raw, kind).name for raw in raws]
    for name in sorted({name for at, name in enumerate(names[1:], 1) if name and name == names[at - 1]}):
        reader.wrong(f"{kind} {show(name)}", f"{names.count(name)} {kind}s have this name", "give each its own")
    if len(raws) > most:
        reader.wrong(f"{kind}s", f"{len(raws)} are more than {most}", "split the fleet")
    return raws


def _raw_node(reader: Reader, value: Any, at: int) -> RawNode:
    raw = reader.mapping(value, f"nodes[{at}]")
    name = reader.name(raw.get("name"), f"nodes[{at}].name")
    place = f"node {show(name)}" if name else f"nodes[{at}]"
    reader.keys(raw, NODE_KEYS, place)
    node = Node(name)
    node.id = reader.text(raw.get("id"), f"{place}.id", name)
    node.hostname = reader.text(raw.get("hostname"), f"{place}.hostname", name)
    node.labels = reader.labels(raw.get("labels"), f"{place}.labels")
    node.engine_labels = reader.labels(raw.get("engine_labels"), f"{place}.engine_labels")
    node.role = reader.text(raw.get("role"), f"{place}.role", "worker")
    node.availability = reader.choice(raw.get("availability"), AVAILABILITIES, f"{place}.availability")
    node.ip = reader.text(raw.get("ip", raw.get("address")), f"{place}.ip")
    platform = reader.mapping(raw.get("platform"), f"{place}.platform")
    node.os = reader.text(platform.get("os"), f"{place}.platform.os")
    node.arch = reader.text(platform.get("arch"), f"{place}.platform.arch")
    node.unknown = reader.flag(raw.get("unknown"), f"{place}.unknown", False)
    node.volumes = frozenset(_volumes(reader, raw.get("volumes"), f"{place}.volumes"))
    for port in _ports(reader, raw.get("ports"), f"{place}.ports"):
        node.ports.add(port)
    capacity = reader.amounts(raw.get("capacity"), f"{place}.capacity")
    return RawNode(node, capacity, reader.amounts(raw.get("reserved"), f"{place}.reserved"))


def _raw_service(reader: Reader, value: Any, at: int, nodes: set[str]) -> RawService:
    raw = reader.mapping(value, f"services[{at}]")
    name = reader.name(raw.get("name"), f"services[{at}].name")
    place = f"service {show(name)}" if name else f"services[{at}]"
    reader.keys(raw, SERVICE_KEYS, place)
    if raw.get("affinities"):
        reader.wrong(f"{place}.affinities", "affinities are not supported yet", "remove them")
    mode = reader.choice(raw.get("mode"), MODES, f"{place}.mode")
    replicas = reader.count(raw.get("replicas"), f"{place}.replicas", MOST_REPLICAS, 1)
    everywhere = mode.startswith("global")
    limit = reader.count(raw.get("max_replicas_per_node"), f"{place}.max_replicas_per_node", MOST_REPLICAS)
    service = Service(
        name=name,
        everywhere=everywhere,
        job=mode.endswith("-job"),
        replicas=0 if everywhere else replicas,
        demands=(),
        ports=_service_ports(reader, raw.get("ports"), f"{place}.ports"),
        constraints=_constraints(reader, raw.get("constraints"), f"{place}.constraints"),
        preferences=_preferences(reader, raw.get("preferences"), f"{place}.preferences"),
        max_per_node=0 if everywhere else limit,
        volumes=() if everywhere else _volumes(reader, raw.get("volumes"), f"{place}.volumes"),
        strategy=reader.choice(raw.get("strategy"), tuple(STRATEGIES), f"{place}.strategy"),
        hosts=_hosts(reader, raw.get("hosts"), f"{place}.hosts", nodes),
        hash=seed(name),
    )
    return RawService(service, reader.amounts(raw.get("reservations"), f"{place}.reservations"))


def _constraints(reader: Reader, value: Any, place: str) -> tuple[Constraint, ...]:
    found = []
    for at, text in enumerate(reader.items(value, place)):
        if not isinstance(text, str):
            reader.wrong(f"{place}[{at}]", f"{show(text)} is not a string", "quote it")
        else:
            found.append(parse(text, f"{place}[{at}]", reader.problems))
    return tuple(sorted({one for one in found if one is not None}))


def _preferences(reader: Reader, value: Any, place: str) -> tuple[str, ...]:
    found = []
    for at, entry in enumerate(reader.items(value, place)):
        raw = reader.mapping(entry, f"{place}[{at}]")
        reader.keys(raw, ("spread",), f"{place}[{at}]", strict=True)
        text = reader.text(raw.get("spread"), f"{place}[{at}].spread")
        key = canonical_key(text)
        if key is None:
            reader.wrong(f"{place}[{at}]", f"cannot spread over {show(text)}", "write {spread: node.labels.<name>}")
        elif key not in found:
            found.append(key)
    return tuple(found)


def _volumes(reader: Reader, value: Any, place: str) -> tuple[str, ...]:
    """Names of volumes. A mapping {name, shared: true} is a volume that every host can reach: it ties nothing."""
    found = set()
    for at, entry in enumerate(reader.items(value, place)):
        where = f"{place}[{at}]"
        if isinstance(entry, Mapping):
            if not reader.flag(entry.get("shared"), f"{where}.shared", False):
                found.add(reader.name(entry.get("name"), f"{where}.name"))
        else:
            found.add(reader.name(entry, where))
    return tuple(sorted(found - {""}))


def _hosts(reader: Reader, value: Any, place: str, nodes: set[str]) -> tuple[str, ...]:
    found = [reader.name(name, f"{place}[{at}]") for at, name in enumerate(reader.items(value, place))]
    for name in sorted({name for name in found if name and name not in nodes}):
        _unknown_host(reader, name, place, nodes)
    return tuple(sorted(set(found)))


def _unknown_host(reader: Reader, name: str, place: str, nodes: set[str]) -> None:
    near = get_close_matches(name, sorted(nodes), 3, 0.6)
    fix = f"did you mean {' or '.join(near)}?" if near else f"the fleet has {len(nodes)} hosts, none with a near name"
    reader.wrong(place, f"host {show(name)} is not in the fleet", fix, "STW-HOST")


def _service_ports(reader: Reader, value: Any, place: str) -> tuple[Port, ...]:
    found = sorted(set(_ports(reader, value, place)))
    for one in found:
        for other in found:
            clash = one.address == ANY != other.address and one[1:] == other[1:]
            if clash:
                reader.wrong(place, f"{one} and {other} cannot both be bound", "name an address for each, or drop one")
    return tuple(found)


def _ports(reader: Reader, value: Any, place: str) -> list[Port]:
    """Ports bound on the host: numbers, or mappings with published (or port), protocol, host_ip (or ip)."""
    found = []
    for at, entry in enumerate(reader.items(value, place)):
        where = f"{place}[{at}]"
        raw: Mapping[str, Any] = {"port": entry} if isinstance(entry, int) else reader.mapping(entry, where)
        reader.keys(raw, PORT_KEYS, where)
        port = reader.count(raw.get("published", raw.get("port")), where, 65535)
        protocol = reader.choice(raw.get("protocol"), PROTOCOLS, f"{where}.protocol")
        given = raw.get("host_ip", raw.get("ip", raw.get("address")))
        if port and raw.get("mode", "host") == "host":
            found.append(Port(_address(reader, given, where), port, protocol))
    return found


def _address(reader: Reader, value: Any, place: str) -> str:
    text = reader.text(value, place).strip("[]")
    if text in ("", "*"):
        return ANY
    found = address(text)
    if found is None:
        reader.wrong(place, f"{show(text)} is not an address", "write an IP address, or none for all")
        return ANY
    return ANY if found.is_unspecified else str(found)


def _current(reader: Reader, value: Any, services: Mapping[str, Service]) -> tuple[Held, ...]:
    found: dict[tuple[str, Slot, str], Held] = {}
    for at, entry in enumerate(reader.items(value, "current")):
        place = f"current[{at}]"
        raw = reader.mapping(entry, place)
        if set(raw) - set(CURRENT_KEYS):
            reader.keys(raw, CURRENT_KEYS, place)
        name, node = reader.name(raw.get("service"), f"{place}.service"), reader.name(raw.get("node"), f"{place}.node")
        slot = _slot(reader, raw.get("slot"), f"{place}.slot", services.get(name))
        if slot is not None:
            found[(name, slot, node)] = Held(name, slot, node)
    return tuple(sorted(found.values(), key=lambda held: (held.service, slot_key(held.slot), held.node)))


def _slot(reader: Reader, value: Any, place: str, service: Service | None) -> Slot | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        reader.wrong(place, f"{show(value)} is not a slot", "a number from 1, or for a global service its node")
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and not (service and service.everywhere):
        return int(value) if len(value) < 19 else str(value)
    return str(value) if isinstance(value, str) or (service and service.everywhere) else int(value)


def slot_key(slot: Slot) -> tuple[int, int, str]:
    """Sort key of a slot: numbers first."""
    return (1, 0, slot) if isinstance(slot, str) else (0, slot, "")


def _options(reader: Reader, value: Any, nodes: set[str]) -> Options:
    raw = reader.mapping(value, "options")
    reader.keys(raw, OPTION_KEYS, "options", strict=True)
    lost = [
        reader.name(name, f"options.assume_lost[{at}]")
        for at, name in enumerate(reader.items(raw.get("assume_lost"), "options.assume_lost"))
    ]
    for name in sorted({name for name in lost if name and name not in nodes}):
        _unknown_host(reader, name, "options.assume_lost", nodes)
    return Options(
        assume_lost=frozenset(lost),
        allow_moves=reader.flag(raw.get("allow_moves"), "options.allow_moves", True),
        unknown_missing=reader.choice(raw.get("unknown_missing"), ("hold", "place"), "options.unknown_missing"),
    )


def _dimensions(nodes: list[RawNode], services: list[RawService]) -> tuple[str, ...]:
    generic = {name for raw in services for name in raw.demands} | {name for raw in nodes for name in raw.capacity}
    return (CPUS, MEMORY, *sorted(generic - {CPUS, MEMORY}))


def _finish_node(raw: RawNode, index: int, dimensions: tuple[str, ...]) -> Node:
    """Capacity by dimension, less the reserve. Unstated: cpus and memory have no limit, of anything else is none."""
    node = raw.node
    node.index, node.hash = index, seed(node.name)
    for name in dimensions:
        unstated = UNLIMITED if name in (CPUS, MEMORY) else 0
        given = raw.capacity.get(name)
        node.capacity.append(unstated if given is None else max(0, given - raw.reserved.get(name, 0)))
    node.free = list(node.capacity)
    return node


def _finish_service(raw: RawService, dimensions: tuple[str, ...]) -> Service:
    demands = tuple((at, raw.demands[name]) for at, name in enumerate(dimensions) if raw.demands.get(name))
    return raw.service._replace(demands=demands)


def _label_warnings(services: tuple[Service, ...], nodes: tuple[Node, ...]) -> list[str]:
    found = doubts(sorted({one for service in services for one in service.constraints}), nodes)
    return [
        f"{service.name}: {rule}: {text}"
        for service in services
        for rule in service.constraints
        for text in found.get(rule, ())
    ]
