# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What probes of the ways between hosts mean: a judgment and words for each way (`probe.ways`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem

LEAST = 1280  # what IPv6 needs; smaller networks are refused
UP, NARROW, CLOSED, SILENT = "up", "narrow", "closed", "silent"
Way = Mapping[str, Any]


def judge(way: Way) -> str:
    """up; narrow: large packets are lost; closed: only the tunnel is; silent: nothing came back.

    An underlay that answers no echo at all is no fault where the tunnel carries full packets.
    """
    wanted = way["wanted"]
    if way["underlay"] == 0 and way["tunnel"] == 0:
        return SILENT
    if 0 < way["underlay"] < wanted or 0 < way["tunnel"] < wanted:
        return NARROW
    return UP if way["tunnel"] else CLOSED


def widest(way: Way) -> int:
    """The largest underlay packet that passes, in bytes."""
    return min(int(size) for size in (way["underlay"], way["tunnel"]) if size)


def problems(node: str, ways: Iterable[Way], overhead: int) -> list[Problem]:
    """STW-MTU for every way that loses large packets, with its ends and sizes. overhead: VXLAN's, in bytes."""
    found = []
    for way in ways:
        if judge(way) == NARROW:
            size = widest(way)
            place = f"{node} to {way['to']} ({way['address']})"
            reason = f"packets of {way['wanted']} bytes are lost, {size} bytes pass: a black hole for full packets"
            smaller = f", or set stowage_network.mtu: {size - overhead} and drain the hosts in turn"
            fix = f"mend what drops them on the way{smaller if size - overhead >= LEAST else ''}"
            found.append(Problem("STW-MTU", place, reason, fix))
    return found


def warnings(node: str, ways: Iterable[Way], port: int) -> list[str]:
    """A line per way on which nothing comes back."""
    lines = []
    for way in ways:
        state = judge(way)
        if state == SILENT:
            lines.append(f"{node} to {way['to']} ({way['address']}): nothing comes back; is the host up?")
        if state == CLOSED:
            lines.append(
                f"{node} to {way['to']} ({way['address']}): the host answers, its tunnel does not. It may lack"
                f" stowage.fleet.bootstrap, or a firewall drops the tunnel: allow UDP {port} there"
            )
    return lines
