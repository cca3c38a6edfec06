# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""YAML text as Go reads it, with line and column of every key and value, and limits before anything is built."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import Problem, StowageError, show

try:
    import yaml

    HAS_YAML = True
except ImportError:  # on hosts, where the files of this room may be imported but no stack file is read
    HAS_YAML = False

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 100_000

KeyPath = tuple[Any, ...]  # names and indices
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_SPECIAL = {".nan": "nan", ".inf": "inf", "+.inf": "inf", "-.inf": "-inf"}
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null")}
_MERGE_KEY = "<<"
_RESET, _OVERRIDE = _COMPOSE_TAGS = ("!reset", "!override")
_LONGEST_NUMBER = 64


class Node:
    """One node of the graph: a scalar's value, or children; size and height count what aliases expand to."""

    __slots__ = ("children", "height", "kind", "mark", "open", "size", "tag", "text", "value")

    def __init__(self, kind: str, mark: tuple[int, int], value: Any = None, text: str | None = None) -> None:
        """Take the kind (scalar, list, map), the mark (line, column from 1), a scalar's value and its plain text."""
        self.kind, self.mark, self.value, self.text = kind, mark, value, text
        self.children: list[Node] = []
        self.size, self.height, self.open = 1, 1, kind != "scalar"
        self.tag = ""


class Document(NamedTuple):
    """A file's value with the marks of its paths; `rewritten` holds the text of plain numbers.

    `replaced` holds the paths tagged !reset and !override: an overlay's value stands there, nothing is merged.
    """

    name: str
    value: Any
    marks: dict[KeyPath, tuple[int, int]]
    key_marks: dict[KeyPath, tuple[int, int]]
    rewritten: dict[KeyPath, str]
    replaced: frozenset[KeyPath] = frozenset()


def path_text(path: KeyPath) -> str:
    """services.web.ports[0] for ("services", "web", "ports", 0)."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text if text.isprintable() else show(text)


def read_file(path: str) -> bytes:
    """The bytes of a file, at most one more than the limit; OSError if it cannot be read."""
    with Path(path).open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def parse(name: str, data: bytes) -> tuple[Document, list[Problem]]:
    """The Document of one YAML file and the mistakes that do not stop reading; StowageError for those that do."""
    if not HAS_YAML:
        fix = "install PyYAML for the Python that runs Ansible"
        raise StowageError(Problem("STW-YAML-LIBRARY", name, f"PyYAML is not installed for {sys.executable}", fix))
    root = _Composer(name).compose(_decoded(name, data))
    if root.kind != "map":
        raise _fatal(name, root.mark, "STW-YAML-SHAPE", "is not a mapping of keys at the top", "start with services:")
    builder = _Builder(name)
    value = builder.build(root, ())
    return builder.document(value), builder.problems


def _fatal(name: str, mark: tuple[int, int], code: str, reason: str, fix: str = "") -> StowageError:
    return StowageError(Problem(code, f"{name}:{mark[0]}:{mark[1]}", reason, fix))


def _decoded(name: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise _fatal(name, (1, 1), "STW-YAML-SIZE", f"is larger than {MAX_BYTES} bytes", "split it into several files")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _fatal(
            name, (line, 1), "STW-YAML-ENCODING", f"byte {error.start} is not UTF-8", "save as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise _fatal(name, (line, 1), "STW-YAML-ENCODING", "holds a NUL character", "give a YAML text file")
    return text


class _Composer:
    """Builds the node graph from the parser's events; refuses tags, cycles, depth and expansion as they appear."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._anchors: dict[str, Node] = {}
        self._stack: list[Node] = []
        self._roots: list[Node] = []

    def compose(self, text: str) -> Node:
        """The root node; StowageError for everything that is no single, bounded YAML document."""
        try:
            for event in self._events(text):
                self._take(event)
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            reason = "holds a character that YAML does not allow"
            raise _fatal(self._name, (line, 1), "STW-YAML-ENCODING", reason, "remove control characters") from None
        except yaml.MarkedYAMLError as error:
            raise self._syntax(error) from None
        if not self._roots:
            raise self._refused((1, 1), "STW-YAML-SHAPE", "is empty", "start with services:")
        return self._roots[0]

    def _events(self, text: str) -> Iterator[Any]:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        yield from yaml.parse(text, Loader=loader)

    def _syntax(self, error: yaml.MarkedYAMLError) -> StowageError:
        mark = error.problem_mark or error.context_mark
        at = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = " ".join(str(part) for part in (error.problem, error.context) if part)
        if "maximum nesting depth" in reason:  # PyYAML from 6.0.4 has a limit of its own, far above ours
            return self._deep(at)
        fix = "indent with spaces" if "tab" in reason or "\\t" in reason or "any token" in reason else ""
        return self._refused(at, "STW-YAML-SYNTAX", reason or "is not YAML", fix)

    def _deep(self, mark: tuple[int, int]) -> StowageError:
        return self._refused(mark, "STW-YAML-DEPTH", f"is nested more than {MAX_DEPTH} deep")

    def _refused(self, mark: tuple[int, int], code: str, reason: str, fix: str = "") -> StowageError:
        return _fatal(self._name, mark, code, reason, fix)

    def _take(self, event: Any) -> None:
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            self._add(self._aliased(event.anchor, mark), mark)
        elif isinstance(event, yaml.ScalarEvent):
            self._anchor(event.anchor, self._add(self._scalar(event, mark), mark))
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            kind = "list" if isinstance(event, yaml.SequenceStartEvent) else "map"
            self._tag(event.tag, {_TAG + ("seq" if kind == "list" else "map")}, mark)
            if len(self._stack) >= MAX_DEPTH:
                raise self._deep(mark)
            node = Node(kind, mark)
            node.tag = event.tag if event.tag in _COMPOSE_TAGS else ""
            self._anchor(event.anchor, node)
            self._stack.append(node)
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            node = self._stack.pop()
            node.open = False
            self._add(node, node.mark)
        elif isinstance(event, yaml.DocumentStartEvent) and self._roots:
            raise self._refused(mark, "STW-YAML-SHAPE", "a second document begins here", "one file, one document")

    def _anchor(self, anchor: str | None, node: Node) -> None:
        if anchor:
            self._anchors[anchor] = node

    def _aliased(self, anchor: str | None, mark: tuple[int, int]) -> Node:
        node = self._anchors.get(anchor or "")
        if node is None:
            raise self._refused(mark, "STW-YAML-SYNTAX", f"alias {show(anchor)} has no anchor before it")
        if node.open:
            raise self._refused(mark, "STW-YAML-CYCLE", f"alias {show(anchor)} stands inside its own anchor")
        return node

    def _add(self, node: Node, mark: tuple[int, int]) -> Node:
        """Hang a finished node under its parent; sizes are those after expansion of aliases."""
        if not self._stack:
            self._roots.append(node)
            return node
        parent = self._stack[-1]
        parent.children.append(node)
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if sum(opened.size for opened in self._stack) > MAX_NODES:
            reason = f"aliases expand to more than {MAX_NODES} values"
            raise self._refused(mark, "STW-YAML-EXPANSION", reason, "write fewer aliases of aliases")
        if len(self._stack) + node.height - 1 > MAX_DEPTH:
            raise self._deep(mark)
        return node

    def _tag(self, tag: str | None, known: set[str], mark: tuple[int, int]) -> None:
        if tag and tag != "!" and tag not in known and tag not in _COMPOSE_TAGS:
            name = tag.replace(_TAG, "!!")
            raise self._refused(mark, "STW-YAML-TAG", f"tag {show(name)} is not supported", "remove the tag")

    def _scalar(self, event: Any, mark: tuple[int, int]) -> Node:
        self._tag(event.tag, _SCALAR_TAGS, mark)
        text = event.value
        tag = event.tag if event.tag in _COMPOSE_TAGS else ""
        if event.tag == _TAG + "str" or event.tag == "!" or (event.style and (tag or not event.tag)):
            node = Node("scalar", mark, text)
        else:
            node = Node("scalar", mark, resolve(text), text)
        node.tag = tag
        return node


def resolve(text: str) -> Any:
    """The value of a plain scalar: null, true/false, integer, float, else the text (no yes/no, base 60 or dates)."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if len(text) > _LONGEST_NUMBER or text[0] not in "+-.0123456789":
        return text
    if text.lower() in _SPECIAL:
        return float(_SPECIAL[text.lower()])
    digits = text.replace("_", "")
    match = _INTEGER.fullmatch(digits)
    if match and len(digits) < 20:
        return int(match.group(1) + match.group(2), 0) if not _legacy_octal(match.group(2)) else int(digits, 8)
    return float(digits) if _FLOAT.fullmatch(digits) else text


def _legacy_octal(digits: str) -> bool:
    return digits.startswith("0") and digits.isdigit()


class _Builder:
    """Makes plain values of the graph and notes where each of them stands."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.problems: list[Problem] = []
        self.marks: dict[KeyPath, tuple[int, int]] = {}
        self.key_marks: dict[KeyPath, tuple[int, int]] = {}
        self.rewritten: dict[KeyPath, str] = {}
        self.replaced: set[KeyPath] = set()

    def document(self, value: Any) -> Document:
        """The Document of what was built."""
        return Document(self._name, value, self.marks, self.key_marks, self.rewritten, frozenset(self.replaced))

    def build(self, node: Node, path: KeyPath) -> Any:
        """The node's value, as plain dict, list, str, int, float, bool and None."""
        self.marks[path] = node.mark
        if node.tag:
            self.replaced.add(path)
        if node.kind == "list":
            kept = [child for child in node.children if child.tag != _RESET]
            return [self.build(child, (*path, index)) for index, child in enumerate(kept)]
        if node.kind == "map":
            pairs = self._pairs(node, path)
            self.replaced.update((*path, name) for name, (_key, child) in pairs.items() if child.tag == _RESET)
            kept_pairs = {name: pair for name, pair in pairs.items() if pair[1].tag != _RESET}
            return {name: self._item(key, child, (*path, name)) for name, (key, child) in kept_pairs.items()}
        if node.text is not None and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
            self.rewritten[path] = node.text
        return node.value

    def _item(self, key: Node, child: Node, path: KeyPath) -> Any:
        self.key_marks[path] = key.mark
        return self.build(child, path)

    def _pairs(self, node: Node, path: KeyPath) -> dict[str, tuple[Node, Node]]:
        """Own keys over merged ones (`<<`); of several merged mappings the first wins."""
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, child in zip(node.children[::2], node.children[1::2]):
            if key.text == _MERGE_KEY:
                for source in child.children if child.kind == "list" else [child]:
                    merged = {**self._merge_source(source, path), **merged}
            elif isinstance(key.value, str):
                self._own(own, key, child, path)
            else:
                what = "a list or mapping" if key.kind != "scalar" else show(key.text or key.value)
                self._problem("STW-YAML-KEY", path, key.mark, f"key {what} is not text", "quote the key")
        return {**merged, **own}

    def _own(self, own: dict[str, tuple[Node, Node]], key: Node, child: Node, path: KeyPath) -> None:
        if key.value in own:
            first = own[key.value][0].mark[0]
            reason = f"key {show(key.value)} is already on line {first}"
            self._problem("STW-YAML-DUP", (*path, key.value), key.mark, reason, "keep one of the two")
            return
        own[key.value] = (key, child)

    def _merge_source(self, source: Node, path: KeyPath) -> dict[str, tuple[Node, Node]]:
        if source.kind == "map":
            return self._pairs(source, path)
        self._problem("STW-YAML-SHAPE", path, source.mark, "<< merges something that is no mapping", "give a mapping")
        return {}

    def _problem(self, code: str, path: KeyPath, mark: tuple[int, int], reason: str, fix: str) -> None:
        place = f"{self._name}:{mark[0]}:{mark[1]} {path_text(path)}".rstrip()
        self.problems.append(Problem(code, place, reason, fix))
