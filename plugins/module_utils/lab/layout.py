# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names and addresses of a lab: a pure function of its name, size and subnet."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from ..canonical import text_digest
from ..errors import Problem, raise_all, show

DEFAULT_LAB = "lab"
DEFAULT_SUBNET_OCTET = 77
MAX_HOSTS = 10
FIRST_HOST = 11
REGISTRY_HOST = 2
REGISTRY_PORT = 5000
NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class LabHost(NamedTuple):
    """One host: its name in the inventory (n1), its container, its address."""

    name: str
    container: str
    address: str


class Layout(NamedTuple):
    """Everything of a lab that follows from its name, size and subnet."""

    name: str
    network: str
    subnet: str
    gateway: str
    registry: LabHost
    hosts: tuple[LabHost, ...]

    @property
    def registry_endpoint(self) -> str:
        """Address and port under which hosts reach the registry."""
        return f"{self.registry.address}:{REGISTRY_PORT}"


def default_subnet(name: str) -> str:
    """The /24 inside 172.30.0.0/16 that a lab of this name uses; `lab` has 172.30.77.0/24 to itself."""
    if name == DEFAULT_LAB:
        octet = DEFAULT_SUBNET_OCTET
    else:
        octet = int(text_digest(name)[:8], 16) % 254
        octet += octet >= DEFAULT_SUBNET_OCTET
    return f"172.30.{octet}.0/24"


def layout(name: str, hosts: int, subnet: str = "") -> Layout:
    """Names and addresses of the lab `name` with `hosts` hosts.

    Raises StowageError with every mistake: STW-LAB-NAME, STW-LAB-HOSTS, STW-LAB-SUBNET.
    """
    raise_all(_problems(name, hosts, subnet))
    net = ipaddress.IPv4Network(subnet or default_subnet(name))
    at = net.network_address
    nodes = tuple(LabHost(f"n{i + 1}", f"{name}-n{i + 1}", str(at + FIRST_HOST + i)) for i in range(hosts))
    registry = LabHost("registry", f"{name}-registry", str(at + REGISTRY_HOST))
    return Layout(name, f"stowage-{name}", str(net), str(at + 1), registry, nodes)


def _problems(name: str, hosts: int, subnet: str) -> list[Problem]:
    found = []
    if not NAME.fullmatch(name):
        found.append(
            Problem(
                "STW-LAB-NAME",
                "stowage_lab_name",
                f"{show(name)} is no name for a lab",
                "use a small letter, then up to 30 small letters, digits or dashes",
            )
        )
    if not 1 <= hosts <= MAX_HOSTS:
        found.append(
            Problem("STW-LAB-HOSTS", "stowage_lab_hosts", f"{hosts} hosts were asked for", f"ask for 1 to {MAX_HOSTS}")
        )
    if subnet:
        found += _subnet_problems(subnet)
    return found


def _subnet_problems(subnet: str) -> list[Problem]:
    try:
        fits = ipaddress.IPv4Network(subnet).prefixlen <= 27
        reason = f"{show(subnet)} has no room for {MAX_HOSTS} hosts" if not fits else ""
    except ValueError as error:
        reason = f"{show(subnet)} is no IPv4 network ({error})"
    return [Problem("STW-LAB-SUBNET", "stowage_lab_subnet", reason, "give one like 172.30.5.0/24")] if reason else []
