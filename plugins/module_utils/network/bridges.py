# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bridges of subnets with fixed addresses, and the neighbours who are told where an address went."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket

from .kernel import Change, apply, read, set_sysctls
from .links import level
from .names import BRIDGE, FIXED
from .routing import Fixed, route_changes
from .state import State


def fixed(script: str) -> Fixed:
    """A policy's fixed addresses: {bridges: {device: gateway/prefix}, routes: {address: node}}; {} if none."""
    head = script.partition("\n")[0]
    return dict(json.loads(head[len(FIXED) :])) if head.startswith(FIXED) else {}


def converge_fixed(state: State, script: str, check: bool) -> list[str]:
    """Have the bridges and routes that a policy needs for fixed addresses; return what was not so."""
    addresses = fixed(script)
    done = bridges_of_fixed(state, addresses, check)
    done += apply(route_changes(state, addresses), check)
    if not check:
        announce([ip for ip in addresses.get("routes", {}) if f"add route {ip}" in done])
    return done


def announce(moved: list[str]) -> None:
    """Tell the neighbours on our bridges that these addresses are behind the host now: their old entries are wrong."""
    # Not `ip -4`: it leaves the device's own address out.
    for link in read("ip", "addr", "show", "type", "bridge") if moved else []:
        found = [held for held in link.get("addr_info", []) if held["family"] == "inet"]
        for held in found if str(link["ifname"]).startswith(BRIDGE) else []:
            network = ipaddress.IPv4Network(f"{held['local']}/{held['prefixlen']}", strict=False)
            for ip in [ip for ip in moved if ipaddress.IPv4Address(ip) in network]:
                _gratuitous(str(link["ifname"]), str(link["address"]), ip)


def _gratuitous(device: str, mac: str, ip: str) -> None:
    """Broadcast one ARP answer: ip is at mac."""
    source, everybody = bytes.fromhex(mac.replace(":", "")), b"\xff" * 6
    address = ipaddress.IPv4Address(ip).packed
    frame = everybody + source + bytes.fromhex("08060001080006040002") + source + address + everybody + address
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((device, 0))
        link.send(frame)


def bridges_of_fixed(state: State, addresses: Fixed, check: bool) -> list[str]:
    """The bridges of the subnets of which an address is here.

    They answer for the addresses that are elsewhere. A bridge that is not needed any more goes with its Docker network.
    """
    done = []
    for device, gateway in addresses.get("bridges", {}).items():
        found = next(iter(read("ip", "-d", "addr", "show", "dev", device)), None)
        held = {f"{a['local']}/{a['prefixlen']}" for a in (found or {}).get("addr_info", [])}
        changes = []
        if found is None:
            line = f"link add {device} mtu {state['mtu']} type bridge nf_call_iptables 1"
            changes.append(Change(f"add device {device}", "ip", line))
        elif found.get("linkinfo", {}).get("info_data", {}).get("nf_call_iptables") != 1:
            line = f"link set {device} type bridge nf_call_iptables 1"
            changes.append(Change(f"have traffic inside {device} filtered", "ip", line))
        changes += level(found, device, state["mtu"])
        if gateway not in held:
            changes.append(Change(f"add address {gateway} on {device}", "ip", f"addr add {gateway} dev {device}"))
        done += apply(changes, check)
        conf, neighbour = f"net/ipv4/conf/{device}", f"net/ipv4/neigh/{device}/proxy_delay"
        wanted = {f"{conf}/rp_filter": "2", f"{conf}/send_redirects": "0", f"{conf}/route_localnet": "1"}
        done += set_sysctls({**wanted, f"{conf}/proxy_arp": "1", neighbour: "0"}, check)
    return done
