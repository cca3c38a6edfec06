# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""schedule(): read, see what stays, place what is missing, say why."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from typing import Any

from .explain import Explainer, held_entry, reason
from .filters import Filters
from .model import Key, State
from .placement import missing, place_missing
from .reading import read, slot_key
from .staying import settle
from .unseen import hold, silent_globals
from .volumes import find_homes


def schedule(
    nodes: Iterable[Mapping[str, Any]],
    services: Iterable[Mapping[str, Any]],
    current: Iterable[Mapping[str, Any]] = (),
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Where every replica runs, and why. Pure: same input in any order, same bytes; arguments stay as they are.

    nodes: [{name, labels, role, availability: active|pause|drain, platform {os, arch}, ip, id, hostname, engine_labels,
        capacity {cpus, memory, <generic>}, reserved {...}, ports [what others bind], volumes [names], unknown: bool}].
    services: [{name, mode: replicated|global|replicated-job|global-job, replicas, reservations {cpus, memory,
        <generic>}, ports [host ports], constraints [str], preferences [{spread: key}], max_replicas_per_node,
        volumes [names], strategy: spread|binpack|round_robin, hosts [names]}].
    current: [{service, slot, node}]. A slot is 1..replicas; for a global service it is the node's name.
    options: assume_lost [unknown hosts that are given up], allow_moves (true), unknown_missing: hold|place (what to do
        with a missing slot that may run on an unknown host).
    cpus are cores, memory is bytes. Only names are needed; everything else has a default.

    Returns {placements [{service, slot, node}], unplaced [{service, slot, rejected {filter: [hosts]}, why, from}],
    moves [{service, slot, from, to, cause, why}] (to is null for a replica that just leaves), reasons
    {"service.slot": {decision, node, why, ...}}, warnings [str]}, all sorted.
    Raises StowageError with all mistakes of the input (STW-SCHEDULE, STW-CONSTRAINT, STW-HOST).
    """
    enabled = gc.isenabled()
    gc.disable()  # many small tuples, no cycles: collecting doubles the time of a large plan
    try:
        return _schedule(State(read(_listed(nodes), _listed(services), _listed(current), options)))
    finally:
        if enabled:
            gc.enable()


def _listed(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, Mapping)) or not isinstance(value, Iterable) else [*value]


def _schedule(state: State) -> dict[str, Any]:
    filters = Filters(state)
    _answered(state, filters)
    find_homes(state, filters)
    settle(state, filters)
    wanted = missing(state, filters)
    held = {**hold(state, filters, wanted), **silent_globals(state, filters)}
    failed = place_missing(state, filters, wanted)
    explainer = Explainer(state, filters)
    unplaced = [held_entry(key, held[key]) for key in held] + [explainer.entry(key) for key in failed]
    return _result(state, sorted(unplaced, key=_order))


def _answered(state: State, filters: Filters) -> None:
    for node in filters.nodes(filters.known):
        if node.name in state.request.options.assume_lost:
            state.warnings.append(f"{node.name} answered: assume_lost has no effect on it")


def _order(entry: Mapping[str, Any]) -> tuple[str, tuple[int, int, str]]:
    return entry["service"], slot_key(entry["slot"])


def _result(state: State, unplaced: list[dict[str, Any]]) -> dict[str, Any]:
    keys: list[Key] = sorted(state.where, key=lambda key: (key[0], slot_key(key[1])))
    reasons = {f"{name}.{slot}": reason(state, (name, slot)) for name, slot in keys}
    for entry in unplaced:
        told = {"decision": "unplaced", "node": None, "why": entry["why"]}
        reasons.setdefault(f"{entry['service']}.{entry['slot']}", told)
    for entry in state.surplus:
        told = {"decision": "leaves", "node": None, "from": entry["from"], "cause": entry["cause"], "why": entry["why"]}
        reasons.setdefault(f"{entry['service']}.{entry['slot']}", told)
    return {
        "placements": [{"service": name, "slot": slot, "node": state.where[(name, slot)].name} for name, slot in keys],
        "unplaced": unplaced,
        "moves": _moves(state),
        "reasons": dict(sorted(reasons.items())),
        "warnings": sorted(set(state.warnings)),
    }


def _moves(state: State) -> list[dict[str, Any]]:
    moved = [
        {"service": name, "slot": slot, "from": out.node, "to": to.name, "cause": out.cause, "why": out.why}
        for (name, slot), out in state.evicted.items()
        for to in [state.where.get((name, slot))]
        if to is not None
    ]
    return sorted([*moved, *state.surplus], key=lambda move: (*_order(move), move["from"]))
