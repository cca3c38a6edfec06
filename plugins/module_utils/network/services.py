# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The text of the nftables table `ip stowage_ports`: who answers on services' addresses and on published ports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, StowageError
from .converge import BRIDGES, LOOP
from .firewall import script
from .hairpin import MARK
from .policy import slug

PROTOCOLS = ("tcp", "udp", "sctp")

Published = dict[tuple[str, int], tuple[str, int]]
Backends = Mapping[str, str]  # {address of a serving task: its node}


def service_table(
    services: Iterable[Mapping[str, Any]], tasks: Iterable[Mapping[str, Any]], node: Mapping[str, Any]
) -> str:
    """The nft script of `ip stowage_ports` for one host: published ports of mode ingress, and services' addresses.

    services: Service values (name, ports, and vip where they have one); tasks: those that serve
    [{service, slot, node, ip}]; node: the host it is for {name}. "" if nobody serves anything of this.
    Flows that exist stay with their task whatever the table says later; new ones follow it.
    Raises StowageError STW-PORT if two services publish one port.
    """
    serving: dict[str, dict[str, str]] = {}
    for task in tasks:
        if task["ip"]:
            serving.setdefault(task["service"], {})[task["ip"]] = task["node"]
    services, name = list(services), str(node["name"])
    ports, published = _published(services, serving, name)
    vips = {one["vip"]: str(one["name"]) for one in services if one.get("vip") and str(one["name"]) in serving}
    body = ports + _vips({vip: serving[vips[vip]] for vip in _ordered(vips)}, vips, name)
    if not body:
        return ""
    alone = any(list(serving.get(owner, {}).values()) == [name] for owner, _target in _owners(services).values())
    return (MARK if alone else "") + script("ip stowage_ports", body + _hooks(published, bool(vips)))


def _vips(backends: Mapping[str, Backends], names: Mapping[str, str], node: str) -> str:
    """Every service's address goes to its tasks in turn.

    What a local task sends to its own service's address takes the way over the loop of two devices: if it is chosen
    itself, the bridge would not give its packets back to where they came from. It then sees its service as the client.
    """
    if not backends:
        return ""
    chains = "".join(
        f"\tchain vip_{slug(names[vip])} {{\n\t\tdnat to {_turns([f'{ip}' for ip in _ordered(found)])}\n\t}}\n"
        for vip, found in backends.items()
    )
    local = [(ip, vip) for vip, found in backends.items() for ip in _ordered(found) if found[ip] == node]
    owned = [f"{ip} . {vip}" for ip, vip in local]
    looped = [f"{ip} . {ip} : {vip}" for ip, vip in local]
    goto = [f"{vip} : goto vip_{slug(names[vip])}" for vip in backends]
    return f"""{chains}{_elements("map vips", "ipv4_addr : verdict", goto)}\
{_elements("set owned", "ipv4_addr . ipv4_addr", owned)}\
{_elements("map looped", "ipv4_addr . ipv4_addr : ipv4_addr", looped)}\
\tchain loop {{
\t\ttype filter hook prerouting priority -300; policy accept;
\t\tiifname "{BRIDGES}" ip saddr . ip daddr @owned notrack
\t}}
\tchain source {{
\t\ttype nat hook postrouting priority 80; policy accept;
\t\toifname "{BRIDGES}" ct status dnat snat to ip saddr . ip daddr map @looped
\t}}
"""


def _elements(head: str, kind: str, elements: Iterable[str]) -> str:
    listed = ", ".join(elements)
    inside = f"\t\telements = {{ {listed} }}\n" if listed else ""
    return f"\t{head} {{\n\t\ttype {kind}\n{inside}\t}}\n"


def _turns(ips: list[str]) -> str:
    if len(ips) == 1:
        return ips[0]
    entries = ", ".join(f"{number} : {ip}" for number, ip in enumerate(ips))
    return f"numgen inc mod {len(ips)} map {{ {entries} }}"


def _published(
    services: Iterable[Mapping[str, Any]], serving: Mapping[str, Backends], node: str
) -> tuple[str, list[str]]:
    chains, elements = [], []
    for (protocol, port), (service, target) in sorted(_owners(services).items()):
        if service in serving:
            chains.append(_chain(protocol, port, target, serving[service], node))
            elements.append(f"{protocol} . {port} : goto {protocol}_{port}")
    return "".join(chains), elements


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


def _hooks(published: list[str], vips: bool) -> str:
    """Containers' packets to a service's address come from the bridge, or again from the loop."""
    kind = "inet_proto . inet_service : verdict"
    table = _elements("map published", kind, published) if published else ""
    pick = "\t\tfib daddr type local meta l4proto . th dport vmap @published\n" if published else ""
    inner = f'\t\tiifname {{ "{BRIDGES}", "{LOOP[1]}" }} ip daddr vmap @vips\n' if vips else ""
    own = "\t\tip daddr vmap @vips\n" if vips else ""
    return f"""{table}\tchain prerouting {{
\t\ttype nat hook prerouting priority -110; policy accept;
{inner}{pick}\t}}
\tchain output {{
\t\ttype nat hook output priority -110; policy accept;
{own}{pick}\t}}
"""
