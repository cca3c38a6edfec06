# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ways between hosts: echo requests of an exact size that may not be fragmented, to many at once, on both levels.

The underlay is asked between the hosts' own addresses, the tunnel between their VTEPs, over whatever carries containers
now. Needs root (raw sockets). Standard library only.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .blocks import overhead
from .state import own, peers

SMALL = 100
ROUND_SECONDS = 0.6
SAMPLE = 16
MTU_DISCOVER = {socket.AF_INET: (socket.IPPROTO_IP, 10), socket.AF_INET6: (socket.IPPROTO_IPV6, 23)}
PROBE = 3  # IP_PMTUDISC_PROBE: never fragment, whatever the kernel believes of the path
IP_HEAD = {socket.AF_INET: 20, socket.AF_INET6: 40}
KINDS = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}

Way = dict[str, Any]


class Echo(NamedTuple):
    """One request: from an address of this host to another's, size in bytes with the IP header."""

    source: str
    target: str
    size: int


def ways(state: Mapping[str, Any], sample: int = SAMPLE) -> list[Way]:
    """How the ways to the other hosts are: [{to, address, wanted, underlay, tunnel, ms}], by name.

    wanted: bytes that an underlay packet needs when a container's is full. underlay, tunnel: the largest size that came
    back, in bytes of the underlay packet; 0 if nothing did; ms: the tunnel's round trip, or None. Of more than
    `sample` hosts only that many are asked, those that follow this one by index: together the hosts ask all around.
    """
    me, mtu = own(dict(state)), int(state["mtu"])
    extra = overhead(str(me["address"]), bool(state.get("encryption")))
    chosen = _sample(state, sample)
    asked = {}
    for name, peer in chosen.items():
        for size, inner in ((mtu + extra, mtu), (SMALL + extra, SMALL)):
            asked[name, "underlay", size] = Echo(me["address"], peer["address"], size)
            asked[name, "tunnel", size] = Echo(me["vtep"], peer["vtep"], inner)
    times = echoes(asked.values())
    found = []
    for name, peer in chosen.items():
        way: Way = {"to": name, "address": peer["address"], "wanted": mtu + extra, "ms": None}
        for level in ("underlay", "tunnel"):
            sizes = [size for size in (mtu + extra, SMALL + extra) if asked[name, level, size] in times]
            way[level] = max(sizes, default=0)
        least = min(
            (times[one] for key, one in asked.items() if key[:2] == (name, "tunnel") and one in times), default=None
        )
        way["ms"] = None if least is None else round(least * 1000, 2)
        found.append(way)
    _measure(me, chosen, found, extra)
    return found


def _sample(state: Mapping[str, Any], count: int) -> dict[str, Mapping[str, Any]]:
    others = sorted(peers(dict(state)).items(), key=lambda item: (int(item[1]["index"]), item[0]))
    mine = int(own(dict(state))["index"])
    ring = [item for item in others if int(item[1]["index"]) > mine]
    ring += [item for item in others if int(item[1]["index"]) <= mine]
    return dict(sorted(ring[:count]))


class _Search(NamedTuple):
    """Between which sizes the largest one is that passes; less: what is not counted on this level."""

    source: str
    target: str
    less: int
    low: int
    high: int

    def middle(self) -> int:
        return -(-(self.low + self.high) // 2)

    def echo(self) -> Echo:
        return Echo(self.source, self.target, self.middle() - self.less)


def _measure(me: Mapping[str, Any], chosen: Mapping[str, Mapping[str, Any]], found: list[Way], extra: int) -> None:
    """Find the largest size that passes where the small one does and the full one does not, by halves."""
    searches: dict[tuple[int, str], _Search] = {}
    for number, way in enumerate(found):
        for level, key, less in (("underlay", "address", 0), ("tunnel", "vtep", extra)):
            if 0 < way[level] < way["wanted"]:
                ends = (str(me[key]), str(chosen[way["to"]][key]))
                searches[number, level] = _Search(*ends, less, way[level], way["wanted"] - 1)
    while searches:
        times = echoes(search.echo() for search in searches.values())
        for spot, search in list(searches.items()):
            passed, middle = search.echo() in times, search.middle()
            searches[spot] = search._replace(low=middle) if passed else search._replace(high=middle - 1)
            if searches[spot].low >= searches[spot].high:
                found[spot[0]][spot[1]] = searches.pop(spot).low


def echoes(wanted: Iterable[Echo], seconds: float = ROUND_SECONDS) -> dict[Echo, float]:
    """{request: seconds until its answer}, of those that were answered. Each is sent a second time if it must be."""
    waiting = dict(enumerate(dict.fromkeys(wanted)))
    found: dict[Echo, float] = {}
    mark = os.getpid() & 0xFFFF
    sockets = _sockets(waiting.values())
    try:
        for _attempt in range(2):
            sent = _send(sockets, waiting, mark)
            for number, spent in _receive(sockets, sent, mark, seconds / 2).items():
                found[waiting.pop(number)] = spent
            if not waiting:
                break
    finally:
        for one in sockets.values():
            one.close()
    return found


def _sockets(wanted: Iterable[Echo]) -> dict[str, socket.socket]:
    """A raw socket per source address; none where this host has not that address."""
    made: dict[str, socket.socket] = {}
    for source in sorted({echo.source for echo in wanted}):
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
        one = socket.socket(family, socket.SOCK_RAW, protocol)
        level, option = MTU_DISCOVER[family]
        one.setsockopt(level, option, PROBE)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        one.setblocking(False)
        try:
            one.bind((source, 0))
            made[source] = one
        except OSError:
            one.close()
    return made


def _send(sockets: Mapping[str, socket.socket], waiting: Mapping[int, Echo], mark: int) -> dict[int, float]:
    sent = {}
    for number, echo in waiting.items():
        if echo.source not in sockets:
            continue
        one = sockets[echo.source]
        request = packet(one.family, mark, number, echo.size - IP_HEAD[one.family])
        try:
            one.sendto(request, (echo.target, 0))
        except OSError:  # larger than this host's own device carries, or no route
            continue
        sent[number] = time.monotonic()
    return sent


def _receive(
    sockets: Mapping[str, socket.socket], sent: dict[int, float], mark: int, seconds: float
) -> dict[int, float]:
    found: dict[int, float] = {}
    end = time.monotonic() + seconds
    while len(found) < len(sent) and time.monotonic() < end:
        ready, _w, _x = select.select(list(sockets.values()), [], [], max(0.0, end - time.monotonic()))
        for one in ready:
            number = answered(one.family, one.recv(65535), mark)
            if number in sent and number not in found:
                found[number] = time.monotonic() - sent[number]
    return found


def packet(family: int, mark: int, number: int, size: int) -> bytes:
    """An echo request of so many bytes, checksum included (the kernel fills in that of ICMPv6)."""
    kind = KINDS[socket.AddressFamily(family)][0]
    body = struct.pack("!BBHHH", kind, 0, 0, mark, number) + b"\0" * max(0, size - 8)
    return body if family == socket.AF_INET6 else body[:2] + struct.pack("!H", _checksum(body)) + body[4:]


def answered(family: int, data: bytes, mark: int) -> int:
    """The number of the request that a received packet answers; -1 if it is something else."""
    if family == socket.AF_INET:
        data = data[(data[0] & 15) * 4 :]
    if len(data) < 8:
        return -1
    kind, _code, _sum, identity, number = struct.unpack("!BBHHH", data[:8])
    return int(number) if (kind, identity) == (KINDS[socket.AddressFamily(family)][1], mark) else -1


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2])) + (
        data[-1] << 8 if len(data) % 2 else 0
    )
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
