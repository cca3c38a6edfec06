# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading ports: numbers, or mappings with published (or port), published_end, protocol, host_ip (or ip)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..errors import show
from .constraints import address
from .model import PortRange
from .ports import ANY, Port
from .reader import Reader

PROTOCOLS = ("tcp", "udp", "sctp")
PORT_KEYS = frozenset(
    (
        "port",
        "published",
        "published_end",
        "target",
        "protocol",
        "mode",
        "ip",
        "host_ip",
        "address",
        "name",
        "app_protocol",
    )
)
LAST = 65535


def service_ports(reader: Reader, value: Any, place: str) -> tuple[tuple[Port, ...], tuple[PortRange, ...]]:
    """What a replica binds on its host: ports, and ranges of which it takes any one. Sorted; clashes are mistakes."""
    found = read_ports(reader, value, place)
    ports = sorted({one for one in found if isinstance(one, Port)})
    ranges = sorted(one for one in found if isinstance(one, PortRange))
    for one in ports:
        for other in ports:
            if one.address == ANY != other.address and one[1:] == other[1:]:
                reader.wrong(place, f"{one} and {other} cannot both be bound", "name an address for each, or drop one")
    for wide in ranges:
        inside = {
            port.port for port in ports if port.protocol == wide.protocol and wide.first <= port.port <= wide.last
        }
        same = sum(1 for other in ranges if other == wide)
        if same + len(inside) > wide.last - wide.first + 1:
            reader.wrong(place, f"{wide} has no port left beside the others", "widen the range")
    return tuple(ports), tuple(ranges)


def read_ports(reader: Reader, value: Any, place: str) -> list[Port | PortRange]:
    """The ports and ranges of a list, as it stands, but for those that are not bound on the host (mode ingress)."""
    found: list[Port | PortRange] = []
    for at, entry in enumerate(reader.items(value, place)):
        where = f"{place}[{at}]"
        raw: Mapping[str, Any] = {"port": entry} if isinstance(entry, int) else reader.mapping(entry, where)
        reader.keys(raw, PORT_KEYS, where)
        port = reader.count(raw.get("published", raw.get("port")), where, LAST)
        protocol = reader.choice(raw.get("protocol"), PROTOCOLS, f"{where}.protocol")
        host = _address(reader, raw.get("host_ip", raw.get("ip", raw.get("address"))), where)
        last = _last(reader, raw, port, where)
        if port and raw.get("mode", "host") == "host":
            found.append(PortRange(host, port, last, protocol) if last > port else Port(host, port, protocol))
    return found


def _last(reader: Reader, raw: Mapping[str, Any], first: int, place: str) -> int:
    if raw.get("published_end") is None:
        return first
    last = reader.count(raw["published_end"], f"{place}.published_end", LAST, first)
    if not first or last < first:
        reader.wrong(place, f"{first} to {last} is no range of ports", "give published and a larger published_end")
    return last


def _address(reader: Reader, value: Any, place: str) -> str:
    text = reader.text(value, place)
    found = address_text(text)
    if found is None:
        reader.wrong(place, f"{show(text.strip('[]'))} is not an address", "write an IP address, or none for all")
        return ANY
    return found


@lru_cache(maxsize=4096)
def address_text(text: str) -> str | None:
    """An address in its shortest form; "" for every address; None if the text is none."""
    bare = text.strip("[]")
    if bare in ("", "*"):
        return ANY
    found = address(bare)
    return None if found is None else ANY if found.is_unspecified else str(found)
