# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of BGP: mistakes of stowage_network.bgp, and what the fleet table says of sessions."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, show

MODES = ("bgp", "evpn")
TOPOLOGIES = ("mesh", "reflectors", "tor")
PLACE = "stowage_network.bgp"
ASN = 64512
# One AS per host under `tor`: this and the host's index. From here to 4294967294 is private (RFC 6996).
FIRST_ASN = 4200000000
LAST_ASN = 4294967294
RESERVED = (23456, 65535)
FABRIC = re.compile(r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
DEVICE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}$")
# Sessions of hosts that name no fabrics: all in one, by their own addresses.
ALONE = "underlay"

Node = Mapping[str, Any]


def options(network: Mapping[str, Any]) -> dict[str, Any]:
    """stowage_network.bgp with its defaults: {topology, asn, accept}; network: `settings.settings`."""
    stated = network.get("bgp")
    stated = dict(stated) if isinstance(stated, Mapping) else {}
    first = FIRST_ASN if stated.get("topology") == "tor" else ASN
    return {"topology": "mesh", "asn": first, "accept": [], **stated}


def check(network: Mapping[str, Any], nodes: Iterable[Node], reflectors: Iterable[str]) -> list[Problem]:
    """Every mistake of stowage_network.bgp and of the hosts' fabrics: STW-BGP.

    network: `settings.settings`; nodes: the Fleet's [{name, address, fabrics, uplinks}]; reflectors: the group's names.
    """
    members = sorted(nodes, key=lambda node: str(node["name"]))
    problems = _option_problems(network)
    if network["mode"] not in MODES or problems:
        return problems
    topology = options(network)["topology"]
    if topology == "tor":
        return problems + [problem for node in members for problem in _uplink_problems(node)]
    if topology == "reflectors":
        problems += _reflector_problems({str(node["name"]) for node in members}, sorted(set(reflectors)))
    return problems + _fabric_problems(members)


def extend(table: dict[str, Any], network: Mapping[str, Any], nodes: Iterable[Node], reflectors: Iterable[str]) -> None:
    """Add to the fleet table what sessions need: `bgp`, and each node's `fabrics`, or `uplinks` and `asn`.

    A table of mode vxlan stays as it is. The arguments are those of `check`, which found no problem.
    """
    if network["mode"] not in MODES:
        return
    wanted = options(network)
    tor = wanted["topology"] == "tor"
    table["bgp"] = {key: wanted[key] for key in ("topology", "asn", "accept")}
    if wanted["topology"] == "reflectors":
        table["bgp"]["reflectors"] = sorted(set(reflectors))
    for node in nodes:
        entry = table["nodes"][str(node["name"])]
        if tor:
            entry.update(uplinks=list(node["uplinks"]), asn=wanted["asn"] + entry["index"])
        else:
            entry["fabrics"] = dict(node.get("fabrics") or {ALONE: str(node["address"])})


def unreachable(table: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    """STW-BGP for what a host that answered does not have, and for sessions through routers.

    observed: {host: {links: {address: {network, mtu}}, devices: {name: mtu}}}. Routers between two hosts would not know
    the addresses of containers.
    """
    problems = []
    for name, entry in sorted(table["nodes"].items() if "bgp" in table else ()):
        seen = observed.get(name)
        for device in entry.get("uplinks") or [] if seen is not None else []:
            if device not in (seen or {})["devices"]:
                reason = f"the host has no device {device}"
                problems.append(Problem("STW-BGP", f"host {name}: stowage_uplinks", reason, "as `ip link` prints it"))
        for fabric, address in sorted((entry.get("fabrics") or {}).items()) if seen is not None else []:
            if fabric != ALONE and address not in (seen or {})["links"]:
                reason = f"{address} is not on the host"
                fix = f"it has {', '.join(sorted((seen or {})['links']))}"
                problems.append(Problem("STW-BGP", f"host {name}: stowage_fabrics.{fabric}", reason, fix))
    for name, peer, fabric in _sessions(table):
        mine, theirs = (table["nodes"][host]["fabrics"][fabric] for host in (name, peer))
        here = ((observed.get(name) or {}).get("links") or {}).get(mine)
        if here is not None and ipaddress.ip_address(theirs) not in ipaddress.ip_network(here["network"]):
            reason = f"{theirs} of host {peer} is not in {here['network']}: no router between knows containers"
            fix = "use topology tor with routers that speak BGP, or mode vxlan"
            problems.append(Problem("STW-BGP", f"host {name}: fabric {fabric}", reason, fix))
    return problems


def _sessions(table: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every [(host, other, fabric)] of a mesh or of clients and their reflectors."""
    bgp = table.get("bgp") or {}
    if bgp.get("topology") not in ("mesh", "reflectors"):
        return []
    ends = bgp.get("reflectors") or sorted(table["nodes"])
    return [
        (name, peer, fabric)
        for name in sorted(table["nodes"])
        for peer in ends
        if peer != name
        for fabric in sorted(table["nodes"][name]["fabrics"])
    ]


def _option_problems(network: Mapping[str, Any]) -> list[Problem]:
    stated = network.get("bgp")
    if stated is None:
        return []
    if not isinstance(stated, Mapping):
        return [Problem("STW-BGP", PLACE, f"{show(stated)} is not a mapping", "write {topology: mesh, asn: 64512}")]
    wanted = options(network)
    known = ("topology", "asn", "accept")
    problems = [
        Problem("STW-BGP", f"{PLACE}.{show(key)}", "unknown key", f"known keys: {', '.join(known)}")
        for key in stated
        if key not in known
    ]
    if network["mode"] not in MODES:
        fix = f"set mode to one of {', '.join(MODES)}, or remove bgp"
        problems.append(Problem("STW-BGP", PLACE, f"mode {show(network['mode'])} has no BGP", fix))
    if wanted["topology"] not in TOPOLOGIES:
        reason = f"{show(wanted['topology'])} is not a known topology"
        problems.append(Problem("STW-BGP", f"{PLACE}.topology", reason, f"one of {', '.join(TOPOLOGIES)}"))
    return problems + _asn_problems(wanted, network) + _accept_problems(wanted, network)


def _asn_problems(wanted: Mapping[str, Any], network: Mapping[str, Any]) -> list[Problem]:
    place, asn = f"{PLACE}.asn", wanted["asn"]
    if isinstance(asn, bool) or not isinstance(asn, int) or not 1 <= asn <= LAST_ASN or asn in RESERVED:
        fix = f"a private one: 64512 to 65534, or {FIRST_ASN} to {LAST_ASN}"
        return [Problem("STW-BGP", place, f"{show(asn)} is not an AS number that may be used", fix)]
    try:
        prefix = ipaddress.IPv4Network(str(network["cidr"])).prefixlen
        room = 2 ** max(0, int(network["block_prefix"]) - prefix)
    except (ValueError, TypeError):  # told by settings.check
        return []
    last = asn + room - 1
    if wanted["topology"] == "tor" and (last > LAST_ASN or any(asn <= taken <= last for taken in RESERVED)):
        reason = f"{asn} and one for each of {room} blocks reaches reserved numbers"
        return [Problem("STW-BGP", place, reason, f"the default, {FIRST_ASN}, has room for all")]
    return []


def _accept_problems(wanted: Mapping[str, Any], network: Mapping[str, Any]) -> list[Problem]:
    place, accept = f"{PLACE}.accept", wanted["accept"]
    if not isinstance(accept, (list, tuple)):
        return [Problem("STW-BGP", place, f"{show(accept)} is not a list", "write [0.0.0.0/0]")]
    problems = []
    for text in accept:
        try:
            ipaddress.IPv4Network(str(text))
        except ValueError as error:
            reason = f"{show(text)} is not an IPv4 network: {error}"
            problems.append(Problem("STW-BGP", place, reason, "write 0.0.0.0/0 for a default route"))
            continue
        if _inside(str(text), str(network["cidr"])):
            reason = f"{text} is a part of {network['cidr']}"
            problems.append(Problem("STW-BGP", place, reason, "the fleet's blocks are accepted anyway; remove it"))
    return problems


def _inside(text: str, cidr: str) -> bool:
    try:
        return ipaddress.IPv4Network(text).subnet_of(ipaddress.IPv4Network(cidr))
    except ValueError:
        return False


def _reflector_problems(members: set[str], reflectors: list[str]) -> list[Problem]:
    place = "group stowage_reflectors"
    if not reflectors:
        fix = "put two or three hosts of the fleet in it, or use topology mesh"
        return [Problem("STW-BGP", place, "has no hosts, and topology is reflectors", fix)]
    return [
        Problem("STW-BGP", place, f"unknown reflector {show(name)}: it is no host of the fleet", "add it, or remove it")
        for name in reflectors
        if name not in members
    ]


def _uplink_problems(node: Node) -> list[Problem]:
    place, uplinks = f"host {node['name']}: stowage_uplinks", node.get("uplinks")
    if not isinstance(uplinks, (list, tuple)) or not uplinks:
        reason = "is not set" if not uplinks else f"{show(uplinks)} is not a list"
        return [Problem("STW-BGP", place, reason, "name the devices to the top of rack: [eth0, eth1]")]
    return [
        Problem("STW-BGP", place, f"{show(device)} is not a device name", "as `ip link` prints it")
        for device in uplinks
        if not isinstance(device, str) or not DEVICE.match(device)
    ]


def _fabric_problems(nodes: list[Node]) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    first: Node | None = None
    for node in nodes:
        place, fabrics = f"host {node['name']}: stowage_fabrics", node.get("fabrics")
        wrong = _form_problems(place, fabrics)
        problems += wrong
        if wrong:
            continue
        first = first or node
        mine, theirs = (sorted(one.get("fabrics") or {ALONE: ""}) for one in (node, first))
        if mine != theirs:
            reason = f"names {', '.join(mine)}, host {first['name']} names {', '.join(theirs)}"
            problems.append(Problem("STW-BGP", place, reason, "every host is in every fabric"))
        for address in (fabrics or {}).values():
            other = seen.setdefault(str(address), str(node["name"]))
            if other != node["name"]:
                reason = f"has the address {show(address)} of host {other}"
                problems.append(Problem("STW-BGP", place, reason, "give each host its own"))
    return problems


def _form_problems(place: str, fabrics: Any) -> list[Problem]:
    if fabrics is None:
        return []
    if not isinstance(fabrics, Mapping) or not fabrics:
        return [Problem("STW-BGP", place, f"{show(fabrics)} is not a mapping", "write {a: 192.0.2.11}")]
    problems = []
    for name, address in fabrics.items():
        if not FABRIC.match(str(name)):
            reason = f"{show(name)} is not a fabric's name"
            problems.append(Problem("STW-BGP", place, reason, "use lower-case letters, digits and dashes"))
        try:
            ipaddress.ip_address(str(address))
        except ValueError:
            reason = f"{show(address)} is not an IP address"
            problems.append(Problem("STW-BGP", place, reason, "the host's address in that fabric"))
    return problems
