# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which copy of a volume is the true one, when it was moved or is being moved: the newest generation that is whole.

A host's Observation tells of each volume that is not plainly its own and first: {generation, state, peer}. States:
`live` (serves), `incoming` (a copy that is not whole yet), `sealed` (complete, its users are stopped, going to `peer`),
`retired` (an old copy, kept; the volume lives on `peer`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem

LIVE, INCOMING, SEALED, RETIRED = "live", "incoming", "sealed", "retired"
WHOLE = (LIVE, SEALED)
Observations = Mapping[str, Mapping[str, Any]]


class Copy(NamedTuple):
    """One host's copy of a volume. peer: the other host of a move, "" if there is none."""

    node: str
    generation: int = 1
    state: str = LIVE
    peer: str = ""


def copies(observations: Observations) -> dict[str, list[Copy]]:
    """{volume name: its copies by node} of every volume that is on more hosts or in another state than plain ones."""
    stated = {name for seen in observations.values() for name in seen.get("volume_states") or {}}
    found: dict[str, list[Copy]] = {}
    for node in sorted(observations):
        seen = observations[node]
        for name in sorted(stated & _names(seen)):
            state = (seen.get("volume_states") or {}).get(name) or {}
            told = (str(state.get(key, default)) for key, default in (("state", LIVE), ("peer", "")))
            found.setdefault(name, []).append(Copy(node, int(state.get("generation", 1)), *told))
    return found


def settled(observations: Observations, unknown: Iterable[str]) -> tuple[dict[str, Any], dict[str, Problem]]:
    """(observations without the copies that do not count, {volume: why none of its copies may be used now}).

    A sealed copy whose move was not seen to its end counts again, unless the host that it went to does not answer: the
    newer copy may be live there.
    """
    away, result, blocked = set(unknown), dict(observations), {}
    for name, found in copies(observations).items():
        best = max((copy.generation for copy in found if copy.state in WHOLE), default=0)
        true = {copy.node for copy in found if copy.state in WHOLE and copy.generation == best}
        for copy in found:
            if copy.node in true and copy.state == SEALED and copy.peer in away:
                reason = f"volume {name} was on its way from {copy.node} to {copy.peer}, which does not answer"
                fix = f"bring {copy.peer} back: the newer copy may be there"
                blocked[name] = Problem("STW-VOLUME", f"volume {name}", reason, fix)
            if copy.node not in true:
                result[copy.node] = _without(result[copy.node], name)
            if copy.state == RETIRED and not true and copy.peer in away:
                reason = f"volume {name} lives on {copy.peer}, which does not answer; {copy.node} keeps an old copy"
                blocked[name] = Problem("STW-VOLUME", f"volume {name}", reason, f"bring {copy.peer} back")
    return result, blocked


def _names(seen: Mapping[str, Any]) -> set[str]:
    return {volume["name"] for volume in seen["volumes"]} | set(seen["volume_claims"])


def _without(seen: Mapping[str, Any], name: str) -> dict[str, Any]:
    volumes = [volume for volume in seen["volumes"] if volume["name"] != name]
    return {**seen, "volumes": volumes, "volume_claims": [one for one in seen["volume_claims"] if one != name]}
