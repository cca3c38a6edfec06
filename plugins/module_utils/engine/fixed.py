# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker networks of fixed addresses: one per subnet, there as long as a container is on it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, StowageError
from ..network.blocks import fixed_bridge, fixed_network
from . import networks
from .client import Engine
from .host import Paths, read_json

LABEL = "stowage.subnet"
Share = Mapping[str, Any]


def ensure(engine: Engine, paths: Paths, share: Share, check: bool = False) -> tuple[bool, dict[str, Problem]]:
    """Make the Docker networks of the share's fixed addresses. Returns (changed, {subnet: why it cannot be used}).

    share: fleet, services {spec: template}. Their bridges are there already, made with the policy.
    """
    stated = [template["address"] for template in share["services"].values() if template.get("address")]
    wanted = {address["subnet"]: address for address in stated}
    made = False
    blocked: dict[str, Problem] = {}
    if not wanted:
        return made, blocked
    mtu = int((read_json(paths.network).get("table") or {}).get("mtu") or 1450)
    major = networks.engine_major(engine.api)
    for subnet, address in sorted(wanted.items()):
        entry = {"block": subnet, "gateway": address["gateway"], "bridge": fixed_bridge(subnet)}
        want = networks.wanted(share["fleet"], entry, "", mtu, major)
        want["labels"][LABEL] = subnet
        try:
            changed, _warnings = networks.keep(engine.api, want, check, fixed_network(subnet))
        except StowageError as error:
            blocked[subnet] = error.problems[0]
            continue
        made = made or bool(changed)
    return made, blocked


def drop_idle(engine: Engine, names: Iterable[str]) -> bool:
    """Remove those of these networks that no container is on any more, with their bridges; True if any was."""
    found = [networks.inspect(engine.api, name) for name in sorted(set(names))]
    idle = [entry for entry in found if entry and not networks.attached(engine.api, entry["Name"])]
    for entry in idle:
        networks.drop(engine.api, entry["Id"])
        # Docker leaves a bridge that it did not make itself.
        bridge = fixed_bridge(str(entry["Labels"][LABEL]))
        subprocess.run(["ip", "link", "del", bridge], capture_output=True, check=False)
    return bool(idle)


def of_container(entry: Mapping[str, Any]) -> list[str]:
    """Names of the networks of fixed addresses that a listed container is on."""
    found = (entry.get("NetworkSettings") or {}).get("Networks") or {}
    return sorted(name for name in found if name.startswith(f"{networks.NAME}-"))
