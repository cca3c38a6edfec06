# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory variables to a Fleet value, refusing every mistake in one pass."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, raise_all, show
from .placing import placing, placing_problems, size

NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")
HOST_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
DOMAIN = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
LABEL_KEY = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$")
AVAILABILITIES = ("active", "pause", "drain")
ROLES = ("manager", "worker")
FLEET_KEYS = ("name", "domain", "nodes")


def build_fleet(
    fleet: Any,
    network: Any,
    hosts: Mapping[str, Mapping[str, Any]],
    runs: Iterable[str],
    ingress: Iterable[str],
) -> dict[str, Any]:
    """The Fleet value (docs/architecture.md) of an inventory.

    fleet, network: the variables stowage_fleet and stowage_network.
    hosts: variables of each host {name: {stowage_labels, stowage_role, stowage_availability, stowage_reserved,
    stowage_address, stowage_fabrics, stowage_uplinks, stowage_taints, stowage_resources, stowage_storage,
    ansible_host}};
    runs, ingress: host names in stowage_nodes and in stowage_ingress.
    Raises StowageError with every mistake: STW-FLEET, STW-INVENTORY, STW-NAME.
    """
    members, entries = set(runs), set(ingress)
    problems = _fleet_problems(fleet, hosts)
    nodes = []
    for name in sorted(hosts):
        problems += _host_problems(name, hosts[name])
        nodes.append(_node(name, hosts[name], name in members, name in entries))
    problems += _address_problems(nodes)
    if network is not None and not isinstance(network, Mapping):
        reason = f"{show(network)} is not a mapping"
        problems.append(Problem("STW-NETWORK", "stowage_network", reason, "write {cidr: 10.128.0.0/12}"))
    raise_all(problems)
    return {
        "name": fleet["name"],
        "domain": fleet.get("domain", "fleet"),
        "network": dict(network or {}),
        "nodes": nodes,
    }


def _fleet_problems(fleet: Any, hosts: Mapping[str, Any]) -> list[Problem]:
    place = "stowage_fleet"
    if not isinstance(fleet, Mapping):
        return [Problem("STW-FLEET", place, "is not set", "define it in group_vars/all: {name: ..., nodes: [...]}")]
    problems = [
        Problem("STW-FLEET", f"{place}.{show(key)}", "unknown key", f"known keys: {', '.join(FLEET_KEYS)}")
        for key in fleet
        if key not in FLEET_KEYS
    ]
    if not NAME.match(str(fleet.get("name", ""))):
        reason = f"{show(fleet.get('name'))} is not a fleet name"
        problems.append(Problem("STW-NAME", f"{place}.name", reason, "use lower-case letters, digits and dashes"))
    if not DOMAIN.match(str(fleet.get("domain", "fleet"))):
        reason = f"{show(fleet.get('domain'))} is not a domain name"
        problems.append(Problem("STW-NAME", f"{place}.domain", reason, "use a name such as fleet or fleet.example"))
    return problems + _membership_problems(fleet.get("nodes"), hosts)


def _membership_problems(expected: Any, hosts: Mapping[str, Any]) -> list[Problem]:
    """The inventory may not shrink the fleet: a sliced or disabled host must be noticed."""
    place = "stowage_fleet.nodes"
    if not isinstance(expected, (list, tuple)) or not expected:
        return [Problem("STW-FLEET", place, "is not a list of host names", "list every host of the fleet once")]
    names = [str(name) for name in expected]
    problems = []
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.append(Problem("STW-FLEET", place, f"{show(name)} is listed twice", "list it once"))
    for name in sorted(set(names) - set(hosts)):
        reason = f"{show(name)} is expected but not in stowage_nodes or stowage_ingress"
        problems.append(Problem("STW-FLEET", place, reason, "a sliced or disabled inventory? else remove it here"))
    for name in sorted(set(hosts) - set(names)):
        reason = f"{show(name)} is in the inventory's groups but not expected"
        problems.append(Problem("STW-FLEET", place, reason, "add it here"))
    return problems


def _host_problems(name: str, host: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if not HOST_NAME.match(name):
        problems.append(Problem("STW-NAME", f"host {show(name)}", "is not a host name", "use letters, digits, . _ -"))
    address = str(host.get("stowage_address") or host.get("ansible_host") or "")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        reason = f"{show(address)} is not an IP address"
        fix = "set stowage_address to the address other hosts reach it by"
        problems.append(Problem("STW-INVENTORY", f"host {name}: stowage_address", reason, fix))
    for key, allowed, default in (
        ("stowage_availability", AVAILABILITIES, "active"),
        ("stowage_role", ROLES, "worker"),
    ):
        value = host.get(key) or default
        if value not in allowed:
            fix = f"one of {', '.join(allowed)}"
            problems.append(Problem("STW-INVENTORY", f"host {name}: {key}", f"{show(value)} is not known", fix))
    problems += _label_problems(name, host.get("stowage_labels")) + _reserved_problems(name, host)
    return problems + placing_problems(name, host)


def _label_problems(name: str, labels: Any) -> list[Problem]:
    place = f"host {name}: stowage_labels"
    if labels is None:
        return []
    if not isinstance(labels, Mapping):
        return [Problem("STW-INVENTORY", place, f"{show(labels)} is not a mapping", "write key: value pairs")]
    problems = []
    for key, value in labels.items():
        if not LABEL_KEY.match(str(key)):
            problems.append(
                Problem("STW-INVENTORY", place, f"{show(key)} is not a label name", "use letters, digits, . _ / -")
            )
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            reason = f"{key}: {show(value)} is not a string"
            problems.append(Problem("STW-INVENTORY", place, reason, f'quote it: {key}: "..."'))
    return problems


def _reserved_problems(name: str, host: Mapping[str, Any]) -> list[Problem]:
    place = f"host {name}: stowage_reserved"
    reserved = host.get("stowage_reserved")
    if reserved is None:
        return []
    if not isinstance(reserved, Mapping):
        return [
            Problem("STW-INVENTORY", place, f"{show(reserved)} is not a mapping", "write {cpus: 0.5, memory: 512M}")
        ]
    problems = []
    for key, value in reserved.items():
        if _amount(key, value) is None:
            fix = "cpus are cores (0.5), memory is a size (512M)"
            problems.append(Problem("STW-INVENTORY", f"{place}.{show(key)}", f"{show(value)} is not an amount", fix))
    return problems


def _amount(key: Any, value: Any) -> float | int | None:
    """A reserved amount: bytes for memory, a number for everything else; None if it is not one."""
    if isinstance(value, bool):
        return None
    if key == "memory":
        return size(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None


def _address_problems(nodes: list[dict[str, Any]]) -> list[Problem]:
    seen: dict[str, str] = {}
    problems = []
    for node in nodes:
        other = seen.setdefault(node["address"], node["name"])
        if other != node["name"] and node["address"]:
            reason = f"has the address {show(node['address'])} of host {other}"
            problems.append(Problem("STW-INVENTORY", f"host {node['name']}", reason, "give each host its own"))
    return problems


def _node(name: str, host: Mapping[str, Any], runs: bool, ingress: bool) -> dict[str, Any]:
    labels = host.get("stowage_labels")
    reserved = host.get("stowage_reserved")
    return {
        "name": name,
        "address": str(host.get("stowage_address") or host.get("ansible_host") or ""),
        "labels": {str(k): str(v) for k, v in labels.items()} if isinstance(labels, Mapping) else {},
        "role": host.get("stowage_role") or "worker",
        # A host that is only an ingress carries traffic, not services.
        "availability": (host.get("stowage_availability") or "active") if runs else "drain",
        "reserved": {str(k): _amount(k, v) for k, v in reserved.items()} if isinstance(reserved, Mapping) else {},
        "ingress": ingress,
        **{key: host[f"stowage_{key}"] for key in ("fabrics", "uplinks") if host.get(f"stowage_{key}") is not None},
        **placing(host),
    }
