# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Observe one host with three calls to its Engine. Never an inspect."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ..canonical import digest
from ..errors import StowageError
from . import host, live, records, releases, sets
from .client import EngineError, connect
from .labels import ours
from .lock import busy, current
from .volumes import claimed, states


class Listing(Protocol):
    """What observing needs of an Engine."""

    def facts(self) -> dict[str, Any]:
        """GET /version."""

    def containers(self) -> list[dict[str, Any]]:
        """GET /containers/json?all=1."""

    def volumes(self) -> list[dict[str, Any]]:
        """GET /volumes."""


def observe_host(fleet: str, root: str = "/", stacks: Iterable[str] = ()) -> dict[str, Any]:
    """{observation: Observation | None, problem: Problem as dict | None}: a host without an Engine is unknown.

    stacks: of these the Observation also has what was deployed the last time.
    """
    try:
        seen = observe(connect(), fleet, root)
        deployed = releases.deployed(host.Paths(root), stacks)
        return {"observation": {**seen, **({"deployed": deployed} if deployed else {})}, "problem": None}
    except StowageError as error:
        return {"observation": None, "problem": error.problems[0].as_dict()}
    except EngineError as error:
        place, fix = "Docker Engine", "see `systemctl status docker` on the host"
        problem = {"code": "STW-ENGINE", "place": place, "reason": str(error), "fix": fix}
        return {"observation": None, "problem": problem}


def observe(engine: Listing, fleet: str, root: str = "/") -> dict[str, Any]:
    """The Observation of this host (docs/architecture.md). Raises EngineError if the Engine fails underway."""
    paths = host.Paths(root)
    # Asked before and after: a module that ends while we look leaves a picture that is half old.
    working = busy(paths)
    entries = engine.containers()
    state = host.network(paths.network)
    own = [entry for entry in entries if ours(entry.get("Labels"), fleet)]
    observation: dict[str, Any] = {
        "schema": 1,
        "node": state["node"] or os.uname().nodename,
        "engine": _engine(engine.facts(), paths),
        "capacity": host.capacity(paths.proc),
        "facts": {"kernel": os.uname().release},
        "containers": records.containers(entries, fleet),
        "foreign": _foreign(entries, own, fleet, paths),
        "volumes": records.volumes(engine.volumes()),
        "volume_claims": claimed(paths, fleet),
        "volume_states": states(paths, fleet),
        "network": {key: state[key] for key in ("claim", "address")},
        "networks": host.networks(paths.proc),
        "endpoints": _endpoints(root),
        "releases": releases.listed(paths),
        "lock": current(paths),
        "busy": working or busy(paths),
    }
    applied, waiting = live.applied(paths), {records.name_of(entry): sets.lacks(paths, entry) for entry in own}
    for container in observation["containers"]:
        container.update({"live": applied[container["name"]]} if container["name"] in applied else {})
        container.update({"lacks": waiting[container["name"]]} if waiting.get(container["name"]) else {})
    ended = releases.aborted(paths)
    observation.update({"aborted": ended} if ended else {})
    observation["objects"] = records.objects(observation, fleet)
    observation["digest"] = digest(observation["objects"])
    return observation


def _engine(facts: Mapping[str, Any], paths: host.Paths) -> dict[str, Any]:
    return {
        "version": str(facts.get("Version", "")),
        "api": str(facts.get("ApiVersion", "")),
        "os": str(facts.get("Os", "")),
        "arch": os.uname().machine,
        "labels": host.engine_labels(paths.daemon),
    }


def _foreign(
    entries: Iterable[Mapping[str, Any]], own: Iterable[Mapping[str, Any]], fleet: str, paths: host.Paths
) -> dict[str, Any]:
    ports = host.foreign_ports(host.listening(paths.proc), own)
    return {"containers": records.strangers(entries, fleet), "ports": ports}


def _endpoints(root: str) -> dict[str, Any]:
    from ..discovery.deliver import observe_endpoints  # noqa: PLC0415 (tests of this room need no other)

    return dict(observe_endpoints(root))
