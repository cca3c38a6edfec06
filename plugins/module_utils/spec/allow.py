# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.allow, .policy and .sources: who may begin flows to a service, and who may use its published ports."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

from ..errors import show
from .check_rights import host_network
from .document import KeyPath
from .findings import Findings
from .keys import nearest
from .reader import Reader, form

CODE = "STW-ALLOW"
POLICIES = ("open", "closed")
NEIGHBORS = "*"  # everybody in a common network
ITEMS = "services.*.x-stowage.allow[]"
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")


@form("allow")
def read_allow(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {from, ports}; an empty one would look like nobody and be left out."""
    if value == []:
        return reader.refuse(path, CODE, "allows nobody, and says so by saying nothing", "write policy: closed")
    return reader.sections(path, value, ITEMS)


def compile_allow(stack: str, names: Container[str], own: Mapping[str, Any]) -> dict[str, Any]:
    """A Service's `closed`, `allow` and `sources` (docs/architecture.md), as far as they are stated."""
    ports: dict[str, list[list[list[Any]]]] = {}
    for item in own.get("allow", ()):
        for name in item.get("from", ()):
            full = f"{stack}_{name}" if name in names else name
            ports.setdefault(full, []).append(sorted(_port(text) for text in item.get("ports", ())))
    allow = [
        {"from": name, "ports": [] if [] in found else sorted({tuple(port) for one in found for port in one})}
        for name, found in sorted(ports.items())
    ]
    sources = sorted(str(ipaddress.IPv4Network(text)) for text in own.get("sources", ()))
    closed = own.get("policy", "closed" if allow else "open") == "closed"
    return {
        **({"closed": True} if closed else {}),
        **({"allow": [{**one, "ports": [list(port) for port in one["ports"]]} for one in allow]} if allow else {}),
        **({"sources": sources} if sources else {}),
    }


def check_allow(findings: Findings, name: str, normal: Mapping[str, Any]) -> None:
    """Note the mistakes of one service's policy. Services of other stacks are looked for when all stacks are read."""
    service = normal["services"][name]
    own, path = service.get("x-stowage") or {}, ("services", name, "x-stowage")
    policy = own.get("policy", "open")
    if policy not in POLICIES:
        fix = nearest(policy, POLICIES) or "write open or closed"
        findings.add((*path, "policy"), CODE, f"{show(policy)} is no policy", fix)
    for item in own.get("allow", ()):
        _item(findings, (*path, "allow"), item, normal["services"])
    for text in own.get("sources", ()):
        if not _is_network(text):
            fix = "write an IPv4 network: 192.0.2.0/24, or an address"
            findings.add((*path, "sources"), CODE, f"{show(text)} is no source", fix)
    stated = [key for key in ("allow", "sources") if own.get(key)]
    if stated and host_network(service, normal):
        reason = f"{' and '.join(stated)}: a container on its host's network is not policed"
        findings.add(path, CODE, reason, "use the host's own firewall, or leave network_mode out")
    elif own.get("sources") and not any(port.get("published") for port in service.get("ports", ())):
        fix = "publish a port, or name services under allow"
        findings.add((*path, "sources"), CODE, "the service publishes no port", fix)


def _item(findings: Findings, path: KeyPath, item: Mapping[str, Any], names: Iterable[str]) -> None:
    if not item.get("from"):
        findings.add(path, CODE, "says not from whom", "write from: web", item)
    for source in item.get("from", ()):
        if source != NEIGHBORS and source not in names and "_" not in source:
            fix = nearest(source, names) or "name another stack's as <stack>_<service>"
            findings.add(path, CODE, f"service {show(source)} is not in the stack", fix, item)
    for text in item.get("ports", ()):
        found = _PORTS.fullmatch(text)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= 65535:
            findings.add(path, CODE, f"{show(text)} is no port", "write 8080/tcp or 9000-9010/udp", item)


def _port(text: str) -> list[Any]:
    """[protocol, first, last]."""
    first, last, protocol = _PORTS.findall(text)[0]
    return [protocol or "tcp", int(first), int(last or first)]


def _is_network(text: str) -> bool:
    try:
        ipaddress.IPv4Network(text)
    except ValueError:
        return False
    return True
