# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Placement constraints, read and compared as Swarm does.

`<key> == <value>` and `<key> != <value>`: whole values, upper and lower case alike, a missing label compares as the
empty string. The key of a label keeps its case. node.ip takes an address or a network in CIDR notation.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple, Union

from ..errors import Problem, show

if TYPE_CHECKING:
    from .model import Node

CODE = "STW-CONSTRAINT"
OPERATORS = ("==", "!=")  # in this order, as Swarm tries them
NODE_LABEL, ENGINE_LABEL = "node.labels.", "engine.labels."
KEYS = ("node.id", "node.hostname", "node.role", "node.ip", "node.platform.os", "node.platform.arch")
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9\-_./]+")
VALUE = re.compile(r"[A-Za-z0-9:\-_\s.*()?+\[\]\\^$|/]+")
ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm"}
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Constraint(NamedTuple):
    """One expression. key is canonical (`node.labels.Disk`), value as it was written, equal False for `!=`."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        """As Swarm writes it."""
        return f"{self.key} {OPERATORS[0] if self.equal else OPERATORS[1]} {self.value}"


def parse(text: str, place: str, problems: list[Problem]) -> Constraint | None:
    """The constraint a text says; None and one more problem if it says none. place: where it was found."""
    operator = next((operator for operator in OPERATORS if operator in text), None)
    if operator is None:
        fix = "write node.labels.disk == ssd, or !="
        problems.append(Problem(CODE, place, f"{show(text)} has neither == nor !=", fix))
        return None
    left, right = text.split(operator, 1)
    key, value = canonical_key(left.strip()), right.strip()
    if key is None:
        problems.append(_key_problem(left.strip(), place))
    if not VALUE.fullmatch(value):
        reason = f"{show(text)}: the value {show(value)} is empty or has characters that Swarm refuses"
        problems.append(Problem(CODE, place, reason, "use letters, digits, space and : - _ . * ( ) ? + [ ] \\ ^ $ | /"))
    elif key == "node.ip" and _network(value) is None:
        reason = f"{show(text)}: {show(value)} is neither an address nor a network"
        problems.append(Problem(CODE, place, reason, "write node.ip == 192.0.2.7 or node.ip == 192.0.2.0/24"))
    elif key is not None:
        return Constraint(key, operator == "==", value)
    return None


def canonical_key(text: str) -> str | None:
    """The key as KEYS has it, or with a canonical label prefix; None if it is not one."""
    if not KEY.fullmatch(text):
        return None
    lower = text.lower()
    if lower in KEYS:
        return lower
    for prefix in (NODE_LABEL, ENGINE_LABEL):
        if lower.startswith(prefix) and len(text) > len(prefix):
            return prefix + text[len(prefix) :]
    return None


def _key_problem(text: str, place: str) -> Problem:
    head, _dot, tail = text.rpartition(".")
    near = get_close_matches(text.lower(), KEYS, 1, 0.7)
    prefix = get_close_matches(f"{head.lower()}.", (NODE_LABEL, ENGINE_LABEL), 1, 0.7)
    if prefix:
        near = [f"{prefix[0]}{tail}"]
    known = f"use {', '.join(KEYS)}, {NODE_LABEL}<name> or {ENGINE_LABEL}<name>"
    fix = f"did you mean {show(near[0])}?" if near else known
    return Problem(CODE, place, f"{show(text)} is not a key of a constraint", fix)


def matches(constraint: Constraint, node: Node) -> bool:
    """True if the node satisfies the constraint."""
    if constraint.key == "node.ip":
        return _inside(node.ip, constraint.value) == constraint.equal
    found, wanted = value(constraint.key, node), constraint.value
    if constraint.key == "node.platform.arch":
        found, wanted = _architecture(found), _architecture(wanted)
    return same(found, wanted) == constraint.equal


def value(key: str, node: Node) -> str:
    """What the node has under a canonical key; empty if nothing."""
    if key.startswith(NODE_LABEL):
        return node.labels.get(key[len(NODE_LABEL) :], "")
    if key.startswith(ENGINE_LABEL):
        return node.engine_labels.get(key[len(ENGINE_LABEL) :], "")
    return {
        "node.id": node.id,
        "node.hostname": node.hostname,
        "node.role": node.role,
        "node.ip": node.ip,
        "node.platform.os": node.os,
        "node.platform.arch": node.arch,
    }[key]


def same(one: str, other: str) -> bool:
    """Equal but for upper and lower case, character by character (as Go's EqualFold)."""
    return len(one) == len(other) and one.casefold() == other.casefold()


def _architecture(text: str) -> str:
    return ARCHITECTURES.get(text.lower(), text)


def address(text: str) -> Address | None:
    """The IP address a text says, an IPv4-mapped one as IPv4; None if it says none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return mapped or found


def _network(text: str) -> Network | None:
    single = address(text)
    if single is not None:
        return ipaddress.ip_network(single)
    mask = text.rpartition("/")[2]
    if not (mask.isascii() and mask.isdigit()):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _inside(text: str, wanted: str) -> bool:
    found, network = address(text), _network(wanted)
    return found is not None and network is not None and found in network


def nowhere(constraints: Iterable[Constraint], nodes: Iterable[Node]) -> list[tuple[Constraint, list[str]]]:
    """Constraints on label keys that no node has, each with the near names among the keys that exist."""
    hosts = list(nodes)
    known = {
        NODE_LABEL: sorted({key for node in hosts for key in node.labels}),
        ENGINE_LABEL: sorted({key for node in hosts for key in node.engine_labels}),
    }
    found = []
    for constraint in constraints:
        for prefix, keys in known.items():
            key = constraint.key[len(prefix) :]
            if constraint.key.startswith(prefix) and key not in keys:
                found.append((constraint, get_close_matches(key, keys, 2, 0.6)))
    return found
