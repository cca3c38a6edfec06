# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may talk to whom: one host's part of the policy, as the second half of the nft table `inet stowage`.

All containers share one address space; networks are sets of addresses. The host of the destination judges what
begins a flow, and the host of the source its replies, packet by packet: what is no longer allowed stops at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import dumps
from . import fixed
from .converge import FIXED
from .reach import REACH, record

Member = Mapping[str, Any]


class Network(NamedTuple):
    """One network of the fleet: the nft set of its members, and what its owner said of it."""

    set_name: str
    elements: str
    internal: bool
    attachable: bool


class Model(NamedTuple):
    """What the parts of all hosts are made from: rendered once per moment."""

    services: dict[str, Mapping[str, Any]]
    members: dict[str, Member]  # by address
    networks: dict[str, Network]


def model(services: Iterable[Mapping[str, Any]], members: Iterable[Member]) -> Model:
    """The model of these services (name, networks [{name, internal, attachable}], ports, closed, allow, sources).

    members: every container that runs or is about to: {service, ip, node}, and stack if its service may be unknown.
    A service that is not among the services keeps to its stack's default network. Tasks on their host's own network
    are no members; of two members with one address the last counts.
    """
    known = {str(service["name"]): service for service in services}
    by_address: dict[str, Member] = {}
    for member in members:
        service = known.get(member["service"], {})
        if member["ip"] and service.get("template", {}).get("network_mode") != "host":
            by_address[member["ip"]] = member
    ips: dict[str, list[str]] = {}
    flags: dict[str, list[bool]] = {}
    for ip in _ordered(by_address):
        for network in networks_of(known, by_address[ip]):
            ips.setdefault(network["name"], []).append(ip)
            said = flags.setdefault(network["name"], [False, False])
            said[0] = said[0] or bool(network.get("internal"))
            said[1] = said[1] or bool(network.get("attachable"))
    networks = {name: Network(f"n_{slug(name)}", ", ".join(found), *flags[name]) for name, found in sorted(ips.items())}
    return Model(known, by_address, networks)


def networks_of(services: Mapping[str, Mapping[str, Any]], member: Member) -> list[Mapping[str, Any]]:
    """The networks of a member's service: [{name, internal, attachable}]."""
    service = services.get(member["service"])
    if service is not None and "networks" in service:
        return list(service["networks"])
    stack = (service or member).get("stack") or str(member["service"]).rpartition("_")[0]
    return [{"name": f"{stack}_default"}]


def policy_table(made: Model, node: str) -> str:
    """The nft script that fills the chains `judged` and `leaving` of the base table for one host's containers."""
    everywhere, local = _by_service(made, None), _by_service(made, node)
    sourced = {name: ips for name, ips in everywhere.items() if made.services.get(name, {}).get("sources")}
    chains = "".join(_chains(made, name, made.members[local[name][0]]) for name in sorted(local))
    pairs = [(ip, name) for name in sorted(local) for ip in local[name]]
    text = _sets(made, {**sourced, **local}, everywhere)
    text += _set("internal", "ipv4_addr", ", ".join(ip for ip, _name in pairs if _inward(made, made.members[ip])))
    text += _set("published", "ipv4_addr . inet_proto . inet_service", ", ".join(_published(made, pairs)))
    text += _map("towards", ", ".join(f"{ip} : goto to_{slug(name)}" for ip, name in pairs))
    text += _map("answers", ", ".join(f"{ip} : goto back_{slug(name)}" for ip, name in pairs))
    found = fixed.parts(made.services.values(), made.members.values(), node)
    body = f"{text}{_fixed_sets(found)}{chains}{_sourced(made, sourced)}{_judging()}"
    return f"{_fixed_head(found)}{_reach_head(made, local)}table inet stowage {{\n{body}}}\n"


def _by_service(made: Model, node: str | None) -> dict[str, list[str]]:
    """Addresses by service, of one node's members or of all."""
    found: dict[str, list[str]] = {}
    for ip in _ordered(made.members):
        if node in (None, made.members[ip]["node"]):
            found.setdefault(str(made.members[ip]["service"]), []).append(ip)
    return found


def _sets(made: Model, judged: Mapping[str, list[str]], everywhere: Mapping[str, list[str]]) -> str:
    """The sets that the chains of these services look into: members of networks, and of services that are allowed."""
    networks, allowed = set(), set()
    for name, ips in judged.items():
        networks |= {one["name"] for one in networks_of(made.services, made.members[ips[0]])}
        allowed |= {entry["from"] for entry in made.services.get(name, {}).get("allow") or () if entry["from"] != "*"}
    text = [_set(made.networks[name].set_name, "ipv4_addr", made.networks[name].elements) for name in sorted(networks)]
    return "".join(
        [*text, *(_set(f"s_{slug(n)}", "ipv4_addr", ", ".join(everywhere.get(n, ()))) for n in sorted(allowed))]
    )


def _reach_head(made: Model, local: Mapping[str, list[str]]) -> str:
    """The line by which a later plan knows what this one let through; only for what was stated."""
    known = {name: record(made.services[name]) for name in sorted(local) if name in made.services}
    return f"{REACH}{dumps(known)}\n"


def _fixed_head(found: Mapping[str, Any]) -> str:
    """The line by which `converge.fixed` knows bridges and routes; no line if the fleet has no fixed addresses."""
    return f"{FIXED}{dumps({key: found[key] for key in ('bridges', 'routes')})}\n" if found else ""


def _fixed_sets(found: Mapping[str, Any]) -> str:
    """What the base table's sets lack: the subnets of fixed addresses, and those addresses that are here."""
    if not found:
        return ""
    here = ", ".join(_ordered(found["here"]))
    sets = [("inside", ", ".join(found["subnets"])), *([("mine", here)] if here else [])]
    text = "".join(_set(name, "ipv4_addr\n\t\tflags interval", elements) for name, elements in sets)
    return text + (_set("fixed", "ipv4_addr", here) if here else "")


def slug(name: str) -> str:
    """A name that nft takes, and that no other name gives."""
    return f"{re.sub('[^A-Za-z0-9]', '_', name)[:80]}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _judging() -> str:
    """Hosts are no members: what comes from them or goes to them passes, as it does for published ports.

    The maps know addresses of this host only.
    """
    target, source = "ct direction original", "ct direction reply"
    return f"""\tchain judged {{
\t\tct state related return
\t\tip saddr @hosts return
\t\tip daddr @hosts return
\t\t{target} ip daddr . meta l4proto . th dport @published return
\t\t{source} ip saddr . meta l4proto . th sport @published return
\t\t{target} ip daddr vmap @towards
\t\t{source} ip saddr vmap @answers
\t}}
\tchain leaving {{
\t\tip saddr @internal ct direction original goto refused
\t}}
"""


def _chains(made: Model, name: str, member: Member) -> str:
    """Who begins flows to a service, and whom it may answer: the same, seen from the other side."""
    admitted = _admitted(made, name, member)
    return _chain(f"to_{slug(name)}", _rules(admitted, "s", "d")) + _chain(
        f"back_{slug(name)}", _rules(admitted, "d", "s")
    )


def _admitted(made: Model, name: str, member: Member) -> list[tuple[str, list[list[Any]]]]:
    """(set of addresses, [[protocol, first port, last port]]) of who may begin flows to a service; [] is any port."""
    service, near = made.services.get(name, {}), []
    for network in networks_of(made.services, member):
        found = made.networks[network["name"]]
        near += [found.set_name, *(["byhand"] if found.attachable else [])]
    admitted: list[tuple[str, list[list[Any]]]] = [] if service.get("closed") else [(one, []) for one in near]
    for entry in service.get("allow") or ():
        sets = near if entry["from"] == "*" else [f"s_{slug(entry['from'])}"]
        admitted += [(one, list(entry["ports"])) for one in sets]
    return admitted


def _rules(admitted: Iterable[tuple[str, list[list[Any]]]], they: str, we: str) -> list[str]:
    """Rules that let these through; they, we: s or d, whose address and port is the source."""
    rules = []
    for name, ports in admitted:
        for protocol in sorted({port[0] for port in ports}) if ports else [""]:
            ranges = [
                f"{first}-{last}" if last != first else str(first) for kind, first, last in ports if kind == protocol
            ]
            where = f" {protocol} {we}port {{ {', '.join(ranges)} }}" if ports else ""
            rules.append(f"ip {they}addr @{name}{where} return")
    return rules


def _sourced(made: Model, sourced: Mapping[str, list[str]]) -> str:
    """The chain that judges who comes by a published port, on the host that was asked: it alone sees the client."""
    if not sourced:
        return ""
    elements, chains = [], ""
    for name in sorted(sourced):
        service, ips = made.services[name], sourced[name]
        rules = [f"ip saddr {{ {', '.join(service['sources'])} }} return"]
        chains += _chain(f"from_{slug(name)}", rules + _rules(_admitted(made, name, made.members[ips[0]]), "s", "d"))
        elements += [f"{target} : goto from_{slug(name)}" for target in _targets(service, ips)]
    kind = "ipv4_addr . inet_proto . inet_service : verdict"
    inside = f"\n\t\telements = {{ {', '.join(dict.fromkeys(elements))} }}" if elements else ""
    rule = "\t\tip daddr . meta l4proto . th dport vmap @sourced\n"
    return f"{chains}\tmap sourced {{\n\t\ttype {kind}{inside}\n\t}}\n\tchain sourced {{\n{rule}\t}}\n"


def _chain(name: str, rules: Iterable[str]) -> str:
    lines = "".join(f"\t\t{rule}\n" for rule in [*dict.fromkeys(rules), "goto refused"])
    return f"\tchain {name} {{\n{lines}\t}}\n"


def _inward(made: Model, member: Member) -> bool:
    """True if every network of the member's service is internal."""
    found = [made.networks[network["name"]] for network in networks_of(made.services, member)]
    return bool(found) and all(network.internal for network in found)


def _published(made: Model, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """What everybody may reach on these addresses: the targets of ports that are published without a source list."""
    found = []
    for ip, name in pairs:
        service = made.services.get(name, {})
        found += [] if service.get("sources") else _targets(service, [ip])
    return list(dict.fromkeys(found))


def _targets(service: Mapping[str, Any], ips: Iterable[str]) -> list[str]:
    """address . protocol . port of a service's published ports."""
    ports = [port for port in service.get("ports") or () if int(port.get("published") or 0)]
    return [f"{ip} . {port.get('protocol') or 'tcp'} . {port['target']}" for ip in ips for port in ports]


def _set(name: str, kind: str, elements: str) -> str:
    inside = f"\n\t\telements = {{ {elements} }}" if elements else ""
    return f"\tset {name} {{\n\t\ttype {kind}{inside}\n\t}}\n"


def _map(name: str, elements: str) -> str:
    inside = f"\n\t\telements = {{ {elements} }}" if elements else ""
    return f"\tmap {name} {{\n\t\ttype ipv4_addr : verdict{inside}\n\t}}\n"


def _ordered(ips: Iterable[str]) -> list[str]:
    return sorted(ips, key=lambda ip: tuple(int(part) for part in ip.split(".")))
