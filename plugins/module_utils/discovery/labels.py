# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Traefik labels to nested values: the grammar of Traefik's own label parser."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import Problem, show
from .fields import BOOL, DURATION, FREE, INT, LIST, ROOT, Items, Kind, Map, Struct

SECTIONS = ("traefik.http.", "traefik.tcp.", "traefik.udp.", "traefik.tls.stores.default.")
TRUE = ("1", "t", "T", "TRUE", "true", "True")
FALSE = ("0", "f", "F", "FALSE", "false", "False")
INTEGER = re.compile(r"^[+-]?[0-9]{1,30}$")
LARGEST = 2**63 - 1
TIME = re.compile(r"^[+-]?([0-9]+|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$")


@dataclass
class Node:
    """One element of label keys: its name as first written, its value, and its children by lower-case name."""

    name: str
    path: str
    value: str | None = None
    children: dict[str, Node] = field(default_factory=dict)


def near(name: str, known: list[str]) -> str:
    """`known names: a, b` or `did you mean x?`: the end of a message about an unknown name."""
    lowered = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), sorted(lowered), n=1, cutoff=0.6)
    if found:
        return f"did you mean {lowered[found[0]]}?"
    return f"known: {', '.join(sorted(known)[:12])}" if known else "none is defined"


def read_flag(text: str) -> bool | None:
    """Go's boolean text as a bool; None if it is not one."""
    return True if text in TRUE else False if text in FALSE else None


def is_routing(key: str) -> bool:
    """True for label keys that Traefik reads as dynamic configuration."""
    return key.lower().startswith(SECTIONS)


def parse(service: str, labels: Mapping[str, str], problems: list[Problem]) -> Node:
    """The tree of a service's routing labels; problems gets STW-INGRESS-LABEL for keys that cannot be read.

    Keys are taken in sorted order, names match without regard to case and keep the case first seen.
    """
    root = Node("traefik", "traefik")
    for key in sorted(key for key in labels if is_routing(key)):
        reason = _key_problem(key)
        if reason:
            problems.append(Problem("STW-INGRESS-LABEL", place(service, key), *reason))
            continue
        _grow(root, _elements(key)[1:], str(labels[key]))
    return root


def place(service: str, key: str) -> str:
    """Where a label problem is: `shop_web label 'traefik...'` (the whole key: it names what to change)."""
    return f"{service} label {key!a}"


def _key_problem(key: str) -> tuple[str, str] | None:
    if not key.startswith("traefik."):
        return "Traefik reads keys that begin with lower-case traefik. only", "write it in lower case"
    parts = key.split(".")
    if "" in parts:
        return "has an empty element", "write one name between two dots"
    if any(part.startswith("[") for part in parts):
        return "has an element that begins with [", "write name[0], the index after the name"
    if any(part.endswith("]") and "[" not in part for part in parts):
        return "has a ] without [", "write name[0]"
    return None


def _elements(key: str) -> list[str]:
    found = []
    for part in key.split("."):
        if part.endswith("]"):
            name, _bracket, index = part.partition("[")
            found += [name, "[" + index]
        else:
            found.append(part)
    return found


def _grow(root: Node, path: list[str], value: str) -> None:
    node = root
    for name in path:
        dotted = node.path + name if name.startswith("[") else f"{node.path}.{name}"
        node = node.children.setdefault(name.lower(), Node(name, dotted))
    node.value = value


class Decoder:
    """Turns the tree into values with Traefik's spelling of field names, collecting every mistake."""

    def __init__(self, service: str, problems: list[Problem], unknown_fields: bool) -> None:
        """service: for the place of problems. unknown_fields: pass unknown fields on instead of refusing them."""
        self.service = service
        self.problems = problems
        self.unknown_fields = unknown_fields

    def decode(self, root: Node) -> dict[str, Any]:
        """{http: {routers, services, middlewares}, tcp, udp, tls} of a label tree."""
        value = self._fields(root, ROOT)
        return value if isinstance(value, dict) else {}

    def _value(self, node: Node, kind: Kind) -> Any:
        """The node's JSON-able value; None = nothing to write."""
        if kind == FREE:
            return _free(node)
        if isinstance(kind, Struct):
            return self._struct(node, kind)
        if isinstance(kind, Map):
            return self._map(node, kind)
        if isinstance(kind, Items):
            return self._items(node, kind)
        if node.children:
            child = next(iter(node.children.values()))
            return self._refuse(child.path, f"{node.name} takes a value and has no fields", f"write {node.path}=value")
        return self._leaf(node, kind)

    def _struct(self, node: Node, kind: Struct) -> Any:
        value = node.value or ""
        if kind.empty and value and value.lower() != "true":
            return None  # Traefik: any other value switches the whole subtree off
        if node.children:
            return self._fields(node, kind)
        if kind.empty:
            return True
        fix = near("", list(kind.fields))
        return self._refuse(node.path, f"{node.name} cannot stand alone, it needs fields", fix)

    def _fields(self, node: Node, kind: Struct) -> dict[str, Any]:
        result = {}
        for child in node.children.values():
            found = kind.find(child.name)
            if found:
                value = self._value(child, found[1])
                if value is not None:
                    result[found[0]] = value
            elif self.unknown_fields:
                result[child.name] = _free(child)
            else:
                reason = f"Traefik 3.7 takes no field {show(child.name)} here, and would refuse the whole file"
                self._refuse(child.path, reason, near(child.name, list(kind.fields)))
        return result

    def _map(self, node: Node, kind: Map) -> Any:
        if not node.children:
            return self._refuse(node.path, f"{node.name} cannot stand alone, it needs a name", f"{node.path}.<name>...")
        result = {}
        for child in node.children.values():
            value = self._value(child, kind.of)
            if value is not None:
                result[child.name] = value
        return result

    def _items(self, node: Node, kind: Items) -> Any:
        if not node.children or not all(name.startswith("[") for name in node.children):
            return self._refuse(
                node.path, f"{node.name} is a list", f"write {node.path}[0].{next(iter(kind.of.fields))}"
            )
        return [self._value(child, kind.of) for child in node.children.values()]

    def _leaf(self, node: Node, kind: Any) -> Any:
        value = node.value or ""
        if kind == LIST:
            return [part.strip() for part in value.split(",")] if value else []
        if kind == INT and not (INTEGER.match(value) and -LARGEST - 1 <= int(value) <= LARGEST):
            return self._refuse(node.path, f"{show(value)} is not a whole number", "write digits")
        if kind == BOOL and read_flag(value) is None:
            return self._refuse(node.path, f"{show(value)} is neither true nor false", "write true or false")
        if kind == DURATION and not TIME.match(value):
            return self._refuse(node.path, f"{show(value)} is not a duration", "write 10s, 500ms or 1m30s")
        return int(value) if kind == INT else read_flag(value) if kind == BOOL else value

    def _refuse(self, path: str, reason: str, fix: str) -> None:
        self.problems.append(Problem("STW-INGRESS-LABEL", place(self.service, path), reason, fix))


def _free(node: Node) -> Any:
    """Without a schema: children or the text."""
    if not node.children:
        return node.value or ""
    if all(name.startswith("[") for name in node.children):
        return [_free(child) for child in node.children.values()]
    return {child.name: _free(child) for child in node.children.values()}
