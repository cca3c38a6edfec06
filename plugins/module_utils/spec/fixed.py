# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixed addresses: `ipv4_address` of a service in the subnet that its network states."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import show
from .check_rights import host_network
from .findings import Findings

CODE = "STW-ADDRESS"
LONGEST, SHORTEST = 30, 8
Path = tuple[Any, ...]


def check(findings: Findings, normal: Mapping[str, Any]) -> None:
    """Note the mistakes of a stack's subnets and fixed addresses."""
    networks = {name: item or {} for name, item in (normal.get("networks") or {}).items() if not name.startswith("x-")}
    for name, item in networks.items():
        _subnets(findings, name, item)
    _overlaps(findings, networks)
    taken: dict[str, str] = {}
    for name, service in (normal.get("services") or {}).items():
        stated = dict(_stated(service))
        for network, text in stated.items():
            path = ("services", name, "networks", network, "ipv4_address")
            _address(findings, path, text, networks.get(network) or {})
            other = taken.setdefault(text, name)
            if other != name:
                findings.add(path, CODE, f"{show(text)} is already the address of {show(other)}", "choose another")
        if stated:
            _alone(findings, name, service, len(stated))


def fixed_address(stack: str, normal: Mapping[str, Any], service: Mapping[str, Any]) -> dict[str, str]:
    """{ip, network: real name, subnet, gateway} of a service with a fixed address; {} of others."""
    for network, text in _stated(service):
        item = (normal.get("networks") or {}).get(network) or {}
        for subnet, gateway in subnets(item):
            if not host_network(service, normal) and ipaddress.IPv4Address(text) in subnet:
                name = item.get("name") or f"{stack}_{network}"
                return {"ip": text, "network": name, "subnet": str(subnet), "gateway": str(gateway)}
    return {}


def idle_subnets(normal: Mapping[str, Any]) -> list[str]:
    """Networks that state a subnet in which no service has a fixed address."""
    used = {network for service in normal["services"].values() for network, _text in _stated(service)}
    networks = (normal.get("networks") or {}).items()
    return sorted(name for name, item in networks if name not in used and any(subnets(item or {})))


def subnets(network: Mapping[str, Any]) -> Iterator[tuple[ipaddress.IPv4Network, ipaddress.IPv4Address]]:
    """(subnet, gateway) of every right IPv4 subnet that a network states."""
    for entry in (network.get("ipam") or {}).get("config") or ():
        subnet = _network(entry.get("subnet"))
        if subnet is not None:
            stated = _ip(entry.get("gateway"))
            yield subnet, stated if stated is not None and stated in subnet else subnet.network_address + 1


def _stated(service: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(network, ipv4_address) of a service."""
    for network, item in (service.get("networks") or {}).items():
        if (item or {}).get("ipv4_address"):
            yield network, str(item["ipv4_address"])


def _subnets(findings: Findings, name: str, network: Mapping[str, Any]) -> None:
    for index, entry in enumerate((network.get("ipam") or {}).get("config") or ()):
        path, stated = ("networks", name, "ipam", "config", index), entry.get("subnet")
        subnet = _network(stated)
        if stated is not None and subnet is None:
            fix = f"write an IPv4 network from /{SHORTEST} to /{LONGEST}: 10.5.0.0/24"
            findings.add(path, CODE, f"{show(stated)} is no subnet for containers", fix, entry)
        gateway = entry.get("gateway")
        if subnet is not None and gateway is not None and not _usable(_ip(gateway), subnet):
            findings.add(path, CODE, f"gateway {show(gateway)} is no address of {subnet}", "leave it out", entry)


def _overlaps(findings: Findings, networks: Mapping[str, Any]) -> None:
    seen: list[tuple[ipaddress.IPv4Network, str]] = []
    for name, item in networks.items():
        for subnet, _gateway in subnets(item):
            for other, owner in seen:
                if subnet.overlaps(other):
                    reason = f"subnet {subnet} overlaps {other} of network {show(owner)}"
                    findings.add(("networks", name, "ipam"), CODE, reason, "give each network a subnet of its own")
            seen.append((subnet, name))


def _address(findings: Findings, path: Path, text: str, network: Mapping[str, Any]) -> None:
    """One ipv4_address and the network it is in."""
    address, there = _ip(text), list(subnets(network))
    if address is None:
        findings.add(path, CODE, f"{show(text)} is no IPv4 address", "write one of the network's subnet")
        return
    if network.get("external") or not there:
        reason = "the network is external" if network.get("external") else "the network states no subnet"
        fix = "state ipam.config.subnet of a network of this stack, or use an alias"
        findings.add(path, CODE, f"{text} is in no subnet: {reason}", fix)
        return
    subnet, gateway = next(((s, g) for s, g in there if address in s), (None, None))
    if subnet is None:
        shown = ", ".join(str(one) for one, _gateway in there)
        findings.add(path, CODE, f"{text} is outside the network's subnet {shown}", "choose an address in it")
    elif address == gateway or not _usable(address, subnet):
        what = "gateway" if address == gateway else "own address or its broadcast address"
        findings.add(path, CODE, f"{text} is the {what} of {subnet}", "choose another address in it")


def _alone(findings: Findings, name: str, service: Mapping[str, Any], count: int) -> None:
    """A fixed address is of one task, and a task has one address."""
    deploy, path = service.get("deploy") or {}, ("services", name)
    if count > 1:
        reason = f"{count} fixed addresses: a container has one, by which all its networks reach it"
        findings.add((*path, "networks"), CODE, reason, "keep one ipv4_address")
    several = "global" if str(deploy.get("mode")).startswith("global") else f"{deploy.get('replicas', 1)} replicas"
    if several not in ("0 replicas", "1 replicas"):
        findings.add(
            (*path, "networks"), CODE, f"one fixed address for {several}", "leave ipv4_address out, or one replica"
        )
    for part in ("update_config", "rollback_config"):
        if (deploy.get(part) or {}).get("order") == "start-first":
            reason = "start-first, but the old container holds the fixed address"
            findings.add((*path, "deploy", part, "order"), "STW-UPDATE", reason, "write stop-first")


def _usable(address: ipaddress.IPv4Address | None, subnet: ipaddress.IPv4Network) -> bool:
    return address in subnet and address not in (subnet.network_address, subnet.broadcast_address)


def _network(text: Any) -> ipaddress.IPv4Network | None:
    try:
        subnet = ipaddress.IPv4Network(str(text))
    except ValueError:
        return None
    wrong = subnet.is_loopback or subnet.is_multicast or subnet.is_link_local or subnet.is_reserved
    return subnet if SHORTEST <= subnet.prefixlen <= LONGEST and not wrong and "/" in str(text) else None


def _ip(text: Any) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(str(text))
    except ValueError:
        return None
