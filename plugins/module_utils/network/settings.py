# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The variable stowage_network: its defaults, its mistakes, and what it may not overlap."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, show

DEFAULTS: dict[str, Any] = {
    "mode": "vxlan",
    "cidr": "10.128.0.0/12",
    "block_prefix": 24,
    "mtu": 0,  # 0: from the hosts' underlay
    # Far from Docker Swarm's, which count up from 4096 on the same UDP port of the same hosts.
    "vni": 5461079,
    "port": 4789,
    "bgp": None,  # bgp.options
    "evpn": None,  # evpn.options
    "encryption": None,  # or wireguard
}
MODES = ("vxlan", "bgp", "evpn")
RANGES = {"block_prefix": (20, 27), "mtu": (1280, 65535), "vni": (1, 2**24 - 1), "port": (1, 65535)}
PLACE = "stowage_network"


def settings(network: Mapping[str, Any] | None) -> dict[str, Any]:
    """stowage_network with every default filled in: {mode, cidr, block_prefix, mtu, vni, port, bgp, evpn,
    encryption}."""
    return {**DEFAULTS, **{str(key): value for key, value in (network or {}).items()}}


def check(network: Any, nodes: Iterable[Mapping[str, Any]] = ()) -> list[Problem]:
    """Every mistake of stowage_network: STW-NETWORK, STW-CIDR, STW-CIDR-OVERLAP (with a node's address), STW-CIDR-FULL.

    network: the variable as written; nodes: the Fleet's nodes [{name, address}].
    """
    if network is not None and not isinstance(network, Mapping):
        return [Problem("STW-NETWORK", PLACE, f"{show(network)} is not a mapping", "write {cidr: 10.128.0.0/12}")]
    wanted = settings(network)
    problems = [
        Problem("STW-NETWORK", f"{PLACE}.{show(key)}", "unknown key", f"known keys: {', '.join(DEFAULTS)}")
        for key in wanted
        if key not in DEFAULTS
    ]
    if wanted["mode"] not in MODES:
        reason = f"{show(wanted['mode'])} is not a known mode"
        problems.append(Problem("STW-NETWORK", f"{PLACE}.mode", reason, f"one of {', '.join(MODES)}"))
    for key, (low, high) in RANGES.items():
        value = wanted[key]
        if (key, value) == ("mtu", 0):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            reason = f"{show(value)} is not a number from {low} to {high}"
            code = "STW-CIDR" if key == "block_prefix" else "STW-NETWORK"
            problems.append(Problem(code, f"{PLACE}.{key}", reason, f"the default is {DEFAULTS[key]}"))
    return problems or _cidr_problems(wanted, list(nodes))


def _cidr_problems(wanted: Mapping[str, Any], nodes: list[Mapping[str, Any]]) -> list[Problem]:
    place, text, prefix = f"{PLACE}.cidr", str(wanted["cidr"]), wanted["block_prefix"]
    try:
        cidr = ipaddress.IPv4Network(text, strict=True)
    except ValueError as error:
        return [Problem("STW-CIDR", place, f"{show(text)} is not an IPv4 network: {error}", "write 10.128.0.0/12")]
    if not 8 <= cidr.prefixlen <= prefix:
        reason = f"/{cidr.prefixlen} cannot be cut into /{prefix} blocks"
        return [Problem("STW-CIDR", place, reason, f"use a prefix from /8 to /{prefix}")]
    if cidr.is_loopback or cidr.is_multicast or cidr.is_link_local or cidr.is_reserved or cidr.is_unspecified:
        return [Problem("STW-CIDR", place, f"{cidr} cannot carry containers", "use a private network: 10.128.0.0/12")]
    problems = []
    room = 2 ** (prefix - cidr.prefixlen)
    if room < len(nodes):
        reason = f"{cidr} holds {room} blocks of /{prefix}, the fleet has {len(nodes)} hosts"
        problems.append(Problem("STW-CIDR-FULL", place, reason, "use a wider cidr that contains this one"))
    return problems + _underlay_problems(cidr, nodes)


def _underlay_problems(cidr: ipaddress.IPv4Network, nodes: list[Mapping[str, Any]]) -> list[Problem]:
    problems = []
    first: int | None = None
    for node in nodes:
        place, address = f"host {node['name']}: stowage_address", as_address(node.get("address"))
        if address is None:
            reason = f"{show(node.get('address'))} is not an IP address"
            problems.append(Problem("STW-INVENTORY", place, reason, "set the address other hosts reach it by"))
            continue
        first = first or address.version
        if address in cidr:
            reason = f"{cidr} contains the address {address} of host {node['name']}"
            problems.append(Problem("STW-CIDR-OVERLAP", f"{PLACE}.cidr", reason, "use a network that no host is in"))
        if address.version != first:
            reason = f"is IPv{address.version}, other hosts have IPv{first}"
            problems.append(Problem("STW-INVENTORY", place, reason, "one VXLAN runs over one version"))
    return problems


def as_address(text: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address a text is, or None."""
    try:
        return ipaddress.ip_address(str(text))
    except ValueError:
        return None


def as_network(text: Any) -> ipaddress.IPv4Network | None:
    """The IPv4 network a text is, or None (also for networks with host bits set)."""
    try:
        return ipaddress.IPv4Network(str(text))
    except ValueError:
        return None


def overlaps(
    cidr: str, networks: Iterable[Mapping[str, Any]], place: str, setting: str = "stowage_network.cidr"
) -> list[Problem]:
    """STW-CIDR-OVERLAP for every network of a host that shares addresses with cidr.

    networks: [{cidr, kind: address|route|docker, what}], as `host.host_networks` gives. A wider route through a
    gateway is no overlap: ours is more specific. setting: what the user may change.
    """
    wanted = ipaddress.IPv4Network(cidr)
    problems = []
    for network in networks:
        there = as_network(network.get("cidr"))
        if there is None or not wanted.overlaps(there):
            continue
        if network.get("kind") == "route" and there.prefixlen < wanted.prefixlen:
            continue
        reason = f"{wanted} overlaps {there} ({show(network.get('what', 'a network of the host'))})"
        fix = f"choose another {setting}, or remove that network"
        problems.append(Problem("STW-CIDR-OVERLAP", place, reason, fix))
    return problems
