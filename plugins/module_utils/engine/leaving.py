# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fleet has in a host's Docker Engine - containers, networks, volumes - told, and taken away."""

from __future__ import annotations

import shutil
from typing import Any, NamedTuple

from ..errors import Problem, StowageError, show
from . import networks
from .client import Engine, connect
from .labels import ours
from .system import SYSTEM


class Holdings(NamedTuple):
    """Names of what is the fleet's; strangers: {Docker network of ours: containers of others on it}."""

    containers: list[str]
    networks: list[str]
    volumes: list[str]
    strangers: dict[str, list[str]]


def open_engine() -> Engine | None:
    """The host's Engine; None where none is installed. Raises StowageError (STW-ENGINE) if it does not answer."""
    return connect() if shutil.which("dockerd") or shutil.which("docker") else None


def holdings(engine: Engine, fleet: str) -> Holdings:
    """What the fleet, and the host's part of Stowage itself, has here."""
    containers = sorted(
        str(entry["Names"][0]).lstrip("/")
        for entry in engine.containers()
        if ours(entry.get("Labels"), fleet) or SYSTEM in (entry.get("Labels") or {})
    )
    volumes = sorted(str(volume["Name"]) for volume in engine.volumes() if ours(volume.get("Labels"), fleet))
    nets = sorted(str(entry["Name"]) for entry in networks.own(engine.api))
    strangers = {name: sorted(set(networks.attached(engine.api, name)) - set(containers)) for name in nets}
    return Holdings(containers, nets, volumes, {name: found for name, found in strangers.items() if found})


def refuse_strangers(found: Holdings) -> None:
    """Raise StowageError (STW-DESTROY) if containers of others are on networks that would go."""
    problems = [
        Problem(
            "STW-DESTROY",
            f"Docker network {network}",
            f"containers that are not the fleet's are on it: {', '.join(show(name) for name in names[:5])}",
            "remove or disconnect them, then run again",
        )
        for network, names in found.strangers.items()
    ]
    if problems:
        raise StowageError(problems)


def remove(engine: Engine, found: Holdings, volumes: bool, check: bool) -> list[str]:
    """Remove containers and networks, and volumes if asked; return one line each."""
    gone = found.volumes if volumes else []
    if not check:
        for name in found.containers:
            engine.remove(name, anonymous=volumes)
        for name in found.networks:
            entry: Any = networks.inspect(engine.api, name)
            networks.drop(engine.api, entry["Id"])
        for name in gone:
            engine.remove_volume(name)
    lines = [f"remove container {name}" for name in found.containers]
    lines += [f"remove Docker network {name}" for name in found.networks]
    return lines + [f"remove volume {name} and its data" for name in gone]
