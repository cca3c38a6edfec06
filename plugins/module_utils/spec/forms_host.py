# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Forms of what a container gets from its host: devices, GPUs, groups, amounts; and of extends and include."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import show
from .document import KeyPath
from .forms import pairs, read_strings
from .reader import DROP, Reader, form, literal
from .units import parse_size

_GPU_KEYS = ("capabilities", "count", "device_ids", "driver", "options")


@form("amount")
def read_amount(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A whole number from 0, as number or text (Compose takes both)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        return reader.type_error(path, value, "a whole number from 0")
    return value


@form("rate", "swap")
def read_rate(reader: Reader, path: KeyPath, value: Any) -> Any:
    """Bytes; -1 of memswap_limit is no limit."""
    if path[-1] == "memswap_limit" and literal(value) == "-1":
        return -1
    try:
        return parse_size(literal(value))
    except ValueError as error:
        return reader.refuse(path, "STW-SIZE", f"{show(value)} {error}", "write a number with k, m or g")


@form("group_add")
def read_groups(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of group names and numbers, as texts."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each group with a dash")
    plain = [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in value]
    return read_strings(reader, path, plain)


@form("devices")
def read_devices(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of host:container:rights; the long form becomes the short one."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each device with a dash")
    made: list[str] = []
    for index, item in enumerate(value):
        text = _device(reader, (*path, index), item)
        if text:
            made.append(text)
    return made or DROP


def _device(reader: Reader, path: KeyPath, item: Any) -> str:
    """One device in short form; "" (and a problem) if it is none."""
    if isinstance(item, dict):
        parts = [item.get(key) for key in ("source", "target", "permissions")]
        unknown = sorted(set(item) - {"source", "target", "permissions"})
        if unknown or not all(part is None or isinstance(part, str) for part in parts) or not parts[0]:
            reader.refuse(path, "STW-DEVICE", "is no device", "write {source: /dev/x, target: /dev/x}")
            return ""
        item = ":".join(str(part) for part in (parts[0], parts[1] or parts[0], parts[2]) if part)
    if not isinstance(item, str):
        reader.type_error(path, item, "a device", "write /dev/x:/dev/x:rwm")
        return ""
    source, *rest = literal(item).split(":")
    rights = rest[-1] if len(rest) == 2 or (rest and not rest[-1].startswith("/")) else "rwm"
    target = rest[0] if rest and rest[0].startswith("/") else source
    if not source.startswith("/") or len(rest) > 2 or not target.startswith("/") or set(rights) - set("rwm"):
        named = "=" in item and not source.startswith("/")
        reason = "is a CDI device, which is not supported" if named else "is no device"
        reader.refuse(path, "STW-DEVICE", f"{show(literal(item))} {reason}", "write /dev/x:/dev/x:rwm")
        return ""
    return literal(item)


@form("gpus")
def read_gpus(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {driver, count or device_ids, capabilities, options}; "all" is every GPU."""
    if isinstance(value, str):
        value = [{"count": literal(value)}]
    if not isinstance(value, list):
        return reader.type_error(path, value, "all, or a list of requests")
    made = [_gpu(reader, (*path, index), item) for index, item in enumerate(value)]
    return [entry for entry in made if entry] or DROP


def _gpu(reader: Reader, path: KeyPath, item: Any) -> dict[str, Any]:
    """One device request with every key of the Engine; {} (and a problem) if it is none."""
    fix = "write {driver: nvidia, count: 1, capabilities: [gpu]}"
    if not isinstance(item, dict) or set(item) - set(_GPU_KEYS):
        reader.refuse(path, "STW-DEVICE", "is no device request", fix)
        return {}
    count, identities = _count(item.get("count")), item.get("device_ids")
    wrong = count is None or not all(
        isinstance(entry, (type(None), list)) for entry in (identities, item.get("capabilities"))
    )
    if wrong or (identities and "count" in item) or not isinstance(item.get("driver", ""), str):
        reader.refuse(path, "STW-DEVICE", "is no device request", f"{fix}, or device_ids instead of count")
        return {}
    made: dict[str, Any] = {"capabilities": [str(name) for name in item.get("capabilities") or ["gpu"]]}
    made.update({"device_ids": [str(one) for one in identities]} if identities else {"count": count})
    made.update({"driver": literal(item["driver"])} if item.get("driver") else {})
    options = pairs(reader, (*path, "options"), item.get("options") or {})
    return {**made, "options": {name: text or "" for name, text in options.items()}} if options else made


def _count(value: Any) -> int | None:
    """-1 for all, and where nothing is said; None if it is no number."""
    if value in (None, "all", -1):
        return -1
    if isinstance(value, bool) or not str(value).isdigit() or len(str(value)) > 4:
        return None
    return int(value)


@form("extends")
def read_extends(reader: Reader, path: KeyPath, value: Any) -> Any:
    """{service, file}; a text is a service of the same file."""
    if isinstance(value, str):
        return {"service": literal(value)}
    known = isinstance(value, dict) and set(value) <= {"service", "file"} and isinstance(value.get("service"), str)
    if not known or not isinstance(value.get("file", ""), str):
        return reader.refuse(path, "STW-EXTENDS", "names no service", "write {file: base.yml, service: web}")
    return {name: literal(text) for name, text in value.items()}


@form("include")
def read_include(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {path: [files], project_directory, env_file: [files]}."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each file with a dash")
    made = [_included(reader, (*path, index), item) for index, item in enumerate(value)]
    return [entry for entry in made if entry] or DROP


def _included(reader: Reader, path: KeyPath, item: Any) -> Mapping[str, Any]:
    entry = {"path": item} if isinstance(item, str) else item
    fix = "write a path, or {path: file.yml, project_directory: dir, env_file: file}"
    if not isinstance(entry, dict) or set(entry) - {"path", "project_directory", "env_file"} or not entry.get("path"):
        reader.refuse(path, "STW-INCLUDE", "is no include", fix)
        return {}
    made: dict[str, Any] = {}
    for name, value in entry.items():
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            reader.refuse((*path, name), "STW-INCLUDE", f"{name} is no path", fix)
            return {}
        made[name] = [literal(text) for text in texts]
        remote = next((text for text in texts if "://" in text or text.startswith("git@")), "")
        if remote:
            reader.refuse((*path, name), "STW-INCLUDE", f"{show(remote)} is not a local file", "fetch it first")
            return {}
    return made
