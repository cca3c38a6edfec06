# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""schedule(): read, see what stays, place what is missing, say why."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping
from operator import add
from typing import Any

from .asked import explain
from .explain import Explainer, Reasons, held_entry, waiting_entry
from .filters import Filters
from .gates import Rules
from .model import SHARE, Key, Node, Slot
from .placement import Placer, missing, waiting
from .reading import read, slot_key
from .repair import preempt, rebalance, repair
from .state import State
from .staying import settle
from .unseen import hold, silent_globals
from .volumes import find_homes

STATELESS, STATEFUL = 1, 10  # what a move costs


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
    rules = Rules(state, filters)
    _answered(state, filters)
    find_homes(state, filters)
    settle(state, rules)
    wanted = missing(state, rules)
    held = {**hold(state, filters, wanted), **silent_globals(state, filters)}
    late = waiting(state, wanted)
    failed = Placer(state, rules, wanted).place() if any(wanted.values()) else []
    failed = preempt(state, rules, repair(state, rules, failed))
    rebalance(state, rules)
    explainer = Explainer(state, rules)
    unplaced = [held_entry(key, held[key]) for key in held] + [explainer.entry(key) for key in failed]
    unplaced += [waiting_entry(state, key) for key in late]
    result = _result(state, sorted(unplaced, key=_order))
    if state.request.options.explain:
        waits: dict[Key, list[Node]] = {**held, **{key: [] for key in late}}
        result["explain"] = explain(state, rules, result["reasons"], waits)
    return result


def _answered(state: State, filters: Filters) -> None:
    for node in filters.nodes(filters.known) if state.request.options.assume_lost else ():
        if node.name in state.request.options.assume_lost:
            state.warnings.append(f"{node.name} answered: assume_lost has no effect on it")


def _order(entry: Mapping[str, Any]) -> tuple[str, tuple[int, int, str]]:
    return entry["service"], slot_key(entry["slot"])


def _result(state: State, unplaced: list[dict[str, Any]]) -> dict[str, Any]:
    placements, reasons = _places(state)
    for entry in unplaced:
        told = {"decision": "unplaced", "node": None, "why": entry["why"]}
        reasons.setdefault(f"{entry['service']}.{entry['slot']}", told)
    moves = _moves(state)
    for entry in moves:
        if entry["to"] is None:
            leaves = {"decision": "leaves", "node": None, **{key: entry[key] for key in ("from", "cause", "why")}}
            reasons.setdefault(f"{entry['service']}.{entry['slot']}", leaves)
    return {
        "placements": placements,
        "unplaced": unplaced,
        "moves": moves,
        "reasons": reasons,
        "warnings": sorted(set(state.warnings)),
    }


def _places(state: State) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The placements with what they hold, and why each is where it is."""
    why, kept = Reasons(state), {name for name, _slot in state.kept}
    staying: dict[str, dict[str, Any]] = why.staying() if state.request.current else {}
    stays = staying.__getitem__
    names: list[str] = []  # one column for each part of all placements
    slots: list[Slot] = []
    ends: list[str] = []
    hosts: list[str] = []
    told: list[dict[str, Any]] = []
    start: dict[str, int] = {}
    for name in state.places.names:
        group = state.places.whole.get(name)
        known = (group.slots, group.hosts) if group else why.together(state.services[name])
        own, places = known or _sorted(state.places[name], name in kept)
        start[name] = len(names)
        names += [name] * len(own)
        slots += own
        ends += why.ends(own)
        hosts += places
        if name in state.facts.batches or (not group and (name in state.facts.services or name in kept)):
            told += why.tell(state.services[name], own)
        else:
            told += map(stays, places)
    placements = [{"service": name, "slot": slot, "node": host} for name, slot, host in zip(names, slots, hosts)]
    reasons = dict(zip(map(add, names, ends), told))
    for name in {name for name, _slot in state.grants}:
        for placement in placements[start[name] : start[name] + state.places.number(name)]:
            _grant(state, placement)
    return placements, reasons


def _sorted(places: dict[Slot, Node], mixed: bool) -> tuple[list[Slot], list[str]]:
    """The slots and their hosts. mixed: there may be text beside numbers."""
    slots = sorted(places, key=slot_key) if mixed else sorted(places)
    return slots, [node.name for node in map(places.__getitem__, slots)]


def _grant(state: State, placement: dict[str, Any]) -> None:
    """Add what the replica holds on its host: ports of ranges, devices or parts of them."""
    grant = state.grants.get((placement["service"], placement["slot"]))
    if grant is None:
        return
    if grant.ports:
        placement["ports"] = {text: port.port for text, port in sorted(grant.ports)}
    for dimension, name, part in sorted(grant.devices):
        kind = placement.setdefault("devices", {}).setdefault(state.request.dimensions[dimension], {})
        kind[name] = part / SHARE


def _moves(state: State) -> list[dict[str, Any]]:
    moved = [
        {
            "service": name,
            "slot": slot,
            "from": out.node,
            "to": to.name,
            "cause": out.cause,
            "why": out.why,
            "cost": STATEFUL if state.services[name].stateful else STATELESS,
        }
        for (name, slot), out in state.evicted.items()
        for to in [state.at((name, slot))]
        if to is not None and to.name != out.node
    ]
    return sorted([*moved, *state.surplus], key=lambda move: (*_order(move), move["from"]))
