# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compact records of what an Engine lists, and the digests by which a stale plan is recognised. Pure functions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import digest
from ..pulled.tasks import REVISION
from .labels import ours, tampered

NETWORK = "stowage"
RUNNING_STATES = ("running", "restarting", "paused")
_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)$")
_CODE = re.compile(r"^(?:Exited|Restarting) \((-?\d+)\)")
_NAMELESS = re.compile(r"^[0-9a-f]{64}$")
Entry = Mapping[str, Any]


def name_of(entry: Entry) -> str:
    """A listed container's own name (the others are legacy links)."""
    names = [name[1:] for name in entry.get("Names") or [] if "/" not in name[1:]]
    return names[0] if names else str(entry["Id"])[:12]


def health_of(status: str) -> str:
    """none, starting, healthy or unhealthy, from the text of `docker ps`: `Up 5 seconds (healthy)`."""
    found = _HEALTH.search(status)
    return found.group(1).replace("health: ", "") if found else "none"


def exit_code_of(status: str) -> int:
    """The exit code in `Exited (137) 2 minutes ago`; 0 where the text has none."""
    found = _CODE.search(status)
    return int(found.group(1)) if found else 0


def address_of(entry: Entry) -> str:
    """The IPv4 address that the container was created with; "" if it has none of its own."""
    networks = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    for name in sorted(networks, key=lambda name: (name != NETWORK, name)):
        address = ((networks[name] or {}).get("IPAMConfig") or {}).get("IPv4Address")
        if address:
            return str(address)
    return str((entry.get("Labels") or {}).get("stowage.ip", ""))


def container(entry: Entry) -> dict[str, Any]:
    """The Observation's record of one listed container of ours (docs/architecture.md)."""
    labels, status, name = entry.get("Labels") or {}, str(entry.get("Status", "")), name_of(entry)
    return {
        "id": str(entry["Id"])[:12],
        "name": name,
        "stack": labels.get("stowage.stack", ""),
        "service": labels.get("stowage.service", ""),
        "slot": labels.get("stowage.slot", ""),
        "spec": labels.get("stowage.spec", ""),
        "ip": address_of(entry),
        "state": str(entry.get("State", "")),
        "exit_code": exit_code_of(status),
        "health": health_of(status),
        "image": str(entry.get("Image", "")),
        "tampered": tampered(name, labels),
        **given(labels),
        **({"config": labels[REVISION]} if labels.get(REVISION) else {}),
    }


def given(labels: Mapping[str, str]) -> dict[str, Any]:
    """What the plan chose for a container, where it did.

    {devices: {kind: {device: share}}, ports: {range: port}, secrets: {name: digest of its version in the store}}.
    """
    found = {}
    for key, right in (("devices", _devices), ("ports", _ports), ("secrets", _texts)):
        try:
            value = json.loads(labels.get(f"stowage.{key}") or "null")
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and value and right(value):
            found[key] = value
    return found


def _texts(value: Mapping[str, Any]) -> bool:
    return all(isinstance(text, str) for text in value.values())


def _devices(value: Mapping[str, Any]) -> bool:
    return all(isinstance(names, dict) and all(_part(share) for share in names.values()) for names in value.values())


def _part(share: Any) -> bool:
    return isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share <= 1


def _ports(value: Mapping[str, Any]) -> bool:
    return all(isinstance(port, int) and not isinstance(port, bool) and 0 < port < 65536 for port in value.values())


def containers(entries: Iterable[Entry], fleet: str) -> list[dict[str, Any]]:
    """Records of this fleet's containers, sorted by name."""
    found = [container(entry) for entry in entries if ours(entry.get("Labels"), fleet)]
    return sorted(found, key=lambda record: str(record["name"]))


def strangers(entries: Iterable[Entry], fleet: str) -> list[str]:
    """Names of containers that are neither this fleet's nor a system container of ours, sorted."""
    return sorted(
        name_of(entry)
        for entry in entries
        if not ours(entry.get("Labels"), fleet) and "stowage.system" not in (entry.get("Labels") or {})
    )


def volumes(listed: Iterable[Entry]) -> list[dict[str, Any]]:
    """Records of all named volumes, sorted by name; nameless ones (64 hex digits) are nobody's to refer to."""
    found = [
        {
            "name": str(entry["Name"]),
            "driver": str(entry.get("Driver", "")),
            "stack": (entry.get("Labels") or {}).get("stowage.stack", ""),
            "labels": dict(sorted((entry.get("Labels") or {}).items())),
            "created": str(entry.get("CreatedAt", "")),
        }
        for entry in listed
        if not _NAMELESS.match(str(entry["Name"]))
    ]
    return sorted(found, key=lambda record: str(record["name"]))


def objects(observation: Mapping[str, Any], fleet: str) -> dict[str, str]:
    """{object: digest} of what a plan relies on: our containers, our volumes, endpoints, network claim. Sorted.

    Health, uptime and exit codes are left out: they change without anybody's doing. So is the network policy: each run
    writes its own before anything starts, also one that then gives way to another.
    """
    found: dict[str, str] = {}
    for record in observation["containers"]:
        state = "running" if record["state"] in RUNNING_STATES else "stopped"
        applied = [record["live"]] if record.get("live") else []
        found[f"container {record['name']}"] = digest(
            [record["id"], record["spec"], state, record["tampered"], *applied]
        )
    claimed = set(observation["volume_claims"])
    for record in observation["volumes"]:
        if record["name"] in claimed or record["labels"].get("stowage.fleet") == fleet:
            moved = (observation.get("volume_states") or {}).get(record["name"])
            told = [record["driver"], record["created"], record["labels"], *([moved] if moved else [])]
            found[f"volume {record['name']}"] = digest(told)
    for name in claimed - {record["name"] for record in observation["volumes"]}:
        found[f"volume {name}"] = "missing"
    found["endpoints"] = digest(observation["endpoints"]["told"])
    found["network"] = digest(observation["network"].get("claim"))
    return dict(sorted(found.items()))
