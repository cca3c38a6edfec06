# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of our two nftables tables: `inet stowage` (guard, marks, masquerade) and `ip stowage_ports`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, StowageError
from .blocks import ip_range
from .converge import BRIDGE, MARK, VXLAN, own, peers

PROTOCOLS = ("tcp", "udp", "sctp")
TABLE = 'table {name}\ndelete table {name}\ntable {name} {{\n\tcomment "stowage:{digest}"\n{body}}}\n'

Published = dict[tuple[str, int], tuple[str, int]]


def base_table(state: Mapping[str, Any]) -> str:
    """The nft script of `inet stowage` for one host; state is the fleet table and `name`.

    Outside cannot reach container addresses, containers cannot pose as others, VXLAN comes from the fleet only. What
    may pass is marked: accepting it here would not stop Docker's chains from dropping it, so those accept the mark.
    """
    body = _members(state) + _guard(state) + _forwarding() + _source(state)
    return _script("inet stowage", body)


def _members(state: Mapping[str, Any]) -> str:
    """Who is no container of a plan: hosts, and what was started by hand. The policy fills the two empty chains."""
    nodes = sorted(state["nodes"].values(), key=lambda entry: int(entry["index"]))
    return f"""\tset hosts {{
\t\ttype ipv4_addr
\t\telements = {{ {", ".join(entry["vtep"] for entry in nodes)} }}
\t}}
\tset byhand {{
\t\ttype ipv4_addr
\t\tflags interval
\t\telements = {{ {", ".join(ip_range(entry["block"]) for entry in nodes)} }}
\t}}
\tchain judged {{
\t}}
\tchain leaving {{
\t}}
\tchain refused {{
\t\tmeta l4proto tcp counter reject with tcp reset
\t\tcounter reject with icmpx type admin-prohibited
\t}}
"""


def _guard(state: Mapping[str, Any]) -> str:
    me, cidr = own(dict(state)), state["cidr"]
    family = "ip6" if ":" in me["address"] else "ip"
    kind = "ipv6_addr" if family == "ip6" else "ipv4_addr"
    underlay = sorted(peer["address"] for peer in peers(dict(state)).values())
    elements = f"elements = {{ {', '.join(underlay)} }}; " if underlay else ""
    return f"""\tset peers {{ type {kind}; {elements}}}
\tchain guard {{
\t\ttype filter hook prerouting priority -310; policy accept;
\t\tudp dport {state["port"]} @th,96,24 {state["vni"]} {family} saddr != @peers drop
\t\tiifname {{ "{BRIDGE}", "{VXLAN}" }} ip daddr 127.0.0.0/8 drop
\t\tiifname "{BRIDGE}" ip saddr != {me["block"]} drop
\t\tiifname "{BRIDGE}" ip saddr {{ {me["vtep"]}, {me["gateway"]} }} drop
\t\tiifname "{VXLAN}" ip saddr != {cidr} drop
\t\tiifname != {{ "lo", "{BRIDGE}", "{VXLAN}" }} ip daddr {cidr} drop
\t}}
"""


def _forwarding() -> str:
    """Containers to the outside stay Docker's business: a mark there would break its isolation of networks."""
    both = f'{{ "{BRIDGE}", "{VXLAN}" }}'
    passes = f"meta mark set meta mark or {MARK} accept"
    return f"""\tchain forwarding {{
\t\ttype filter hook forward priority -10; policy accept;
\t\tiifname "{BRIDGE}" oifname != {both} jump leaving
\t\toifname {both} ct status dnat {passes}
\t\tiifname {both} oifname {both} jump judged
\t\toifname {both} ct state established,related {passes}
\t\tiifname "{VXLAN}" ct state established,related {passes}
\t\tiifname {both} oifname {both} {passes}
\t\tiifname "{VXLAN}" drop
\t\toifname {both} drop
\t}}
\tchain segment {{
\t\ttype filter hook forward priority -150; policy accept;
\t\toifname "{VXLAN}" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
\t}}
"""


def _source(state: Mapping[str, Any]) -> str:
    """Masquerade what leaves the fleet, and published flows whose replies would not come back through this host."""
    block, cidr = own(dict(state))["block"], state["cidr"]
    both = f'{{ "{BRIDGE}", "{VXLAN}" }}'
    return f"""\tchain source {{
\t\ttype nat hook postrouting priority 90; policy accept;
\t\toifname {both} ip saddr 127.0.0.0/8 masquerade
\t\toifname "{VXLAN}" ct status dnat ip saddr != {block} masquerade
\t\toifname "{BRIDGE}" ct status dnat ip saddr {block} masquerade
\t\toifname != {both} ip saddr {block} ip daddr != {cidr} masquerade
\t}}
"""


def published_ports(
    services: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]], node: Mapping[str, Any]
) -> str:
    """The nft script of `ip stowage_ports`: every published port of mode ingress, on every local address of a host.

    services: Service values (name, ports); tasks: those that serve [{service, slot, node, ip}]; node: the host it is
    for {name} (its own tasks never get their own connections back). "" if nothing is published or nobody serves it.
    Replies find their way back by the masquerade of the base table.
    Raises StowageError STW-PORT if two services publish one port.
    """
    serving: dict[str, dict[str, str]] = {}
    for task in tasks:
        if task["ip"]:
            serving.setdefault(task["service"], {})[task["ip"]] = task["node"]
    owners = _owners(services)
    chains, elements = [], []
    for (protocol, port), (service, target) in sorted(owners.items()):
        if service in serving:
            chains.append(_chain(protocol, port, target, serving[service], str(node["name"])))
            elements.append(f"{protocol} . {port} : goto {protocol}_{port}")
    return _script("ip stowage_ports", "".join(chains) + _hooks(elements)) if chains else ""


def _owners(services: Iterable[Mapping[str, Any]]) -> Published:
    owners: Published = {}
    problems = []
    for service in sorted(services, key=lambda one: str(one["name"])):
        for port in service.get("ports") or []:
            published, protocol = int(port.get("published") or 0), str(port.get("protocol") or "tcp")
            if port.get("mode", "ingress") != "ingress" or not published or protocol not in PROTOCOLS:
                continue
            value = (str(service["name"]), int(port["target"]))
            other = owners.setdefault((protocol, published), value)
            if other != value:
                reason = f"publishes {published}/{protocol}, as {other[0]} does"
                problems.append(Problem("STW-PORT", value[0], reason, "publish each port once in the fleet"))
    if problems:
        raise StowageError(problems)
    return owners


def _chain(protocol: str, port: int, target: int, backends: Mapping[str, str], node: str) -> str:
    rules = [
        f"\t\tip saddr {ip} {_spread(protocol, target, [other for other in _ordered(backends) if other != ip])}\n"
        for ip in _ordered(backends)
        if backends[ip] == node and len(backends) > 1
    ]
    rules.append(f"\t\t{_spread(protocol, target, _ordered(backends))}\n")
    return f"\tchain {protocol}_{port} {{\n{''.join(rules)}\t}}\n"


def _ordered(backends: Iterable[str]) -> list[str]:
    return sorted(backends, key=lambda ip: tuple(int(part) for part in ip.split(".")))


def _spread(protocol: str, target: int, ips: list[str]) -> str:
    if len(ips) == 1:
        return f"meta l4proto {protocol} dnat to {ips[0]}:{target}"
    entries = ", ".join(f"{number} : {ip} . {target}" for number, ip in enumerate(ips))
    return f"meta l4proto {protocol} dnat to numgen random mod {len(ips)} map {{ {entries} }}"


def _hooks(elements: list[str]) -> str:
    pick = "fib daddr type local meta l4proto . th dport vmap @published"
    return f"""\tmap published {{
\t\ttype inet_proto . inet_service : verdict
\t\telements = {{ {", ".join(elements)} }}
\t}}
\tchain prerouting {{
\t\ttype nat hook prerouting priority -110; policy accept;
\t\t{pick}
\t}}
\tchain output {{
\t\ttype nat hook output priority -110; policy accept;
\t\t{pick}
\t}}
"""


def _script(name: str, body: str) -> str:
    """A script that replaces a whole table in one transaction; its comment carries the digest of the body."""
    return TABLE.format(name=name, digest=hashlib.sha256(body.encode()).hexdigest()[:32], body=body)
