# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that SOPS encrypted: found by their own marks, told apart without the key, one value picked by its place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..canonical import digest

PREFIX = "sops:"
YAML, JSON, DOTENV, INI, BINARY = "yaml", "json", "dotenv", "ini", "binary"
_REFERENCE = re.compile(r"sops:([^#\x00-\x1f]{1,1000})(?:#([^#\x00-\x1f]{1,500}))?")
_MARKS = {
    DOTENV: re.compile(r"(?m)^sops_mac=ENC\["),
    INI: re.compile(r"(?m)^\[sops\][ \t]*$"),
    YAML: re.compile(r"(?m)^sops:[ \t]*$"),
}
_OWN = {
    DOTENV: re.compile(r"(?m)^sops_.*\n?"),
    INI: re.compile(r"(?ms)^\[sops\][ \t]*$.*?(?=^\[|\Z)"),
    YAML: re.compile(r"(?m)^sops:[ \t]*\n(?:[ \t].*\n?|\n)*"),
}
_ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:[^,\]]*,iv:[^,\]]+,tag:[^,\]]+,type:(\w+)\]")


class Wrong(ValueError):
    """What is wrong with a file or a place in it: reason and fix; no content is quoted."""

    def __init__(self, reason: str, fix: str) -> None:
        """Take the reason and what to do."""
        super().__init__(reason)
        self.reason, self.fix = reason, fix


class Reference(NamedTuple):
    """A value of an encrypted file: the file, and the place in it, segments between slashes; no place: all of it."""

    path: str
    key: str


def refers(text: str) -> bool:
    """True if the text is meant as a reference to a file of SOPS, right or wrong."""
    return text.startswith(PREFIX)


def parse(text: str) -> Reference | None:
    """The reference `sops:<file>` or `sops:<file>#<key>[/<key>...]`; None if the text is none."""
    found = _REFERENCE.fullmatch(text)
    if not found or (found[2] is not None and not all(found[2].split("/"))):
        return None
    return Reference(found[1], found[2] or "")


def placed(text: str, base: str) -> str:
    """The reference with its path from the root; base: the directory that relative ones start from."""
    found = parse(text)
    return written(os.path.normpath(os.path.join(base, found.path)), found.key) if found else text


def written(path: str, key: str = "") -> str:
    """The reference as text."""
    return f"{PREFIX}{path}#{key}" if key else f"{PREFIX}{path}"


def kind(content: bytes) -> str:
    """What SOPS calls the file's form (yaml, json, dotenv, ini, binary); empty if SOPS did not encrypt it."""
    if b"ENC[" not in content or b"sops" not in content:
        return ""
    text = content.decode("utf-8", "replace")
    if text.lstrip()[:1] == "{":
        tree = _json(text)
        if not isinstance(tree.get("sops"), Mapping):
            return ""
        return BINARY if set(tree) == {"data", "sops"} else JSON
    return next((name for name, mark in _MARKS.items() if mark.search(text)), "")


def value_digest(stack: str, name: str, content: bytes, key: str) -> str:
    """The digest that stands for a value, 64 hex digits: of its ciphertext, so neither a key nor the value is needed.

    SOPS leaves the ciphertext of what an edit does not touch as it was. Raises Wrong.
    """
    return digest(["value of a file of SOPS", stack, name, _ciphertext(content, key) if key else _body(content)])


def pick(tree: Any, key: str) -> str:
    """The text at a place of the decrypted tree. Raises Wrong."""
    found = _at(tree, key)
    if not isinstance(found, str):
        raise Wrong("its value is no text", "keep it as a text: in quotes")
    return found


def _ciphertext(content: bytes, key: str) -> str:
    form = kind(content)
    if form == BINARY:
        raise Wrong("the file was encrypted as a whole and has no keys", "leave the key away")
    found = _at(_tree(content.decode("utf-8", "replace"), form), key)
    if isinstance(found, (Mapping, list)):
        raise Wrong("there are several values at that place", "name one of them: <key>/<key>")
    text = str(found)
    encrypted = _ENCRYPTED.fullmatch(text)
    if not encrypted:
        raise Wrong("its value is empty or not encrypted", "look at the rules in .sops.yaml, and encrypt it")
    if encrypted[1] != "str":
        raise Wrong("its value is no text", "keep it as a text: in quotes")
    return text


def _body(content: bytes) -> Any:
    """All but what SOPS notes for itself, which changes when keys are given or taken."""
    text, form = content.decode("utf-8", "replace"), kind(content)
    if form in (JSON, BINARY):
        return {name: value for name, value in _json(text).items() if name != "sops"}
    return _OWN[form].sub("", text)


def _tree(text: str, form: str) -> Any:
    if form == JSON:
        return _json(text)
    if form == DOTENV:
        lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
        return {name: value for name, _equals, value in lines}
    if form == INI:
        import configparser  # noqa: PLC0415 (hosts import this package)

        parser = configparser.RawConfigParser(strict=False)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        try:
            parser.read_string(text)
        except configparser.Error:
            raise _damaged() from None
        return {section: dict(parser.items(section)) for section in parser.sections()}
    import yaml  # noqa: PLC0415 (hosts import this package, and read no YAML)

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError):
        raise _damaged() from None


def _at(tree: Any, key: str) -> Any:
    found = tree
    for segment in key.split("/"):
        if isinstance(found, list) and segment.isdigit() and int(segment) < len(found):
            found = found[int(segment)]
            continue
        named = {str(name): value for name, value in found.items()} if isinstance(found, Mapping) else {}
        if segment not in named or (found is tree and segment.split("_")[0] == "sops"):
            raise Wrong("there is no such key in the file", "look at its keys: they are not encrypted")
        found = named[segment]
    return found


def _json(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}


def _damaged() -> Wrong:
    return Wrong("the file cannot be read as what it is", "take it from Git again, or encrypt it anew")
