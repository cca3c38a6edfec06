# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of /etc/frr/frr.conf of one host: a pure function of the fleet table."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from .converge import own, peers

HEAD = "! Written by Stowage; changes are lost."
GROUP = "stowage"
CLIENTS = "stowage-clients"
# A path is given up after three lost packets: 0.9 s. Without BFD a silent loss takes the hold time, or for ever.
INTERVAL_MS = 300
MULTIPLIER = 3
PATHS = 8
LISTEN_LIMIT = 5000

Lines = list[str]


def config(state: Mapping[str, Any], subnets: Mapping[str, str], addresses: Iterable[str] = ()) -> str:
    """frr.conf of the host that state is for (the fleet table and `name`), in a mode with BGP.

    subnets: {fabric: network} of this host, asked only of reflectors: whoever is in them may become a client.
    addresses: the host's own on its loopback device; under `tor` they are announced, because no link has one.
    """
    lines = [HEAD, f"hostname {state['name']}", "log syslog warnings", "service integrated-vtysh-config", "!"]
    lines += _filters(state, sorted(addresses)) + _sources(state) + _bfd()
    if state["mode"] == "evpn":
        lines += [f"vni {state['evpn']['vni']}", "!"]
    lines += _router(state, subnets)
    lines += _families(state, sorted(addresses))
    return "\n".join([*lines, "exit", "!", "end", ""])


def neighbors(state: Mapping[str, Any]) -> dict[str, str]:
    """{address or device: name of the host there} of every session this host opens itself."""
    table, me = dict(state), own(dict(state))
    if table["bgp"]["topology"] == "tor":
        return dict.fromkeys(me["uplinks"], "top of rack")
    ends = table["bgp"].get("reflectors")
    found = {}
    for name, peer in sorted(peers(table).items(), key=lambda item: int(item[1]["index"])):
        if ends is None or name in ends:
            for fabric in sorted(set(peer["fabrics"]) & set(me["fabrics"])):
                found[str(peer["fabrics"][fabric])] = name
    return found


def reflects(state: Mapping[str, Any]) -> bool:
    """True if this host is a route reflector."""
    return state["name"] in (state["bgp"].get("reflectors") or [])


def _filters(state: Mapping[str, Any], addresses: list[str]) -> Lines:
    """In: blocks of others, and what `accept` names. Out: the own block; a reflector passes on everybody's."""
    block, exact = own(dict(state))["block"], f"ge {state['block_prefix']} le {state['block_prefix']}"
    tor, evpn = state["bgp"]["topology"] == "tor", state["mode"] == "evpn"
    # In mode evpn blocks travel in the other family: as IPv4 routes they would go without the tunnel.
    incoming = [f"deny {state['cidr']} le 32"] if evpn else [f"deny {block} le 32", f"permit {state['cidr']} {exact}"]
    incoming += [f"permit {text}" for text in state["bgp"]["accept"]]
    if tor:
        others = (entry["address"] for entry in peers(dict(state)).values() if ":" not in entry["address"])
        incoming += [f"permit {address}/32" for address in sorted(others, key=_order)]
    outgoing = [f"permit {state['cidr']} {exact}"] if reflects(state) else [f"permit {block}"]
    outgoing = [] if evpn else outgoing
    outgoing += [f"permit {address}/32" for address in addresses] if tor else []
    lines = _list("stowage-in", incoming) + _list("stowage-out", outgoing or ["deny any"])
    if evpn:
        lines += _list("stowage-own", [f"permit {block}"])
        lines += _list("stowage-others", [f"deny {block} le 32", f"permit {state['cidr']} {exact}"])
    return [*lines, *_list("stowage-blocks", [f"permit {state['cidr']} le 32"]), "!"]


def _list(name: str, rules: Iterable[str]) -> Lines:
    return [f"ip prefix-list {name} seq {number * 5} {rule}" for number, rule in enumerate(rules, 1)]


def _order(address: str) -> int:
    return int(ipaddress.ip_address(address))


def _sources(state: Mapping[str, Any]) -> Lines:
    """The host speaks to containers of others by its VTEP address, as over VXLAN; its block is known while empty."""
    me, evpn = own(dict(state)), state["mode"] == "evpn"
    refused = ["route-map stowage-source deny 15", " match ip address prefix-list stowage-blocks", "exit", "!"]
    announced = ["route-map stowage-announced permit 10", " match ip address prefix-list stowage-own", "exit", "!"]
    return [
        "route-map stowage-source permit 10",
        f" match ip address prefix-list {'stowage-others' if evpn else 'stowage-blocks'}",
        f" set src {me['vtep']}",
        "exit",
        "!",
        *(refused if evpn else []),
        "route-map stowage-source permit 20",
        "exit",
        "!",
        *(announced if evpn else []),
        "ip protocol bgp route-map stowage-source",
        f"ip route {me['block']} blackhole 250",
        "!",
    ]


def _bfd() -> Lines:
    return [
        "bfd",
        " profile stowage",
        f"  detect-multiplier {MULTIPLIER}",
        f"  transmit-interval {INTERVAL_MS}",
        f"  receive-interval {INTERVAL_MS}",
        " exit",
        " !",
        "exit",
        "!",
    ]


def _router(state: Mapping[str, Any], subnets: Mapping[str, str]) -> Lines:
    me, topology = own(dict(state)), state["bgp"]["topology"]
    kind = "external" if topology == "tor" else "internal"
    lines = [
        f"router bgp {me['asn'] if topology == 'tor' else state['bgp']['asn']}",
        f" bgp router-id {me['vtep']}",
        " bgp log-neighbor-changes",
        " no bgp ebgp-requires-policy",
        " no bgp default ipv4-unicast",
        *_restart(state["mode"]),
    ]
    lines += [" bgp bestpath as-path multipath-relax"] if topology == "tor" else []
    lines += _group(GROUP, kind)
    if reflects(state):
        lines += [*_group(CLIENTS, kind), f" bgp listen limit {LISTEN_LIMIT}"]
    for end, name in neighbors(state).items():
        if topology == "tor":
            lines.append(f" neighbor {end} interface peer-group {GROUP}")
        else:
            lines += [f" neighbor {end} peer-group {GROUP}", f" neighbor {end} description {name}"]
    if reflects(state):
        ranges = sorted(set(subnets.values()))
        lines += [f" bgp listen range {subnet} peer-group {CLIENTS}" for subnet in ranges]
    return [*lines, " !"]


def _restart(mode: str) -> Lines:
    """Sessions end, routes stay while bgpd is away; but a peer that falls silent is gone at once.

    For EVPN FRR keeps the routes but not where their tunnels end: there they go, and the static VXLAN takes over.
    """
    if mode == "evpn":
        return [" bgp graceful-restart-disable"]
    return [" bgp graceful-restart", " no bgp graceful-restart notification"]


def _group(name: str, kind: str) -> Lines:
    return [
        f" neighbor {name} peer-group",
        f" neighbor {name} remote-as {kind}",
        # In FRR's own words and order: what its reload finds to be different ends sessions.
        f" neighbor {name} bfd",
        f" neighbor {name} bfd profile stowage",
        f" neighbor {name} advertisement-interval 0",
        f" neighbor {name} timers 3 9",
        f" neighbor {name} timers connect 1",
        # Blocks are IPv4 also where the hosts speak IPv6 to each other.
        f" neighbor {name} capability extended-nexthop",
    ]


def _families(state: Mapping[str, Any], addresses: list[str]) -> Lines:
    evpn, tor = state["mode"] == "evpn", state["bgp"]["topology"] == "tor"
    groups = [GROUP, CLIENTS] if reflects(state) else [GROUP]
    lines = [" address-family ipv4 unicast", f"  network {own(dict(state))['block']}"]
    lines += [f"  network {address}/32" for address in addresses] if tor else []
    for group in [] if evpn and not tor else groups:
        lines.append(f"  neighbor {group} activate")
        if group == CLIENTS:
            lines += [f"  neighbor {group} route-reflector-client", f"  neighbor {group} addpath-tx-all-paths"]
        lines += [f"  neighbor {group} prefix-list stowage-in in", f"  neighbor {group} prefix-list stowage-out out"]
    lines += [f"  maximum-paths {PATHS}", f"  maximum-paths ibgp {PATHS}", " exit-address-family", " !"]
    if evpn:
        lines.append(" address-family l2vpn evpn")
        for group in groups:
            lines.append(f"  neighbor {group} activate")
            lines += [f"  neighbor {group} route-reflector-client"] if group == CLIENTS else []
        lines += ["  advertise-all-vni", "  advertise ipv4 unicast route-map stowage-announced"]
        lines += [" exit-address-family", " !"]
    return lines
