# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixed addresses in the whole fleet: who has which, what they collide with, and what each host does for them.

A service whose template has `address` {ip, network, subnet, gateway} runs on a Docker network of its own on its host,
whose bridge has the subnet; all other hosts have a route to this one address. Stack files' own mistakes are found in
`spec.fixed`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem
from .blocks import fixed_bridge
from .settings import overlaps, settings

Service = Mapping[str, Any]
CODE = "STW-ADDRESS"


def address_of(service: Service) -> dict[str, str]:
    """{ip, network, subnet, gateway} of a service with a fixed address; {} of others."""
    return dict(service.get("template", {}).get("address") or {})


def parts(services: Iterable[Service], members: Iterable[Mapping[str, Any]], node: str) -> dict[str, Any]:
    """What one host has for the fixed addresses of these members: {subnets, bridges, here, routes}; {} without any.

    members: {ip, node}. subnets: of the whole fleet. bridges: {device: gateway/prefix}; here: addresses on this host;
    routes: {address: node}.
    """
    gateways = {found["subnet"]: found["gateway"] for found in map(address_of, services) if found}
    known = [(ipaddress.IPv4Network(subnet), subnet) for subnet in sorted(gateways)]
    bridges, here, routes = {}, [], {}
    for member in members:
        for network, subnet in known:
            if ipaddress.IPv4Address(member["ip"]) not in network:
                continue
            if member["node"] == node:
                here.append(member["ip"])
                bridges[fixed_bridge(subnet)] = f"{gateways[subnet]}/{network.prefixlen}"
            else:
                routes[member["ip"]] = member["node"]
    if not gateways:
        return {}
    return {"subnets": sorted(gateways), "bridges": bridges, "here": sorted(here), "routes": routes}


def problems(
    services: Iterable[Service],
    fleet: Mapping[str, Any],
    observations: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Problem]:
    """What fixed addresses of all stacks collide with: each other, the fleet's own networks, networks of its hosts.

    observations: {node: Observation with `networks` [{cidr, what}]}; left out before hosts were asked.
    """
    stated = [(str(service["name"]), address_of(service)) for service in services if address_of(service)]
    found = _among(stated)
    subnets = sorted({address["subnet"] for _name, address in stated})
    for subnet in subnets:
        found += _fleet(subnet, fleet)
        for node, seen in sorted((observations or {}).items()):
            setting = "ipam.config.subnet of the stack's network"
            found += overlaps(subnet, seen.get("networks") or (), f"host {node}", setting)
    return found


def _among(stated: list[tuple[str, dict[str, str]]]) -> list[Problem]:
    found: list[Problem] = []
    holders: dict[str, str] = {}
    networks: dict[str, tuple[str, str]] = {}
    for name, address in stated:
        other = holders.setdefault(address["ip"], name)
        if other != name:
            reason = f"{address['ip']} is the fixed address of {other} too"
            found.append(Problem(CODE, f"service {name}", reason, "choose another"))
        mine = (address["network"], address["gateway"])
        first = networks.setdefault(address["subnet"], mine)
        if first != mine:
            reason = f"subnet {address['subnet']} of network {mine[0]} (gateway {mine[1]}) is also that of {first[0]}"
            fix = f"one subnet is one network: another subnet, or the same name and gateway ({first[1]})"
            found.append(Problem(CODE, f"service {name}", reason, fix))
    cut = [(ipaddress.IPv4Network(subnet), subnet) for subnet in sorted(networks)]
    for index, (network, subnet) in enumerate(cut):
        for other_network, other in cut[:index]:
            if network.overlaps(other_network):
                reason = f"subnet {subnet} overlaps {other} of network {networks[other][0]}"
                found.append(Problem(CODE, f"network {networks[subnet][0]}", reason, "choose another subnet"))
    return found


def _fleet(subnet: str, fleet: Mapping[str, Any]) -> list[Problem]:
    place, network = f"subnet {subnet}", ipaddress.IPv4Network(subnet)
    cidr = settings(fleet.get("network"))["cidr"]
    found = []
    if network.overlaps(ipaddress.IPv4Network(cidr)):
        reason = f"overlaps {cidr}, from which all other containers have their addresses"
        fix = "choose a subnet outside stowage_network.cidr"
        found.append(Problem("STW-CIDR-OVERLAP", place, reason, fix))
    for node in fleet.get("nodes") or ():
        try:
            inside = ipaddress.ip_address(str(node["address"])) in network
        except ValueError:
            inside = False
        if inside:
            reason = f"contains the address {node['address']} of host {node['name']}"
            found.append(Problem("STW-CIDR-OVERLAP", place, reason, "choose a subnet that no host is in"))
    return found
