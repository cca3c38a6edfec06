# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why: sentences and numbers for every replica, whether it got a place or not."""

from __future__ import annotations

from typing import Any

from .conflict import conflict
from .filters import CONCURRENT, FILTERS, RESOURCES, UNKNOWN, Failure, distance
from .gates import Rules
from .model import SHARE, Eviction, Key, Node, Service, Slot
from .state import Batch, Facts, State
from .strategies import WORDS

Nearest = tuple[int, int, int, int]


class Reasons:
    """Why each placed replica is where it is: {decision: stays|new|moves, node, why, ...numbers}."""

    def __init__(self, state: State) -> None:
        """Over the final state."""
        self.state = state
        self._ends: list[str] = []  # of slots from 1

    def stays(self, node: Node) -> dict[str, Any]:
        """The reason of what runs on a host and still suits it: one value for all of them."""
        return _stays(node, f"runs on {node.name}, which still suits it")

    def staying(self) -> dict[str, dict[str, Any]]:
        """stays() of every host that has replicas or had some, by name."""
        return {
            name: {
                "decision": "stays",
                "node": name,
                "why": f"runs on {name}, which still suits it",
                "used_permille": node.share * 1000 // SHARE,
            }
            for node in self.state.nodes
            for name in [node.name]
        }

    def ends(self, slots: list[Slot]) -> list[str]:
        """What follows the service's name in the names of its replicas. slots: sorted."""
        many = len(slots)
        if not many or slots[-1] != many or slots[0] != 1:
            return [f".{slot}" for slot in slots]
        if many > len(self._ends):
            self._ends += [f".{slot}" for slot in range(len(self._ends) + 1, many + 1)]
        return self._ends[:many]

    def together(self, service: Service) -> tuple[list[Slot], list[str]] | None:
        """The slots and hosts of a service whose replicas are all new and have no story; None if any may have one."""
        batch = self.state.facts.batches.get(service.name)
        if batch is None or self.state.evicted or service.volumes:
            return None
        whole = len(batch.slots) == self.state.places.number(service.name)
        return (batch.slots, batch.hosts[: len(batch.slots)]) if whole else None

    def tell(self, service: Service, slots: list[Slot]) -> list[dict[str, Any]]:
        """The reasons of all replicas of a service."""
        batch = self.state.facts.batches.get(service.name)
        if batch is None or self.together(service) is None:
            places = self.state.places[service.name]
            return [self.of(service, slot, places[slot]) for slot in slots]
        found = self._batch(service, batch)
        if len(batch.hosts) == len(batch.slots):
            found[-1] = self.of(service, slots[-1], self.state.by_name[batch.hosts[-1]])
        return found

    def _batch(self, service: Service, batch: Batch) -> list[dict[str, Any]]:
        """What of() says of replicas that are new and have no story, all of a service at once: most of a first plan."""
        strategy, room, hosts = service.strategy, batch.room, batch.hosts
        words = f": {WORDS[strategy]} of {room} hosts compared (0 of it here before"
        used = [share // 10000 for share in batch.shares]
        told = {percent: f"{words}, {percent} % used after; next " for percent in set(used)}
        if not service.demands:
            told = dict.fromkeys(told, f"{words}; next ")
        return [
            {
                "decision": "new",
                "node": host,
                "why": f"{host}{told[percent]}{following})",
                "strategy": strategy,
                "hosts_compared": room,
                "runner_up": following,
                "replicas_here_before": 0,
                "used_permille": share // 1000,
            }
            for host, following, share, percent in zip(hosts[: len(batch.slots)], [*hosts[1:], ""], batch.shares, used)
        ]

    def of(self, service: Service, slot: Slot, node: Node) -> dict[str, Any]:
        """The reason of one replica."""
        key = (service.name, slot)
        facts = self.state.facts.get(key)
        if facts is None:
            return _stays(node, self.state.kept[key]) if key in self.state.kept else self.stays(node)
        why = _choice(service, node, facts)
        reason: dict[str, Any] = {"decision": "new", "node": node.name}
        eviction = self.state.evicted.get(key)
        if eviction is not None:
            reason = {"decision": "moves", "node": node.name, "from": eviction.node, "cause": eviction.cause}
            why = f"{eviction.why}; to {why}"
        reason["why"], reason["strategy"] = why, service.strategy
        reason["hosts_with_room" if facts.all else "hosts_compared"] = facts.room
        if facts.next:
            reason["runner_up"] = facts.next
        reason["replicas_here_before"], reason["used_permille"] = facts.before, facts.share // 1000
        return reason


def _stays(node: Node, why: str) -> dict[str, Any]:
    return {"decision": "stays", "node": node.name, "why": why, "used_permille": node.share * 1000 // SHARE}


def _choice(service: Service, node: Node, facts: Facts) -> str:
    if service.everywhere:
        return f"{node.name}: one on every matching host"
    if service.volumes:
        made = [volume for volume in service.volumes if volume not in node.volumes]
        what = f"its new volume {', '.join(made)} is made" if made else f"its volume {', '.join(service.volumes)} is"
        return f"{node.name}: where {what}"
    if facts.all and facts.room == 1:
        return f"{node.name}: the only host with room"
    kind = "with room" if facts.all else "compared"
    used = f", {facts.share // 10000} % used after" if service.demands else ""
    following = f"; next {facts.next}" if facts.next else ""
    what = f"{WORDS[service.strategy]} of {facts.room} hosts {kind}"
    return f"{node.name}: {what} ({facts.before} of it here before{used}{following})"


def held_entry(key: Key, suspects: list[Node]) -> dict[str, Any]:
    """The unplaced entry of a slot that may run on hosts that did not answer."""
    names = [node.name for node in suspects]
    if key[1] == names[0]:
        why = f"{key[0]} on {names[0]}: {names[0]} did not answer, so it is unknown whether it runs"
    else:
        where = ", ".join(names[:5]) + (f" or {len(names) - 5} more" if len(names) > 5 else "")
        why = f"{key[0]}.{key[1]} may run on {where}, not seen now, and is not started twice; if lost: assume_lost"
    return {"service": key[0], "slot": key[1], "rejected": {UNKNOWN: names}, "why": why}


def waiting_entry(state: State, key: Key) -> dict[str, Any]:
    """The unplaced entry of a job's slot that starts when others are done."""
    most = state.services[key[0]].concurrent
    why = f"{key[0]}.{key[1]} waits: {most} of {key[0]} run at once"
    rejected = {CONCURRENT: [node.name for node in state.nodes]}
    return {"service": key[0], "slot": key[1], "rejected": rejected, "why": why}


class Explainer:
    """Explains what found no place, once per kind of service: all of a kind met the same hosts."""

    def __init__(self, state: State, rules: Rules) -> None:
        """Over the final state: what is used then is what keeps it out."""
        self.state, self.rules = state, rules
        self._told: dict[object, tuple[dict[str, list[str]], str]] = {}

    def entry(self, key: Key) -> dict[str, Any]:
        """The unplaced entry: {service, slot, rejected {filter: [hosts]}, why}, and `from` if it had a place."""
        service = self.state.services[key[0]]
        if service.everywhere:
            rejected, why = self._explain(service, [self.state.by_name[str(key[1])]])
        else:
            kind = self._kind(service)
            if kind not in self._told:
                self._told[kind] = self._explain(service, list(self.state.nodes))
            rejected, why = self._told[kind]
        why = f"{service.name}{why}"
        entry: dict[str, Any] = {"service": key[0], "slot": key[1]}
        eviction: Eviction | None = self.state.evicted.get(key)
        if eviction is not None:
            entry["from"] = eviction.node
            if eviction.cause == "preempted":
                entry["cause"] = eviction.cause
            why = f"{why}; it must leave {eviction.node}: {eviction.why}"
        return {**entry, "rejected": {name: list(hosts) for name, hosts in rejected.items()}, "why": why}

    def _kind(self, service: Service) -> object:
        signature = self.rules.gates(service).signature()
        return (signature, service.constraints, service.hosts, service.tolerations) if signature else service.name

    def _explain(self, service: Service, nodes: list[Node]) -> tuple[dict[str, list[str]], str]:
        """The hosts by the filter that rejected them first, and the sentence that follows the service's name."""
        rejected: dict[str, list[str]] = {}
        misses: dict[str, tuple[Nearest, Node, list[Failure]]] = {}
        filters, gates = self.rules.filters, self.rules.gates(service)
        nearest_short = -1
        short: set[int] = set()
        if gates.plain:
            short, nearest_short = _short(service, nodes, filters.flags(filters.open(service)))
        for node in nodes:
            if node.index in short and node.index != nearest_short:
                rejected.setdefault(RESOURCES, []).append(node.name)
                continue
            failures = [*filters.failures(service, node), *gates.failures(node)]
            if not failures:
                continue
            rejected.setdefault(failures[0].filter, []).append(node.name)
            worst = max(failure.distance for failure in failures)
            depth = len(FILTERS) - FILTERS.index(failures[0].filter)
            nearest = (len(failures), depth, worst, node.index)
            kind = failures[0].filter
            if kind not in misses or nearest < misses[kind][0]:
                misses[kind] = (nearest, node, failures)
        ordered = {name: rejected[name] for name in FILTERS if name in rejected}
        text = self._sentence(nodes, ordered, [misses[kind] for kind in ordered])
        if nodes and not filters.open(service):
            extra = [("an active host that answers", filters.active)]
            homes = filters.state.homes
            extra += [(f"its volume {name}", homes[name]) for name in service.volumes if name in homes]
            told = conflict(service, self.state.nodes, self.state.request.dimensions, filters.constraint, extra)
            text += f"; {told}" if told else ""
        return ordered, text

    def _sentence(
        self,
        nodes: list[Node],
        rejected: dict[str, list[str]],
        misses: list[tuple[Nearest, Node, list[Failure]]],
    ) -> str:
        if not nodes:
            return ": the fleet has no hosts"
        if not misses:
            return ": nothing keeps it out any more, plan again"
        near = sorted(misses, key=lambda one: one[0])[:2]
        shown = [_all(node, failures) for _nearest, node, failures in near]
        text = f" on {near[0][1].name}: {_words(near[0][2])}"
        if len(shown) > 1:
            text += f"; next nearest {shown[1]}"
        if len(nodes) > 1:
            counts = ", ".join(f"{name} {len(hosts)}" for name, hosts in rejected.items())
            text += f"; none of {len(nodes)} hosts fits ({counts})"
        return text


def _short(service: Service, nodes: list[Node], legal: bytes) -> tuple[set[int], int]:
    """The hosts that only lack amounts, and the nearest one; most hosts of a full fleet do, so no words are made."""
    found: list[int] = []
    nearest, demands = (1 << 30, 0, -1), service.demands
    for node in nodes:
        if legal[node.index]:
            free, short, worst = node.free, 0, 0
            for at, part in demands:
                left = free[at]
                if part > left:
                    short += 1
                    far = distance(part, left if left > 0 else 0, node.capacity[at])
                    if far > worst:  # noqa: PLR1730  (max() doubles the time)
                        worst = far
            if short:
                found.append(node.index)
                if short <= nearest[0]:
                    nearest = min(nearest, (short, worst, node.index))
    return set(found), nearest[2]


def _all(node: Node, failures: list[Failure]) -> str:
    return failures[0].on(node) if len(failures) == 1 else f"{node.name} {_words(failures)}"


def _words(failures: list[Failure]) -> str:
    shown = " and ".join(failure.words for failure in failures[:3])
    return f"{shown} and {len(failures) - 3} more" if len(failures) > 3 else shown
