# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Placement constraints as values: what a host has under a key, and whether that satisfies a constraint.

`==` and `!=` compare as Swarm does: whole values, upper and lower case alike, a missing label is the empty string. The
key of a label keeps its case. node.ip takes an address or a network in CIDR notation. How they are written: grammar.py.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from .patterns import LONGEST_VALUE

if TYPE_CHECKING:
    from .model import Node

NODE_LABEL, ENGINE_LABEL, FACT = "node.labels.", "engine.labels.", "node.facts."
PREFIXES = (NODE_LABEL, ENGINE_LABEL, FACT)
IP, ARCH = "node.ip", "node.platform.arch"
KEYS = ("node.id", "node.hostname", "node.role", IP, "node.platform.os", ARCH)
ATTRIBUTES = {
    "node.id": "id",
    "node.hostname": "hostname",
    "node.role": "role",
    IP: "ip",
    "node.platform.os": "os",
    ARCH: "arch",
}
KEY = re.compile(r"[A-Za-z_][A-Za-z0-9\-_./]+")
ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm"}
EQUAL, UNEQUAL, IN, NOT_IN, EXISTS, NOT_EXISTS = "==", "!=", "in", "not in", "exists", "not exists"
VERSION, LIKE, UNLIKE, OR = "version", "like", "unlike", "||"
NUMBER = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
DOTTED = re.compile(r"[vV]?(\d{1,18}(?:\.\d{1,18}){0,8})", re.ASCII)
BOUND = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*[vV]?(\d{1,18}(?:\.\d{1,18}){0,8})\s*", re.ASCII)
MOST_REMEMBERED = 10_000
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Test = Callable[[str], bool]


class Constraint(NamedTuple):
    """One expression: a canonical key (`node.labels.Disk`), an operator and a value as it was written.

    An or-group has the operator `||`, no key, and its alternatives, sorted. `in` has its values as `(a, b)`.
    """

    key: str
    operator: str
    value: str = ""
    alternatives: tuple[Any, ...] = ()

    @property
    def equal(self) -> bool:
        """True for `==`."""
        return self.operator == EQUAL

    def keys(self) -> tuple[str, ...]:
        """Every canonical key that it reads."""
        if self.alternatives:
            return tuple(sorted({key for one in self.alternatives for key in one.keys()}))  # noqa: SIM118
        return (self.key,)

    def parts(self) -> tuple[Constraint, ...]:
        """The alternatives of an or-group; itself otherwise."""
        return self.alternatives or (self,)

    def __str__(self) -> str:
        """As it is written."""
        if self.alternatives:
            return f" {OR} ".join(str(one) for one in self.alternatives)
        return f"{self.key} {self.operator} {self.value}".rstrip()


def canonical_key(text: str) -> str | None:
    """The key as KEYS has it, or with a canonical label prefix; None if it is not one."""
    if not KEY.fullmatch(text):
        return None
    lower = text.lower()
    if lower in KEYS:
        return lower
    for prefix in PREFIXES:
        if lower.startswith(prefix) and len(text) > len(prefix):
            return prefix + text[len(prefix) :]
    return None


def matches(constraint: Constraint, node: Node) -> bool:
    """True if the node satisfies the constraint."""
    return tester(constraint)(node)


@lru_cache(maxsize=1024)
def tester(constraint: Constraint) -> Callable[[Node], bool]:
    """The constraint as a test of nodes; each distinct value is compared once."""
    if constraint.alternatives:
        tests = [tester(one) for one in constraint.alternatives]
        return lambda node: any(test(node) for test in tests)
    read, test = _reader(constraint.key), judge(constraint)
    return lambda node: test(read(node))


@lru_cache(maxsize=1024)
def judge(constraint: Constraint) -> Callable[[str | None], bool]:
    """The constraint, which is no or-group, as a test of what a node has under its key (None: nothing)."""
    if constraint.operator in (EXISTS, NOT_EXISTS):
        wanted = constraint.operator == EXISTS
        return lambda found: (found is not None) is wanted
    test = _comparison(constraint)
    known: dict[str | None, bool] = {}

    def holds(found: str | None) -> bool:
        if found not in known:
            if len(known) >= MOST_REMEMBERED:
                known.clear()
            known[found] = test(found or "")
        return known[found]

    return holds


def column(key: str, nodes: Iterable[Node]) -> list[str | None]:
    """What each node has under a canonical key; None if nothing."""
    if key.startswith(NODE_LABEL):
        name = key[len(NODE_LABEL) :]
        return [node.labels.get(name) for node in nodes]
    if key in ATTRIBUTES:
        return [text or None for text in map(attrgetter(ATTRIBUTES[key]), nodes)]
    if key.startswith(FACT):
        path = key[len(FACT) :]
        found = [node.facts.get(path) for node in nodes]
        if {str}.issuperset(map(type, found)):  # most facts are texts that lie flat
            return found
    return [*map(_reader(key), nodes)]


def value(key: str, node: Node) -> str:
    """What the node has under a canonical key; empty if nothing."""
    return (_reader(key)(node) or "") if key else ""


def has(key: str, node: Node) -> bool:
    """True if the node has anything under a canonical key."""
    return _reader(key)(node) is not None


@lru_cache(maxsize=4096)
def _reader(key: str) -> Callable[[Node], Any]:
    """What gives a node's text under a key; None if it has none."""
    if key.startswith(NODE_LABEL):
        name = key[len(NODE_LABEL) :]
        return lambda node: node.labels.get(name)
    if key.startswith(ENGINE_LABEL):
        name = key[len(ENGINE_LABEL) :]
        return lambda node: node.engine_labels.get(name)
    if key.startswith(FACT):
        path = key[len(FACT) :]
        return lambda node: fact(node.facts, path)
    attribute = ATTRIBUTES[key]
    return lambda node: getattr(node, attribute) or None


def fact(facts: Mapping[str, Any], path: str) -> str | None:
    """The text of a fact under a dotted path: booleans as true and false, lists and mappings as nothing ("")."""
    found: Any = facts
    rest = path
    while rest:
        if not isinstance(found, Mapping):
            return None
        if rest in found:
            found, rest = found[rest], ""
        else:
            head, _dot, rest = rest.partition(".")
            if head not in found or not rest:
                return None
            found = found[head]
    if found is None:
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    return str(found) if isinstance(found, (str, int, float)) else ""


def _comparison(constraint: Constraint) -> Test:
    """The test of a host's text that an operator with a value means."""
    key, operator, wanted = constraint.key, constraint.operator, constraint.value
    if operator in (EQUAL, UNEQUAL, IN, NOT_IN):
        tests = [_same_as(key, wish) for wish in ([wanted] if operator in (EQUAL, UNEQUAL) else listed(wanted))]
        expected = operator in (EQUAL, IN)
        return lambda found: any(test(found) for test in tests) is expected
    if operator in (LIKE, UNLIKE):
        return _pattern(re.compile(wanted), operator == LIKE)
    if operator == VERSION:
        bounds = [(match.group(1), _numbers(match.group(2))) for match in BOUND.finditer(wanted)]
        return lambda found: _within(found, bounds)
    number = Decimal(wanted)
    return lambda found: bool(NUMBER.fullmatch(found)) and _compare(Decimal(found), operator, number)


def _pattern(pattern: re.Pattern[str], expected: bool) -> Test:
    """A match of the whole text. Nothing matches a missing value, nor one that is too long."""

    def holds(found: str) -> bool:
        fits = bool(found) and len(found) <= LONGEST_VALUE and pattern.fullmatch(found) is not None
        return fits is expected

    return holds


def satisfies(constraint: Constraint, text: str) -> bool:
    """True if a host with that text under the constraint's key (not an or-group) satisfies it."""
    if constraint.operator in (EXISTS, NOT_EXISTS):
        return constraint.operator == EXISTS
    return _comparison(constraint)(text)


def wishes(constraint: Constraint) -> list[str]:
    """The values that `==` or `in` allow."""
    return [constraint.value] if constraint.operator == EQUAL else listed(constraint.value)


def listed(text: str) -> list[str]:
    """The values of `(a, b)`."""
    return [part.strip() for part in text.strip()[1:-1].split(",")]


def _same_as(key: str, wish: str) -> Test:
    if key == IP:
        network = network_of(wish)
        return lambda found: _inside(found, network)
    if key == ARCH:
        return lambda found: same(_architecture(found), _architecture(wish))
    return lambda found: same(found, wish)


def _numbers(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in text.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


def _within(found: str, bounds: list[tuple[str, tuple[int, ...]]]) -> bool:
    """True if the dotted number that the text starts with keeps every bound; what follows it does not count."""
    match = DOTTED.match(found)
    if match is None:
        return False
    version = _numbers(match.group(1))
    return all(_compare(version, operator, bound) for operator, bound in bounds)


def _compare(one: Any, operator: str, other: Any) -> bool:
    if operator in (EQUAL, UNEQUAL):
        return bool((one == other) == (operator == EQUAL))
    if operator in (">", "<="):
        return bool((one > other) == (operator == ">"))
    return bool((one < other) == (operator == "<"))


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


def network_of(text: str) -> Network | None:
    """The network, or the network of one address, that a text says; None if it says none."""
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


def _inside(text: str, network: Network | None) -> bool:
    found = address(text)
    return found is not None and network is not None and found in network


def miss(constraint: Constraint, node: Node) -> str:
    """Why a node that does not satisfy the constraint does not, as the end of a sentence about the node."""
    positive = all(one.operator not in (UNEQUAL, NOT_IN, NOT_EXISTS, UNLIKE) for one in constraint.parts())
    values = [value(key, node) for key in constraint.keys()]  # noqa: SIM118
    has_now = ", ".join(dict.fromkeys(text for text in values if text))
    shown = f" (it has {has_now})" if has_now and positive else ""
    return f"{'lacks' if positive else 'violates'} {constraint}{shown}"
