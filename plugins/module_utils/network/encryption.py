# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of encryption: mistakes of stowage_network.encryption, and public keys in the fleet table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, show
from .blocks import inner

PLACE = "stowage_network.encryption"
KIND = "wireguard"
PORT = 51840
KEY = re.compile(r"^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$")


def check(network: Mapping[str, Any]) -> list[Problem]:
    """Every mistake of stowage_network.encryption: STW-ENCRYPTION. network: `settings.settings`."""
    stated = network.get("encryption")
    if stated is None:
        return []
    if stated != KIND:
        return [
            Problem("STW-ENCRYPTION", PLACE, f"{show(stated)} is not a known encryption", f"write {KIND}, or remove it")
        ]
    if network["mode"] != "vxlan":
        reason = f"mode {show(network['mode'])} sends packets past it"
        return [Problem("STW-ENCRYPTION", PLACE, reason, "use mode vxlan, or remove encryption")]
    return []


def wanted(network: Mapping[str, Any]) -> bool:
    """True if what hosts send each other is to be encrypted."""
    return network.get("encryption") == KIND


def extend(
    table: dict[str, Any], network: Mapping[str, Any], keys: Mapping[str, Any], claims: Mapping[str, Any]
) -> list[Problem]:
    """Add to the fleet table `encryption`, `wireguard: {port}`, and each node's `inner` address and `public_key`.

    keys: {host: public key it told now}; claims: {host: table it holds}: what they know of a host that is silent. Both
    are words of hosts. A host of which nobody knows a key has "": it is left out until it told one.
    Returns STW-ENCRYPTION for two hosts with one key. A table without encryption stays as it is.
    """
    if not wanted(network):
        return []
    table.update(encryption=KIND, wireguard={"port": PORT})
    problems: list[Problem] = []
    holders: dict[str, str] = {}
    for name, entry in sorted(table["nodes"].items()):
        entry["inner"] = inner(entry["block"])
        entry["public_key"] = _key(keys.get(name)) or _heard(name, claims)
        other = holders.setdefault(entry["public_key"], name) if entry["public_key"] else name
        if other != name:
            reason = f"has the key of host {other}"
            fix = "if it is a copy of another host, remove /etc/stowage/wireguard.key there"
            problems.append(Problem("STW-ENCRYPTION", f"host {name}", reason, fix))
    return problems


def _key(word: Any) -> str:
    return str(word) if KEY.match(str(word)) else ""


def _heard(name: str, claims: Mapping[str, Any]) -> str:
    """The key that tables say a host has; its own table's word first."""
    tables = [claims.get(name), *(claims[host] for host in sorted(claims))]
    for table in tables:
        nodes = table.get("nodes") if isinstance(table, Mapping) else None
        entry = nodes.get(name) if isinstance(nodes, Mapping) else None
        if isinstance(entry, Mapping) and _key(entry.get("public_key")):
            return _key(entry["public_key"])
    return ""
