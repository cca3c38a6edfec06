# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Forms of scalars, lists and mappings, as `docker stack config` prints them. What Docker leaves out is dropped."""

from __future__ import annotations

import math
import os
from typing import Any

from ..errors import show
from .config_templates import DRIVERS
from .document import KeyPath
from .interpolation import Substituted
from .ports import RANGE, port_range
from .reader import DROP, Reader, form, literal
from .units import format_duration, go_number, parse_cpus, parse_duration, parse_size

_TRUE = ("y", "yes", "true", "on")
_FALSE = ("n", "no", "false", "off")


@form("any", "build")
def read_any(reader: Reader, path: KeyPath, value: Any) -> Any:
    """The value as it stands."""
    return value


@form("string")
def read_string(reader: Reader, path: KeyPath, value: Any) -> Any:
    """Text; empty text is left out."""
    if not isinstance(value, str):
        return reader.type_error(path, value, "text", f'quote it: "{written(reader, path, value)}"')
    return literal(value) or DROP


def written(reader: Reader, path: KeyPath, value: Any) -> str:
    """A scalar as the file has it, as far as it can be shown."""
    return reader.document.rewritten.get(path, str(value).lower() if isinstance(value, bool) else "...")[:30]


@form("version")
def read_version(reader: Reader, path: KeyPath, value: Any) -> Any:
    """The version as text; "3" is 3.13."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return reader.type_error(path, value, "a version")
    text = written(reader, path, value) if not isinstance(value, str) else value
    return "3.13" if text == "3" else text


@form("order")
def read_order(reader: Reader, path: KeyPath, value: Any) -> Any:
    """start-first or stop-first."""
    if value not in ("start-first", "stop-first"):
        return reader.refuse(path, "STW-UPDATE", f"order {show(value)} is unknown", "write start-first or stop-first")
    return literal(value)


@form("driver")
def read_driver(reader: Reader, path: KeyPath, value: Any) -> Any:
    """golang or jinja2."""
    if value not in DRIVERS:
        reason = f"driver {show(value)} is unknown"
        return reader.refuse(path, "STW-TEMPLATE", reason, f"write {' or '.join(DRIVERS)}")
    return literal(value)


@form("bool", "bool?")
def read_bool(reader: Reader, path: KeyPath, value: Any) -> Any:
    """true or false; text only if a variable made it. Plain `bool` leaves false out."""
    if isinstance(value, Substituted) and value.lower() in _TRUE + _FALSE:
        value = value.lower() in _TRUE
    if not isinstance(value, bool):
        return reader.type_error(path, value, "true or false", "write true or false, without quotes")
    return value if value or path[-1] in ("init", "stateful") else DROP


@form("int", "int?", "count", "count?")
def read_int(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A whole number; text only if a variable made it."""
    if isinstance(value, Substituted):
        value = _cast(value)
    if isinstance(value, bool) or not isinstance(value, int):
        fix = "write it without quotes" if isinstance(value, str) and value.isdigit() else ""
        return reader.type_error(path, value, "a whole number", fix)
    return value


@form("count", "count?")
def read_count(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A whole number from 0; plain `count` leaves 0 out."""
    value = read_int(reader, path, value)
    if value is not DROP and not 0 <= value < 2**63:
        return reader.refuse(path, "STW-RANGE", f"{show(value)} is negative or too large", "give a number from 0")
    keeps = ("retries", "max_attempts", "parallelism", "scale")
    return value if value is DROP or value or path[-1] in keeps else DROP


def _cast(text: str) -> Any:
    """The whole number that a variable's text says; the text if it says none."""
    digits = text[1:] if text[:1] in "+-" else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return text
    return int(text)


@form("published")
def read_published(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A port number; Compose writes it as text. `8000-8010` is any one free port of these."""
    if isinstance(value, str):
        if RANGE.fullmatch(literal(value)):
            found = port_range(reader, path, literal(value))
            return DROP if found is None else found[0] if found[0] == found[1] else f"{found[0]}-{found[1]}"
        value = _cast(literal(value))
    return read_int(reader, path, value)


@form("mode")
def read_mode(reader: Reader, path: KeyPath, value: Any) -> Any:
    """File permissions; 444 or 0444 without the octal's 0 is warned about, as Docker takes it as decimal."""
    if isinstance(value, Substituted) and value[:1] == "0" and value.isdigit() and set(value) <= set("01234567"):
        value = int(value, 8)
    value = read_int(reader, path, value)
    if value is DROP:
        return DROP
    if not 0 <= value <= 0o1777:
        reason = f"mode {show(value)} is outside 0 to 01777"
        return reader.refuse(path, "STW-MODE", reason, "write an octal number such as 0440")
    if value > 0o777 or value in (400, 440, 444):
        reader.warn(f"mode {value} is read as decimal, that is {value:04o} octal; write 0{value}", path)
    return value


@form("number")
def read_number(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A finite number; 0 is left out."""
    if isinstance(value, Substituted):
        try:
            value = float(value)
        except ValueError:
            return reader.type_error(path, value, "a number")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return reader.type_error(path, value, "a number")
    return value or DROP


@form("duration", "duration?")
def read_duration(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A Go duration as Go prints it; some keys leave 0 out."""
    if not isinstance(value, str):
        fix = f"write {value}s" if isinstance(value, int) and not isinstance(value, bool) else ""
        return reader.refuse(path, "STW-DURATION", f"{show(value)} is no duration like 1m30s", fix)
    try:
        nanoseconds = parse_duration(value)
    except ValueError as error:
        return reader.refuse(path, "STW-DURATION", f"{show(value)} {error}", "write a number with a unit: 10s, 1m30s")
    drops_zero = "update_config" in path or "rollback_config" in path
    return DROP if drops_zero and not nanoseconds else format_duration(nanoseconds)


@form("size", "size_text", "tmpfs_size")
def read_size(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A size: shm_size as text as it stands, tmpfs.size as a number, else bytes as text."""
    try:
        size = parse_size(literal(value))
    except ValueError as error:
        return reader.refuse(path, "STW-SIZE", f"{show(value)} {error}", "write a number with k, m or g")
    if path[-1] == "shm_size":
        return literal(value)
    return size if path[-1] == "size" else str(size)


@form("cpus")
def read_cpus(reader: Reader, path: KeyPath, value: Any) -> Any:
    """Cores, as text."""
    text = go_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    try:
        parse_cpus(text)
    except ValueError as error:
        return reader.refuse(path, "STW-CPUS", f"{show(value)} {error}", "write a number such as '0.5'")
    return literal(text)


@form("path")
def read_path(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A file's absolute path; relative ones start beside the first stack file, ~ is the home directory."""
    text = read_string(reader, path, value)
    return text if text is DROP else absolute(text, reader.base)


def absolute(text: str, base: str) -> str:
    """The cleaned absolute path of a path as Docker's command line makes it."""
    if text.startswith("~"):
        return os.path.normpath(os.path.expanduser("~") + "/" + text[1:]) if text[1:2] in ("", "/") else text
    return text if text.startswith("/") else os.path.normpath(os.path.join(base, text))


@form("strings", "strings_repeated")
def read_strings(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of texts, each once (constraints may repeat); an empty list is left out."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each item with a dash")
    made: list[str] = []
    for index, item in enumerate(value):
        at = (*path, index)
        if not isinstance(item, str):
            reader.type_error(at, item, "text", f'quote it: "{written(reader, at, item)}"')
        elif item in made and path[-1] != "constraints":
            reader.refuse(at, "STW-DUPLICATE", f"{show(literal(item))} is in this list twice", "remove one of them")
        else:
            made.append(literal(item))
    return made or DROP


@form("strings_or_one")
def read_strings_or_one(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A text or a list of texts, as a list."""
    return read_strings(reader, path, [value] if isinstance(value, str) else value)


@form("expose")
def read_expose(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of ports, as texts."""
    items = value if isinstance(value, list) else [value]
    return read_strings(reader, path, [str(i) if isinstance(i, int) else i for i in items])


def split_words(text: str) -> list[str]:
    """Words as Docker's command line splits them: a backslash takes the next character, also in double quotes.

    ValueError: an open quote, a backslash at the end, or a word that begins with # (Docker would drop the rest).
    """
    words: list[str] = []
    word: list[str] | None = None
    quote, escaped = "", False
    for character in text:
        if escaped:
            word, escaped = [*(word or []), character], False
        elif character == "\\" and quote != "'":
            word, escaped = word or [], True
        elif quote:
            quote = "" if character == quote else quote
            word = word if not quote else [*(word or []), character]
        elif character in "\"'":
            word, quote = word or [], character
        elif character in " \t\r\n":
            words += ["".join(word)] if word is not None else []
            word = None
        elif character == "#" and word is None:
            raise ValueError("a word begins with #, which Docker takes for a comment")
        else:
            word = [*(word or []), character]
    if quote or escaped:
        raise ValueError("a quote is not closed" if quote else "a backslash stands at the end")
    return words + (["".join(word)] if word is not None else [])


@form("command")
def read_command(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of words; one text is split as a shell splits it."""
    if isinstance(value, str):
        try:
            return split_words(value) or DROP
        except ValueError as error:
            return reader.refuse(path, "STW-COMMAND", f"cannot be split into words: {error}", "write it as a list")
    if not isinstance(value, list):
        return reader.type_error(path, value, "text or a list of words")
    wrong = [index for index, item in enumerate(value) if not isinstance(item, str)]
    for index in wrong:
        reader.type_error((*path, index), value[index], "text", "quote it")
    return DROP if wrong or not value else [literal(item) for item in value]


@form("health_test")
def read_health_test(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list; one text is a shell command."""
    if isinstance(value, str):
        return ["CMD-SHELL", literal(value)] if value else DROP
    return read_command(reader, path, value)


def pairs(reader: Reader, path: KeyPath, value: Any) -> dict[str, str | None] | None:
    """The mapping or list of KEY=VALUE as {KEY: VALUE or None}; None (and a problem) if it is neither."""
    if isinstance(value, list):
        made: dict[str, str | None] = {}
        for index, item in enumerate(value):
            if not isinstance(item, str):
                reader.type_error((*path, index), item, "KEY=VALUE", "quote it")
                continue
            name, equals, text = literal(item).partition("=")
            made[name] = text if equals else None
        return made
    if not isinstance(value, dict):
        reader.type_error(path, value, "a mapping or a list of KEY=VALUE")
        return None
    return {name: _pair_text(reader, (*path, name), item) for name, item in value.items()}


def _pair_text(reader: Reader, path: KeyPath, item: Any) -> str | None:
    """A map value as Go prints it; a warning if that is not what the file says."""
    if isinstance(item, (dict, list)):
        reader.type_error(path, item, "text")
        return None
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, (int, float)):
        text = go_number(item)
        source = reader.document.rewritten.get(path, text)
        if text != source:
            reader.warn(f"{path[-1]}: {source} without quotes is the number {text}", path)
        return text
    return None if item is None else literal(item)


@form("labels")
def read_labels(reader: Reader, path: KeyPath, value: Any) -> Any:
    """{name: text}; a name without value has empty text."""
    made = pairs(reader, path, value)
    return {name: text or "" for name, text in made.items()} if made else DROP


@form("extra_hosts")
def read_extra_hosts(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of name:address."""
    if isinstance(value, dict):
        return sorted(f"{name}:{address}" for name, address in (pairs(reader, path, value) or {}).items()) or DROP
    made = read_strings(reader, path, value)
    if made is DROP:
        return DROP
    for index, item in enumerate(made):
        if ":" not in item and "=" not in item:
            reader.refuse((*path, index), "STW-TYPE", f"{show(item)} is no name:address", "write name:address")
    return [item.replace("=", ":", 1) if "=" in item.partition(":")[0] else item for item in made]


@form("external")
def read_external(reader: Reader, path: KeyPath, value: Any) -> Any:
    """true, false, or the old mapping with a name (kept as {"name": ...} until the object is complete)."""
    if isinstance(value, dict):
        known = set(value) <= {"name"} and isinstance(value.get("name", ""), str)
        return value if known else reader.type_error(path, value, "true or false")
    return read_bool(reader, path, value)


@form("named")
def read_named(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A network, volume, config or secret; an external one gets its name."""
    external = value.get("external")
    if isinstance(external, dict):
        reader.warn("external.name is the old form; write external: true and name", path)
        if "name" in value and external.get("name"):
            reader.refuse(path, "STW-KEY", "name and external.name are both stated", "keep name")
        value = {**value, "external": True, "name": value.get("name") or literal(external.get("name") or path[-1])}
    elif external:
        value = {**value, "name": value.get("name") or path[-1]}
    if path[0] == "configs" and "environment" in value:
        name, value = value["environment"], {key: item for key, item in value.items() if key != "environment"}
        if name not in reader.variables:
            fix = f"set {name[:60]} in stowage_env"
            reader.refuse((*path, "environment"), "STW-VARIABLE", f"variable {show(name)} is not set", fix)
        value["content"] = reader.variables.get(name, "")
    if external and path[0] in ("networks", "volumes"):
        stated = [name for name in ("driver", "driver_opts", "ipam", "internal", "labels") if name in value]
        if stated:
            reason = f"external and {stated[0]} exclude each other"
            reader.refuse(path, "STW-KEY", reason, "an external object is described where it is made")
    return value
