# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What follows from a host's block and underlay address: pure functions, so no host needs to be asked."""

from __future__ import annotations

import hashlib
import ipaddress

VXLAN_OVERHEAD = {4: 50, 6: 70}
WIREGUARD_OVERHEAD = {4: 60, 6: 80}


def address_pool(block: str) -> list[str]:
    """The addresses of a block that a plan may give to containers, lowest first.

    .0 is the host's VTEP, .1 the gateway; the last quarter is kept back: its second half is Docker's own range
    for containers started by hand (`ip_range`), its first half is for later use. A /24 gives .2 to .191.
    """
    network = ipaddress.IPv4Network(block)
    first = int(network.network_address)
    return [str(ipaddress.IPv4Address(first + n)) for n in range(2, network.num_addresses * 3 // 4)]


def ip_range(block: str) -> str:
    """The last eighth of a block: Docker's dynamic addresses (10.128.5.0/24 gives 10.128.5.224/27)."""
    network = ipaddress.IPv4Network(block)
    size = network.num_addresses // 8
    start = ipaddress.IPv4Address(int(network.broadcast_address) + 1 - size)
    return f"{start}/{network.prefixlen + 3}"


def gateway(block: str) -> str:
    """The bridge's address: the block's .1."""
    return str(ipaddress.IPv4Network(block).network_address + 1)


def vtep(block: str) -> str:
    """The VXLAN device's own address: the block's .0."""
    return str(ipaddress.IPv4Network(block).network_address)


def vtep_mac(underlay: str) -> str:
    """The VXLAN device's MAC: 0a:53 and the underlay IPv4 address (IPv6: the start of its digest)."""
    address = ipaddress.ip_address(underlay)
    tail = address.packed if address.version == 4 else hashlib.sha256(address.packed).digest()[:4]
    return _mac(b"\x0a\x53" + tail)


def container_mac(address: str) -> str:
    """A container's MAC: 02:42 and its IPv4 address."""
    return _mac(b"\x02\x42" + ipaddress.IPv4Address(address).packed)


def overhead(underlay: str, encrypted: bool = False) -> int:
    """Bytes VXLAN adds to a packet over this underlay address, if encrypted inside of WireGuard."""
    version = ipaddress.ip_address(underlay).version
    return VXLAN_OVERHEAD[4] + WIREGUARD_OVERHEAD[version] if encrypted else VXLAN_OVERHEAD[version]


def inner(block: str) -> str:
    """The host's address inside of WireGuard: the first that no container gets (10.128.5.0/24 gives 10.128.5.192)."""
    network = ipaddress.IPv4Network(block)
    return str(network.network_address + network.num_addresses * 3 // 4)


def fixed_bridge(subnet: str) -> str:
    """The bridge that a subnet of fixed addresses has on each host that needs it: stw0 and 8 digits of its digest."""
    return f"stw0{hashlib.sha256(subnet.encode()).hexdigest()[:8]}"


def fixed_network(subnet: str) -> str:
    """The Docker network of a subnet of fixed addresses: stowage-10.5.0.0-24."""
    return f"stowage-{subnet.replace('/', '-')}"


def _mac(octets: bytes) -> str:
    return ":".join(f"{octet:02x}" for octet in octets)
