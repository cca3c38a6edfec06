# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mistakes that show when the stack is whole: references, cycles, names and ports used twice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, show
from ..secrets import sops, usable
from . import allow, check_container, check_deploy, check_rights, fixed
from .canary import check_canaries
from .check_rights import host_network
from .config_source import check_config_source
from .depending import check_dependencies
from .findings import Findings
from .keys import nearest
from .placement import check_placement
from .ports import is_range, span
from .rolling import check_rolling
from .shim import check_shim

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_OBJECT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}")
_ALIAS = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9_])?")
RESERVED = ("localhost", "all", "tasks", "svc")
NETWORK_DRIVERS = ("overlay", "bridge", "default")


def check(normal: Mapping[str, Any]) -> list[Problem]:
    """Every mistake of a normal form that `docker stack config` would let pass, in the order of the file."""
    findings = Findings(normal)
    services = normal.get("services") or {}
    if not services:
        fix = "add services:, or make one of their profiles active"
        findings.add((), "STW-SERVICE", "the stack has no services", fix)
    for name, service in services.items():
        _service_name(findings, name)
        check_container.check(findings, name, service)
        check_rights.check(findings, name, service, normal)
        check_deploy.check(findings, name, service)
        check_shim(findings, name, service)
        check_config_source(findings, name, normal)
        check_placement(findings, name, service, services)
        allow.check_allow(findings, name, normal)
        _references(findings, normal, name, service)
        _aliases(findings, services, name, service)
    _objects(findings, normal)
    _networks(findings, normal.get("networks") or {})
    fixed.check(findings, normal)
    check_dependencies(findings, services)
    check_rolling(findings, services)
    check_canaries(findings, services)
    _published(findings, {name: item for name, item in services.items() if not host_network(item, normal)})
    return findings.problems


def _service_name(findings: Findings, name: str) -> None:
    path = ("services", name)
    if not NAME.fullmatch(name):
        fix = "use small letters, digits, - _ . and at most 63 of them; begin and end with a letter or digit"
        findings.add(path, "STW-NAME", f"service name {show(name)} is no usable DNS name", fix)
    elif name in RESERVED or name.startswith(("stowage-", "tasks.")):
        findings.add(path, "STW-NAME", f"service name {show(name)} is reserved", "choose another name")


def _references(findings: Findings, normal: Mapping[str, Any], name: str, service: Mapping[str, Any]) -> None:
    """Networks, volumes, configs and secrets that the service names must be declared."""
    for network in service.get("networks") or {}:
        if network != "default":
            _declared(findings, normal, (network, None), ("services", name, "networks", network))
    for index, mount in enumerate(service.get("volumes", ())):
        if mount.get("type") == "volume" and mount.get("source"):
            _declared(findings, normal, (mount["source"], mount), ("services", name, "volumes", index))
    for kind in ("configs", "secrets"):
        for index, item in enumerate(service.get(kind, ())):
            source, path = item.get("source", ""), ("services", name, kind, index)
            _declared(findings, normal, (source, item), path)
            if ((normal.get(kind) or {}).get(source) or {}).get("external"):
                reason = f"{kind[:-1]} {show(source)} is external, and there is no Swarm that holds it"
                findings.add(
                    path, "STW-UNSUPPORTED", reason, f"give {kind}.{source}.file, here or in stowage_stacks", item
                )


def _declared(findings: Findings, normal: Mapping[str, Any], named: tuple[str, Any], path: tuple[Any, ...]) -> None:
    """named: the name and the list item that says it; path: services, the service, the kind, where."""
    (source, entry), kind = named, path[2]
    known = [known for known in normal.get(kind) or {} if not known.startswith("x-")]
    if source not in known:
        fix = nearest(source, known) or f"declare it under {kind}:"
        findings.add(path, "STW-REFERENCE", f"{kind[:-1]} {show(source)} is not declared", fix, entry)


def _aliases(findings: Findings, services: Mapping[str, Any], name: str, service: Mapping[str, Any]) -> None:
    for network, item in (service.get("networks") or {}).items():
        for alias in (item or {}).get("aliases", ()):
            path = ("services", name, "networks", network, "aliases", alias)
            if not _ALIAS.fullmatch(alias) or alias.startswith("tasks."):
                findings.add(path, "STW-ALIAS", f"{show(alias)} is no usable DNS name", "use letters, digits, - _ .")
            elif alias in services and alias != name:
                findings.add(path, "STW-ALIAS", f"{show(alias)} is the name of another service", "choose another")


def _objects(findings: Findings, normal: Mapping[str, Any]) -> None:
    """Names of volumes, configs and secrets; where a config or secret comes from."""
    for kind in ("volumes", "configs", "secrets"):
        for name, item in (normal.get(kind) or {}).items():
            if name.startswith("x-"):
                continue
            for path, given in (((kind, name), name), ((kind, name, "name"), item.get("name", "x"))):
                if not _OBJECT.fullmatch(given) or ".." in given:
                    fix = "use letters, digits, - _ . and at most 63 of them"
                    findings.add(path, "STW-NAME", f"{kind[:-1]} name {show(given)} is not usable", fix)
            findings.labels((kind, name, "labels"), item.get("labels"))
            _storage(findings, (kind, name), item)
            sources = [source for source in ("file", "content", "external") if item.get(source)]
            if kind == "secrets" and _reference(findings, (kind, name, "x-stowage"), item):
                sources.append("x-stowage.from")
            if kind != "volumes" and len(sources) != 1 and "environment" not in item and "driver" not in item:
                reason = f"has {' and '.join(sources) or 'no file'}"
                findings.add((kind, name), "STW-REFERENCE", reason, "give one file")


def _reference(findings: Findings, path: tuple[str, str, str], item: Mapping[str, Any]) -> bool:
    """Judge what x-stowage says of a secret's source; True if it names one in place of a file."""
    own = item.get("x-stowage") or {}
    stated, key = own.get("from"), own.get("key")
    if stated is not None and not usable(stated):
        fix = "write vault:<path>#<key> or sops:<file>#<key>"
        findings.add((*path, "from"), "STW-SECRET", f"{show(stated)} is no reference to a secret", fix)
    if key is not None and not item.get("file"):
        findings.add((*path, "key"), "STW-SOPS", "a key is of a file, and none is stated", "give file")
    elif key is not None and not (key and sops.parse(sops.written("file", key))):
        reason = f"{show(key)} is no place in a file"
        findings.add((*path, "key"), "STW-SOPS", reason, "write the names from the top: db/password")
    return stated is not None


def _storage(findings: Findings, path: tuple[str, str], item: Mapping[str, Any]) -> None:
    """A volume's class decides how it is made: nothing else may."""
    own = item.get("x-stowage") or {}
    if own.get("class") and not _OBJECT.fullmatch(own["class"]):
        reason = f"{show(own['class'])} is no name of a storage class"
        findings.add((*path, "x-stowage", "class"), "STW-STORAGE", reason, "name one of stowage_storage_classes")
    if own.get("size") and not own.get("class"):
        fix = "give it a class, or leave size out"
        findings.add((*path, "x-stowage", "size"), "STW-STORAGE", "a size counts only within a class", fix)
    hooks = own.get("backup") or {}
    for one, other in (("dump", "load"), ("load", "dump")):
        if one in hooks and other not in hooks:
            reason = f"backup has {one} and no {other}"
            findings.add((*path, "x-stowage", "backup"), "STW-STORAGE", reason, "give both, or neither")
    for key in ("external", "driver", "driver_opts"):
        if own.get("class") and item.get(key) and (key, item[key]) != ("driver", "local"):
            reason = f"{key} and a storage class exclude each other"
            findings.add((*path, key), "STW-STORAGE", reason, "leave one of them out")


def _networks(findings: Findings, networks: Mapping[str, Any]) -> None:
    """What would be ignored in silence if it were accepted: encryption."""
    for name, item in networks.items():
        path = ("networks", name)
        if name.startswith("x-"):
            continue
        if "encrypted" in item.get("driver_opts", {}):
            fix = "leave it out, or encrypt the underlay"
            findings.add((*path, "driver_opts", "encrypted"), "STW-UNSUPPORTED", "encryption is not supported", fix)
        if item.get("driver", "overlay") not in NETWORK_DRIVERS:
            fix = nearest(item["driver"], NETWORK_DRIVERS) or "leave it out"
            findings.add((*path, "driver"), "STW-UNSUPPORTED", f"driver {show(item['driver'])} is not supported", fix)


def _published(findings: Findings, services: Mapping[str, Any]) -> None:
    """A published port belongs to one service, unless both keep to their own hosts (mode host)."""
    taken: dict[tuple[int, str], tuple[str, str, bool]] = {}
    for name, service in services.items():
        for index, port in enumerate(service.get("ports", ())):
            (first, last), protocol = span(port), port.get("protocol", "tcp")
            mine = (name, port.get("mode", "ingress"), is_range(port))
            for number in range(first, last + 1) if first else ():
                other = taken.setdefault((number, protocol), mine)
                own = other[0] == name and not (other[2] or mine[2])  # of a range another port may be left
                if other is not mine and (own or "ingress" in (other[1], mine[1])):
                    reason = f"port {number}/{protocol} is already published by {show(other[0])}"
                    findings.add(("services", name, "ports", index), "STW-PORT", reason, "publish another port", port)
                    break
