# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Volumes of one slot each (`name: data-{{.Task.Slot}}`): where they are, which binds their slot to that host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem

_KNOWN = re.compile(r"\{\{\s*\.(Task\.Slot|Service\.Name|Service\.ID)\s*\}\}")
Slot = tuple[str, str]  # full service name, slot


def names(service: Mapping[str, Any], volume: str) -> dict[str, str]:
    """{slot: the volume's name there} of a replicated service's volume; {"": name} if all slots share it.

    {} where the name depends on more than service and slot: such a volume is new with every task.
    """
    if "{{" not in volume:
        return {"": volume}
    if service["mode"].startswith("global"):
        return {}
    found = {}
    for slot in (str(number) for number in range(1, int(service["replicas"]) + 1)):
        values = {"Task.Slot": slot, "Service.Name": service["name"], "Service.ID": service["name"]}
        filled = _KNOWN.sub(lambda match, values=values: values[match.group(1)], volume)  # type: ignore[misc]
        if "{{" in filled:
            return {}
        found[slot] = filled
    return found


def homes(
    services: Mapping[str, Mapping[str, Any]], observations: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[Slot, str], dict[Slot, Problem]]:
    """({slot: the host with its volumes}, {slot: why it has no one home}); slots whose volumes are new are in none."""
    where: dict[str, list[str]] = {}
    for node in sorted(observations):
        for volume in observations[node]["volumes"]:
            where.setdefault(volume["name"], []).append(node)
    found: dict[Slot, str] = {}
    split: dict[Slot, Problem] = {}
    for name, service in services.items():
        for volume in service["volumes"]:
            for slot, filled in names(service, volume["name"]).items():
                if not slot or volume.get("mount") or filled not in where:
                    continue
                known = found.setdefault((name, slot), where[filled][0])
                if where[filled] != [known]:
                    hosts = ", ".join(sorted({known, *where[filled]}))
                    reason = f"volumes of slot {slot} are on {hosts}: {filled} among them"
                    split[name, slot] = Problem("STW-VOLUME", name, reason, "move them to one host")
    return {slot: node for slot, node in found.items() if slot not in split}, split


def misplaced(home: str, node: str, service: Mapping[str, Any], slot: str) -> str:
    """Why a slot may not start on `node` while its volumes are on `home`."""
    own = [names(service, volume["name"]).get(slot) for volume in service["volumes"]]
    volume = ", ".join(sorted(name for name in own if name))
    fix = f"move it with stowage.fleet.move_volume -e volume={volume.split(', ', maxsplit=1)[0]} -e to={node}"
    return f"its volume {volume} is on {home}, which may not run it; {fix}"
