# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Explaining single replicas when asked: what each filter removed, how the chosen host and the runner-up compare, how
far the nearest hosts are from taking it, and the smallest change that would admit it. Worked out after the plan."""

from __future__ import annotations

from typing import Any

from .filters import FILTERS, Failure
from .gates import Rules
from .model import Key, Node, Service, Slot
from .order import Order
from .packing import Packing
from .smallest import Misses, Smallest
from .state import State
from .strategies import STRATEGIES, WORDS, Rank, Ranker, leaning, share_after

NEAREST = 3
Waiting = dict[Key, list[Node]]  # no home although there is room: the hosts that may have it; [] for a job in line


def explain(state: State, rules: Rules, reasons: dict[str, dict[str, Any]], waiting: Waiting) -> dict[str, Any]:
    """{service.slot: {decision, node, filters, candidates, why}} of what options.explain names; nearest,
    smallest_change (in words) and changes (as data) too where there is no home."""
    found: dict[str, Any] = {}
    for name in state.request.options.explain:
        told = reasons.get(name)
        owner = next((one for one in _owners(state, name)), None)
        if owner is None:
            nothing: dict[str, Any] = {"decision": "absent", "node": None, "filters": [], "candidates": []}
            found[name] = {**nothing, "why": f"{name} is not wanted"}
        else:
            found[name] = _one(state, rules, *owner, told or {})
            key = (owner[0].name, owner[1])
            if key in waiting:
                found[name].update(_in_line(state, key, waiting[key], found[name]))
    return found


def _owners(state: State, name: str) -> list[tuple[Service, Slot]]:
    """The services whose slot a name may be, the longest name first: names may have dots."""
    found: list[tuple[Service, Slot]] = []
    for service in sorted(state.request.services, key=lambda one: -len(one.name)):
        slot = name[len(service.name) + 1 :]
        if name.startswith(f"{service.name}."):
            if service.everywhere and slot in state.by_name:
                found.append((service, slot))
            elif not service.everywhere and slot.isdigit() and 0 < int(slot) <= service.replicas:
                found.append((service, int(slot)))
    return found


def _one(state: State, rules: Rules, service: Service, slot: Slot, told: dict[str, Any]) -> dict[str, Any]:
    key, node = (service.name, slot), state.at((service.name, slot))
    counted = node is not None and not (rules.filters.unknown >> node.index & 1)
    held = state.held.get((key, node.name)) if node is not None else None
    if node is not None and counted:
        state.remember(key, node)
        state.remove(service, slot)
    misses: Misses = []
    able: list[Node] = []
    gates = rules.gates(service)
    nodes = [state.by_name[str(slot)]] if service.everywhere else list(state.nodes)
    for one in nodes:
        failures = [*rules.filters.failures(service, one), *gates.failures(one)]
        if failures:
            misses.append((one, failures))
        else:
            able.append(one)
    result: dict[str, Any] = {"decision": told.get("decision", "unplaced"), "node": node.name if node else None}
    result["filters"] = _filters(misses)
    result["candidates"] = _candidates(rules, service, node, able)
    result["why"] = told.get("why") or _not_wanted(misses)
    if node is None:
        near = sorted(misses, key=_distance)[:NEAREST]
        result["nearest"] = [{"node": one.name, "misses": [_miss(each) for each in failures]} for one, failures in near]
        result["changes"], result["smallest_change"] = [], "none: plan again"
        if not able:
            result["changes"], result["smallest_change"] = Smallest(rules, service, gates).find(misses)
    elif counted:
        state.place(service, slot, node)
        state.held.pop((key, node.name))
        if held is not None:
            state.held[(key, node.name)] = held
    return result


def _not_wanted(misses: Misses) -> str:
    """Why a global service has no slot on a host: it is not missed there."""
    told = [failures[0].on(node) for node, failures in misses]
    return f"none is wanted there: {told[0]}" if told else ""


def _filters(misses: Misses) -> list[dict[str, Any]]:
    """Per filter, the hosts that it was the first to remove, and why, by the first of them."""
    found: dict[str, dict[str, Any]] = {}
    for node, failures in misses:
        first = failures[0]
        entry = found.setdefault(first.filter, {"filter": first.filter, "removed": [], "why": first.on(node)})
        entry["removed"].append(node.name)
    return [found[name] for name in FILTERS if name in found]


def _candidates(rules: Rules, service: Service, chosen: Node | None, able: list[Node]) -> list[dict[str, Any]]:
    """The chosen host and the runner-up, as things would be without the replica."""
    state, dislike = rules.state, rules.filters.dislike(service)
    if service.strategy == "binpack":
        rank = _packed(rules, service)
    else:
        pull = rules.relations.pull(service) if service.affinities else {}
        rank = leaning(STRATEGIES[service.strategy](state, service), dislike, pull, counted=True)
    others = sorted((node for node in able if node is not chosen), key=rank)[: 1 if chosen else 2]
    return [_scored(state, service, node, rank) for node in ([chosen] if chosen else []) + others]


def _packed(rules: Rules, service: Service) -> Ranker:
    """Of binpack: hosts with little that only others need first, opened ones first, then those whose room suits it."""
    packing = rules.packing
    if packing is None:
        packing = Packing(rules.state, rules.filters, Order(rules.state, rules.filters, rules.relations), {})
    waste, fit = packing.waste(packing.need(service)[1], service), packing.rank(service)
    opened = {node.index for tier in packing.tiers(service) for node in tier.open}

    def rank(node: Node) -> Rank:
        closed = node.index not in opened if opened else not node.count
        return (waste.get(node.index, 0), int(closed), *fit(node))

    return rank


def _scored(state: State, service: Service, node: Node, rank: Ranker) -> dict[str, Any]:
    here = state.counts[service.name].get(node.index, 0)
    score = {
        "replicas_here": here,
        "used_permille": node.share // 1000,
        "used_after_permille": share_after(service, node) // 1000,
        "replicas_of_all": node.count,
    }
    used = f"{score['used_permille'] // 10} % used, {score['used_after_permille'] // 10} % with it"
    if service.strategy == "binpack":
        score["needed_by_others_only"], closed, misfit = rank(node)[:3]
        score["opened"], score["misfit_permille"] = 1 - closed, abs(misfit) // 1000
        used += ", not opened" if closed else f", its room is {score['misfit_permille']} permille off"
    words = f"{node.name}: {here} of it here, {used} ({WORDS[service.strategy]})"
    return {"node": node.name, "score": score, "words": words}


def _distance(miss: tuple[Node, list[Failure]]) -> tuple[int, int, int, int]:
    node, failures = miss
    depth = len(FILTERS) - min(FILTERS.index(one.filter) for one in failures)
    return (len(failures), depth, max(one.distance for one in failures), node.index)


def _miss(failure: Failure) -> dict[str, str]:
    return {"filter": failure.filter, "needs": failure.needs, "has": failure.has, "words": failure.words}


def _in_line(state: State, key: Key, suspects: list[Node], told: dict[str, Any]) -> dict[str, Any]:
    """The smallest change for what has no home for another reason than room."""
    change: dict[str, Any] = {"what": "concurrent", "service": key[0], "to": _turn(state, key)}
    words = f"wait until others of {key[0]} are done, or let {change['to']} run at once"
    if suspects:
        names = [node.name for node in suspects]
        change = {"what": "assume_lost", "nodes": names}
        words = f"wait until {' and '.join(names)} answered, or give up what is dead (stowage_assume_lost)"
        if key[1] == names[0]:
            return {"changes": [], "smallest_change": f"wait until {names[0]} answers"}
    if not told["changes"]:
        return {"changes": [change], "smallest_change": words}
    return {"changes": [change, *told["changes"]], "smallest_change": f"{words}; and {told['smallest_change']}"}


def _turn(state: State, key: Key) -> int:
    """How many must run at once for a slot of a job to be among them."""
    service, placed = state.services[key[0]], state.places[key[0]]
    before = [slot for slot in range(1, service.replicas + 1) if slot not in placed and slot <= int(key[1])]
    return len(placed) + len(before)
