# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Short and long forms of what a service lists: ports, mounts, networks, configs, secrets, ulimits, environment."""

from __future__ import annotations

import re
from typing import Any

from ..errors import show
from ..secrets import sops
from .document import KeyPath, read_file
from .forms import absolute, pairs, read_int, read_string, read_strings
from .interpolation import Substituted
from .ports import port_range
from .reader import DROP, Entry, Reader, form, literal

PROTOCOLS = ("tcp", "udp", "sctp")
_PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:.]*\]|[0-9]+\.[0-9.]+):)?"
    r"(?:(?P<published>[0-9]+(?:-[0-9]+)?)?:)?(?P<target>[0-9]+(?:-[0-9]+)?)(?:/(?P<protocol>[A-Za-z]+))?"
)
_PROPAGATION = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_HINTS = ("z", "Z", "cached", "consistent", "delegated")
_ANYWHERE = ("0.0.0.0", "::", "")


@form("services")
def read_services(reader: Reader, path: KeyPath, value: Any) -> Any:
    """All services, each by the table, with Compose's shorthands folded into deploy."""
    if not isinstance(value, dict):
        return reader.type_error(path, value, "a mapping of services")
    made = {}
    for name, item in value.items():
        at = (*path, name)
        if name.startswith("x-"):
            continue
        if not isinstance(item, dict):
            reader.type_error(at, item, "a mapping with image and more")
            continue
        made[name] = read_service(reader, at, item)
    return made


def read_service(reader: Reader, path: KeyPath, item: dict[str, Any]) -> dict[str, Any]:
    """One service by the table, with Compose's shorthands folded into deploy; what it extends is left to others."""
    service = reader.section(path, item, "services.*")
    service.update((service.get("x-stowage") or {}).pop("compose", {}))
    if service.get("x-stowage") == {}:
        del service["x-stowage"]
    deploy = service.pop("deploy", {})
    shorthands = (
        ("scale", ("replicas",)),
        ("cpus", ("resources", "limits", "cpus")),
        ("mem_limit", ("resources", "limits", "memory")),
        ("mem_reservation", ("resources", "reservations", "memory")),
        ("pids_limit", ("resources", "limits", "pids")),
    )
    for short, target in shorthands:
        if short in service:
            _fold(reader, (*path, short), service.pop(short), deploy, target)
    if deploy.get("resources") == {}:
        del deploy["resources"]
    if deploy.get("placement") == {}:
        del deploy["placement"]
    named = _label_files(reader, path, service)
    if named:
        service["labels"] = {**named, **service.get("labels", {})}
    environment = _environment(reader, path, service)
    if environment:
        service["environment"] = environment
    else:
        service.pop("environment", None)
    return {**service, "deploy": deploy} if deploy else service


def _fold(reader: Reader, path: KeyPath, value: Any, deploy: dict[str, Any], target: tuple[str, ...]) -> None:
    """Put a shorthand's value into deploy; both stated is a problem."""
    at = deploy
    for part in target[:-1]:
        at = at.setdefault(part, {})
    if at.get(target[-1], value) != value:
        reason = f"says {show(value)}, deploy.{'.'.join(target)} says {show(at[target[-1]])}"
        reader.refuse(path, "STW-KEY", reason, "keep one of the two")
    at[target[-1]] = value


def _environment(reader: Reader, path: KeyPath, service: dict[str, Any]) -> dict[str, str | None]:
    """env_file below environment; a name without value, or with an empty one, takes the variable's if there is one."""
    made: dict[str, str | None] = {}
    for index, item in enumerate(service.get("env_file", ())):
        made.update(_env_file(reader, (*path, "env_file", index), item))
    files = service.get("env_file")
    if files:
        service["env_file"] = [item["path"] if isinstance(item, dict) else item for item in files]
    made.update(service.get("environment", {}))
    return {name: text or reader.variables.get(name, text) for name, text in made.items()}


def _label_files(reader: Reader, path: KeyPath, service: dict[str, Any]) -> dict[str, str]:
    """The labels of the files that label_file names."""
    made: dict[str, str] = {}
    for index, name in enumerate(service.pop("label_file", ())):
        found = _env_file(reader, (*path, "label_file", index), name)
        made.update({label: text or "" for label, text in found.items()})
    return made


@form("environment")
def read_environment(reader: Reader, path: KeyPath, value: Any) -> Any:
    """{name: text or None}; env_file and variables are added when the service is complete."""
    made = pairs(reader, path, value)
    for name in made or {}:
        if not name or "=" in name or "\0" in name or name != name.strip():
            reader.refuse((*path, name), "STW-ENV", f"{show(name)} is no name for a variable", "write NAME: value")
    return made or DROP


@form("env_file")
def read_env_files(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of paths as written; the long form keeps `required` until the file is read."""
    made: list[Any] = []
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        at = (*path, index)
        if isinstance(item, str):
            made.append(literal(item))
        elif not isinstance(item, dict) or not isinstance(item.get("path"), str):
            reader.type_error(at, item, "a path")
        elif set(item) - {"path", "required"}:
            unknown = sorted(set(item) - {"path", "required"})[0]
            reader.refuse((*at, unknown), "STW-KEY", f"unknown key {show(unknown)}", "known here: path, required")
        else:
            made.append(item)
    return made or DROP


def _env_file(reader: Reader, path: KeyPath, item: Any) -> dict[str, str | None]:
    """The lines KEY=VALUE of a file, as Docker's command line reads them: plain, quotes stay."""
    name = literal(item["path"] if isinstance(item, dict) else item)
    try:
        data = read_file(absolute(name, reader.base))
        text = data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if not (isinstance(item, dict) and item.get("required") is False and isinstance(error, FileNotFoundError)):
            reason = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", str(error))
            reader.refuse(path, "STW-FILE", f"{path[2]} {show(name)}: {reason}", "the path starts at the first file")
        return {}
    if sops.kind(data):
        reason = f"{path[2]} {show(name)}: is encrypted by SOPS, and `docker inspect` shows its values"
        reader.refuse(path, "STW-SOPS", reason, "make it a secret: the service reads it as a file")
        return {}
    made: dict[str, str | None] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.lstrip()
        key, equals, rest = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not key or key != "".join(key.split()) or "\0" in line:
            reader.refuse(path, "STW-ENV", f"{show(name)} line {number}: {show(key)} is no name", "write NAME=value")
        elif equals or key in reader.variables:
            made[key] = rest if equals else reader.variables[key]
            if rest[:1] in "\"'" and rest[-1:] == rest[:1] and rest:
                reader.warn(f"{name}: {key} is quoted; as in docker stack, the quotes are part of the value", path)
    return made


@form("ports")
def read_ports(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {target, published, protocol, mode}; a short range gives one entry per port, as in Swarm."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each port with a dash")
    made: list[Entry] = []
    seen: list[Any] = []
    for index, item in enumerate(value):
        at = (*path, index)
        if item in seen:
            reader.refuse(at, "STW-DUPLICATE", f"{show(item)} is in this list twice", "remove one of them")
        elif isinstance(item, dict):
            port = reader.section(at, item, "services.*.ports[]")
            made.append(reader.entry(at, _of_one_host({k: v for k, v in port.items() if v != 0 or k == "target"})))
        elif isinstance(item, (str, int)) and not isinstance(item, bool):
            made += _short_port(reader, at, literal(item))
        else:
            reader.type_error(at, item, "a port", "quote it")
        seen.append(item)
    return made or DROP


def _short_port(reader: Reader, path: KeyPath, text: str) -> list[Entry]:
    match = _PORT.fullmatch(text) if len(text) < 100 else None
    if not match:
        reader.refuse(path, "STW-PORT", f"{show(text)} is no port", "write 80, 8080:80 or 8080:80/udp")
        return []
    protocol = (match["protocol"] or "tcp").lower()
    if protocol not in PROTOCOLS:
        reader.refuse(path, "STW-PORT", f"protocol {show(protocol)} is unknown", f"write {', '.join(PROTOCOLS)}")
        return []
    targets, published = _range(reader, path, match["target"]), _range(reader, path, match["published"])
    if targets is None or published is None:
        return []
    if published and len(targets) > 1 and len(targets) != len(published):
        reason = f"{show(text)} has {len(published)} published and {len(targets)} container ports"
        reader.refuse(path, "STW-PORT", reason, "give ranges of the same length")
        return []
    found = []
    for target in sorted(targets, key=str):
        port = _of_one_host({"mode": "ingress", "target": target, "protocol": protocol, "host_ip": match["ip"] or ""})
        paired = published if len(targets) == 1 else [published[targets.index(target)]] if published else []
        outside = [{**port, "published": one} if one else port for one in paired] or [port]
        found += [reader.entry(path, entry) for entry in outside]
    return found


def _of_one_host(port: dict[str, Any]) -> dict[str, Any]:
    """A port with an address of its own is published by the host that runs the container: mode host."""
    address = str(port.pop("host_ip", "")).strip("[]")
    return port if address in _ANYWHERE else {**port, "mode": "host", "host_ip": address}


def _range(reader: Reader, path: KeyPath, text: str | None) -> list[int] | None:
    """The ports of 8000 or 8000-8010, [] of nothing; None (and a problem) if there are none or too many."""
    if not text:
        return []
    found = port_range(reader, path, text)
    return None if found is None else list(range(found[0], found[1] + 1))


@form("mounts")
def read_mounts(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {type, source, target, read_only, bind, volume, tmpfs}."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list", "start each mount with a dash")
    made = []
    for index, item in enumerate(value):
        at = (*path, index)
        mount = None
        if isinstance(item, str):
            mount = _short_mount(reader, at, literal(item))
        elif isinstance(item, dict):
            mount = reader.section(at, item, "services.*.volumes[]")
        else:
            reader.type_error(at, item, "a mount", "write name:/path")
        if mount:
            made.append(reader.entry(at, _located(reader, at, mount)))
    return made or DROP


def _short_mount(reader: Reader, path: KeyPath, text: str) -> dict[str, Any] | None:
    parts = text.split(":")
    if not all(parts) or len(parts) > 3:
        reader.refuse(path, "STW-MOUNT", f"{show(text)} is no mount", "write source:/target or source:/target:ro")
        return None
    if len(parts) == 1:
        return {"type": "volume", "target": parts[0]}
    source, target, options = parts[0], parts[1], parts[2].split(",") if len(parts) == 3 else []
    mount: dict[str, Any] = {"type": "bind" if source[0] in "./~" else "volume", "source": source, "target": target}
    for option in options:
        if option == "ro":
            mount["read_only"] = True
        elif option == "nocopy":
            mount["volume"] = {"nocopy": True}
        elif option in _PROPAGATION:
            mount["bind"] = {"propagation": option}
        elif option in _HINTS:
            reader.warn(f"mount option {option}: no effect", path)
        elif option != "rw":
            fix = f"write ro, rw, nocopy or one of {', '.join(_PROPAGATION)}"
            reader.refuse(path, "STW-MOUNT", f"mount option {show(option)} is unknown", fix)
    return mount


def _located(reader: Reader, path: KeyPath, mount: dict[str, Any]) -> dict[str, Any]:
    """The mount with its bind source absolute."""
    source = mount.get("source", "")
    if mount.get("type") != "bind" or not source or source.startswith("/"):
        return mount
    real = absolute(source, reader.base)
    reader.warn(f"bind {source} means {real} on every host; nothing is copied there", path)
    return {**mount, "source": real}


@form("service_networks")
def read_service_networks(reader: Reader, path: KeyPath, value: Any) -> Any:
    """{network: null or {aliases}}."""
    if isinstance(value, list):
        names = read_strings(reader, path, value)
        return names if names is DROP else dict.fromkeys(names)
    if not isinstance(value, dict):
        return reader.type_error(path, value, "a list or mapping of networks")
    made = {}
    for name, item in value.items():
        read = None if item is None else reader.section((*path, name), item, "services.*.networks.*")
        if read is not DROP:
            made[name] = read
    return made or DROP


@form("references")
def read_references(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {source, target, uid, gid, mode}; value is (the list, the table's path)."""
    items, prefix = value
    if not isinstance(items, list):
        return reader.type_error(path, items, "a list", "start each name with a dash")
    made = []
    for index, item in enumerate(items):
        at = (*path, index)
        read = {"source": literal(item)} if isinstance(item, str) else reader.section(at, item, prefix)
        if isinstance(read, dict):
            made.append(reader.entry(at, read))
    return made or DROP


@form("ulimits")
def read_ulimits(reader: Reader, path: KeyPath, value: Any) -> Any:
    """{name: number or {soft, hard}}."""
    if not isinstance(value, dict):
        return reader.type_error(path, value, "a mapping of limits")
    made: dict[str, Any] = {}
    for name, item in value.items():
        at = (*path, name)
        if not isinstance(item, dict):
            limit = read_int(reader, at, item)
        elif set(item) != {"soft", "hard"}:
            limit = reader.refuse(at, "STW-TYPE", "needs soft and hard, and nothing else", "write {soft: n, hard: n}")
        else:
            limit = {part: read_int(reader, (*at, part), item[part]) for part in ("soft", "hard")}
            limit = DROP if DROP in limit.values() else limit
        if limit is not DROP:
            made[name] = limit
    return made or DROP


@form("generic_resources")
def read_generic_resources(reader: Reader, path: KeyPath, value: Any) -> Any:
    """A list of {discrete_resource_spec: {kind, value}}."""
    if not isinstance(value, list):
        return reader.type_error(path, value, "a list")
    made = []
    for index, item in enumerate(value):
        at = (*path, index, "discrete_resource_spec")
        spec = item.get("discrete_resource_spec") if isinstance(item, dict) and len(item) == 1 else None
        if not isinstance(spec, dict) or set(spec) != {"kind", "value"}:
            fix = "write {discrete_resource_spec: {kind: gpu, value: 1}}"
            reader.refuse(at[:-1], "STW-TYPE", "is no generic resource", fix)
            continue
        kind, count = read_string(reader, (*at, "kind"), spec["kind"]), spec["value"]
        count = read_int(reader, (*at, "value"), Substituted(count) if isinstance(count, str) else count)
        if kind is not DROP and count is not DROP:
            made.append(reader.entry(at, {"discrete_resource_spec": {"kind": kind, "value": count}}))
    return made or DROP
