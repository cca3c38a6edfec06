# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bulk: all missing replicas of a service at once, each on a host of its own, the least loaded ones after placing.

This is what `spread` means as long as enough hosts have none of the service, and it is most of every large plan. What
needs more thought (a second replica on a host, wishes towards others, nested preferences) is left to the tree.
"""

from __future__ import annotations

from typing import NamedTuple

from .contest import Contest
from .domains import NONE, flags
from .filters import Usable
from .gates import Gates, Rules
from .model import SHARE, Affinity, Group, Node, Service, Slot
from .ports import Port
from .quota import Quota, enough, even, share_out
from .ranked import BITS, LOW, Ranked
from .state import Batch, State
from .strategies import share_after

SMALL = 64  # hosts that the tree scores whole
MOST_DOMAINS = 32
FIRST = (1.1, 2)  # candidates for each replica, and beside: for the first half of a plan's replicas
SECOND = (1.5, 8)  # and for the second, which levels out what the first left uneven
LEAN = 0.9  # of what a replica weighs on a host is added to its load: this many do although small hosts fill up sooner
AGAIN = 0.5  # of the hosts got something: sort anew, what is placed now is smaller
HOST = "node.hostname"
NO_COUNTS: dict[int, int] = {}


class Wish(NamedTuple):
    """What a wish towards others leaves: hosts, or an order of the quota's domains (the lowest first)."""

    hosts: int
    leans: dict[int, int]


class Bulk:
    """Places whole services over one run."""

    def __init__(self, state: State, rules: Rules, pending: int) -> None:
        """pending: replicas that miss a place."""
        self.state, self.rules, self.filters = state, rules, rules.filters
        self.left = pending // 2  # of the first half
        self._ranked: dict[int, Ranked] = {}
        self._known: dict[Usable, Ranked] = {}  # the same, of services that need nothing special
        self._domains: dict[tuple[Usable, tuple[str, ...], str], list[int]] = {}
        self._classes: list[int] = []  # per host, which of the shapes it has
        self._shapes: list[tuple[int, ...]] = []  # distinct capacities
        self._units: list[list[float]] = []
        self._contest: Contest | None = None
        self.loads = [node.share << BITS | node.index for node in state.nodes]
        self.frees = [node.free for node in state.nodes]
        self.names = [node.name for node in state.nodes]

    def place(self, service: Service, slots: list[Slot], gates: Gates) -> bool:
        """Place all these slots; False if that is not as simple, then none is placed."""
        if service.strategy != "spread" or len(service.preferences) > 1 or not slots:
            return False
        ranked = self._members(service)
        if len(ranked.members) <= max(SMALL, len(slots)):
            return False
        quota = None
        if gates.counters or service.preferences:
            fine, quota = self._quota(service, gates, len(slots))
            if not fine:
                return False
        wishes = [one for one in service.affinities if not one.required]
        wish = Wish(self.filters.all, {}) if not wishes else self._wish(service, wishes, quota)
        if wish is None:
            return False
        search = Search(self, self._sorted(ranked, service, len(slots)), service, gates)
        search.most = self.most(len(slots))
        search.run(self._allowed(gates, wish), quota, len(slots))
        found, refused = search.found, search.refused
        found.sort()
        if wish.leans and quota is not None:
            ids, leans = quota.ids, wish.leans
            found.sort(key=lambda entry: leans.get(ids[entry & LOW], 0))
        chosen, rest = (
            (found[: len(slots)], found[len(slots) :]) if quota is None else share_out(found, quota, len(slots))
        )
        ranked.back(refused, rest if len(chosen) == len(slots) else found)
        if len(chosen) < len(slots):
            return False
        names = self._commit(service, slots, chosen, gates)
        ranked.enter([entry & LOW for entry in chosen])
        shares = [entry >> BITS for entry in chosen]
        following = [self.names[entry & LOW] for entry in rest[:1]]
        self.state.facts.batch(service.name, Batch(slots, names + following, shares, len(found)))
        return True

    def _members(self, service: Service) -> Ranked:
        """The hosts that may take the service and have no taint that it dislikes."""
        usable = self.filters.usable(service)
        special = service.volumes or service.classes or (len(service.demands) > 1 and service.demands[-1][0] > 1)
        known = None if special else self._known.get(usable)
        if known is not None:
            return known
        mask = self.filters.open(service)
        if self.filters.soft:
            mask &= self.filters.liked(service)
        if special:
            mask &= self.filters.equipped(service)
        ranked = self._ranked.get(mask)
        if ranked is None:
            ranked = self._ranked[mask] = Ranked(self.loads, [node.index for node in self.filters.nodes(mask)])
        if not special:
            self._known[usable] = ranked
        return ranked

    def _quota(self, service: Service, gates: Gates, wanted: int) -> tuple[bool, Quota | None]:
        """Whether its count rules and preferences can be met by dividing it over the domains of one key, and how."""
        limits = [
            one
            for one in gates.limits
            if not (one.rule.kind == "max_per" and one.rule.key == HOST and self._distinct())
        ]
        keys = {*service.preferences, *(one.rule.key for one in gates.balance), *(one.rule.key for one in limits)}
        if not keys:
            return True, None
        if len(keys) > 1 or (limits and len(keys) + len(limits) + len(gates.balance) + len(service.preferences) > 2):
            return False, None
        if any(one.scarce for one in gates.balance) or any(one.rule.kind != "max_per" for one in limits):
            return False, None
        (key,) = keys
        domains = self._domains_of(service, key)
        if not domains:
            return False, None
        ids = self.filters.domains.of(key)
        tally = (
            self.filters.domains.tally(key, self.state.counts[service.name])
            if self.state.places.any(service.name)
            else {}
        )
        level = [0] * (domains[-1] + 1)
        for domain, count in tally.items():
            if domain < len(level):
                level[domain] = count
        if limits:
            base = [max(0, limits[0].rule.number - one) for one in level]
            return True, Quota(key, ids, base, level, [False] * len(level), 0, False)
        return True, even((key, ids), domains, level, wanted)

    def _distinct(self) -> bool:
        """True if no two hosts have the same hostname."""
        return len(self.filters.domains.names(HOST)) == len(self.state.nodes)

    def _domains_of(self, service: Service, key: str) -> list[int]:
        """The domains of its hosts, ascending; none if a host lacks the key or if they are too many."""
        place = (self.filters.usable(service), service.volumes, key)
        known = self._domains.get(place)
        if known is None:
            ids = self.filters.domains.of(key)
            found = sorted({ids[node.index] for node in self.filters.nodes(self.filters.open(service))})
            known = found if found and found[0] != NONE and len(found) <= MOST_DOMAINS else []
            if not service.volumes:  # where they are may change
                self._domains[place] = known
        return known

    def _wish(self, service: Service, wishes: list[Affinity], quota: Quota | None) -> Wish | None:
        """What one wish towards others comes to while no host has two of the service; None if that is not clear."""
        if len(wishes) > 1:
            return None
        (one,) = wishes
        hosts = self.rules.relations.hosts_of(one)
        if not hosts:
            return Wish(self.filters.all, {})
        if service.name in self.rules.relations.targets(one):
            return None
        if quota is not None and quota.key == one.domain:
            ids = quota.ids
            return Wish(self.filters.all, {ids[at]: 1 if one.anti else -1 for at in hosts})
        if one.anti:
            return Wish(self.filters.all & ~self.rules.relations.around(one.domain, hosts), {})
        near = self.rules.relations.around(one.domain, hosts)
        return Wish(near, {}) if quota is None else None

    def _allowed(self, gates: Gates, wish: Wish) -> bytes:
        """One byte per host, 0 where affinities and wishes keep the service away; empty if they say nothing."""
        reach = gates.reach & wish.hosts
        return b"" if reach == self.filters.all else flags(reach, len(self.state.nodes))

    def most(self, wanted: int) -> int:
        """How many candidates to look at for so many replicas."""
        over, more = FIRST if self.left > 0 else SECOND
        return int(wanted * over) + more

    def _sorted(self, ranked: Ranked, service: Service, wanted: int) -> Ranked:
        if len(ranked.base) < self.most(wanted) or len(ranked.heap) > len(ranked.members) * AGAIN:
            ranked.sort(self._leans(service))
        return ranked

    def _leans(self, service: Service) -> list[int]:
        """Per host, what one replica of the service weighs there, as part of an entry."""
        if not self._classes:
            shapes: dict[tuple[int, ...], int] = {}
            self._classes = [shapes.setdefault(tuple(node.capacity), len(shapes)) for node in self.state.nodes]
            self._shapes = list(shapes)
        weights = [
            int(max([part * SHARE / (shape[at] or 1) for at, part in service.demands], default=0) * LEAN) << BITS
            for shape in self._shapes
        ]
        return [weights[kind] for kind in self._classes]

    def units(self) -> list[list[float]]:
        """By dimension and host, the part of SHARE that one unit is."""
        if not self._units:
            dimensions = range(len(self.state.request.dimensions))
            distinct = {part for node in self.state.nodes for part in node.capacity}
            unit = {part: SHARE / (part or 1) for part in distinct}  # few numbers, so that they stay near the processor
            self._units = [[unit[node.capacity[at]] for node in self.state.nodes] for at in dimensions]
        return self._units

    def contested(self, ports: tuple[Port, ...]) -> bool:
        """True if anything but the one service may have bound one of its ports on some host."""
        if self._contest is None:
            self._contest = Contest(self.state)
        return any(map(self._contest.over, ports))

    def touch(self, node: Node) -> None:
        """Tell that somebody else placed something on a host."""
        self.loads[node.index] = node.share << BITS | node.index

    def _commit(self, service: Service, slots: list[Slot], chosen: list[int], gates: Gates) -> list[str]:
        """Place the replicas on the chosen hosts: State.place() for all, where only ports are granted. Their names."""
        state, name = self.state, service.name
        positions = [entry & LOW for entry in chosen]
        homes = [*map(state.nodes.__getitem__, positions)]
        hosts = [*map(self.names.__getitem__, positions)]
        state.cursor = positions[-1] + 1
        self.left -= len(slots)
        if not gates.lean:
            for slot, node in zip(slots, homes):
                state.place(service, slot, node)
                self.touch(node)
            return hosts
        if name in state.counts:  # else nobody asked so far: see Counts
            state.counts[name].update(dict.fromkeys(positions, 1))
        if state.places.any(name):
            state.places[name].update(zip(slots, homes))
        else:
            state.places.seat(name, Group(slots, hosts, True), positions)
        for node in homes if service.ports else ():
            node.bind(service.ports)
        self._use(service, chosen, homes)
        return hosts

    def _use(self, service: Service, chosen: list[int], homes: list[Node]) -> None:
        """Take what the replicas demand from their hosts."""
        loads, demands = self.loads, service.demands
        if len(demands) == 2:
            (one, part), (other, piece) = demands
            for entry, node in zip(chosen, homes):
                free = node.free
                free[one] -= part
                free[other] -= piece
                node.count += 1
                node.share = entry >> BITS
                loads[entry & LOW] = entry
            return
        for entry, node in zip(chosen, homes):
            for dimension, part in demands:
                node.free[dimension] -= part
            node.count += 1
            node.share = entry >> BITS
            loads[entry & LOW] = entry


class Search:
    """Looks for candidates for one service."""

    def __init__(self, bulk: Bulk, ranked: Ranked, service: Service, gates: Gates) -> None:
        """None found yet."""
        self.loads, self.frees = bulk.loads, bulk.frees
        self.nodes, self.ranked, self.service, self.gates = bulk.state.nodes, ranked, service, gates
        self.units, self.most = bulk.units(), 0
        self.contested = bool(service.ports) and bulk.contested(service.ports)
        self.found: list[int] = []  # share after placing << BITS | position
        self.refused: list[int] = []  # entries
        self.counts = bulk.state.counts[service.name] if bulk.state.places.any(service.name) else NO_COUNTS

    def run(self, allowed: bytes, quota: Quota | None, wanted: int) -> None:
        """Find enough candidates, a few more than are wanted, or all that there are."""
        counts, most = self.counts, self.most
        judge = self._plain if self.gates.lean and len(self.service.demands) == 2 else self._judge
        while True:
            chunk = self.ranked.take(most)
            if not chunk:
                return
            if counts:
                self.refused += [entry for entry in chunk if entry & LOW in counts]
                chunk = [entry for entry in chunk if entry & LOW not in counts]
            if allowed:
                self.refused += [entry for entry in chunk if not allowed[entry & LOW]]
                chunk = [entry for entry in chunk if allowed[entry & LOW]]
            judge(chunk)
            if len(self.found) >= wanted and (quota is None or enough(self.found, quota, wanted)):
                return

    def _plain(self, chunk: list[int]) -> None:
        """Judge hosts by two plain amounts: the innermost loop of a plan."""
        loads, frees, lean, found, refused = self.loads, self.frees, self.ranked.lean, self.found, self.refused
        (one, part), (other, piece) = self.service.demands
        unit, measure, wrong = self.units[one], self.units[other], []
        for entry in chunk:
            at = entry & LOW
            load = loads[at]
            if load + lean[at] != entry:
                wrong.append(at)
                continue
            free = frees[at]
            share, less = (free[one] - part) * unit[at], (free[other] - piece) * measure[at]
            if less < share:  # noqa: PLR1730  (min() doubles the time)
                share = less
            if share < 0:
                refused.append(entry)
                continue
            after = (SHARE - int(share)) << BITS | at
            found.append(after if after > load else load)
        self.ranked.enter(wrong)
        if self.contested:
            self._unbound()

    def _unbound(self) -> None:
        """Refuse those found that have one of the service's ports bound."""
        nodes, loads, lean, ports = self.nodes, self.loads, self.ranked.lean, self.service.ports
        bound = {entry for entry in self.found if any(map(nodes[entry & LOW].takes, ports))}
        if bound:
            self.refused += [loads[at] + lean[at] for at in [entry & LOW for entry in self.found if entry in bound]]
            self.found = [entry for entry in self.found if entry not in bound]

    def _judge(self, chunk: list[int]) -> None:
        """Judge hosts by any test."""
        nodes, loads, lean, fits, service = self.nodes, self.loads, self.ranked.lean, self.gates.solid, self.service
        wrong = []
        for entry in chunk:
            at = entry & LOW
            if loads[at] + lean[at] != entry:
                wrong.append(at)
            elif not fits(nodes[at]):
                self.refused.append(entry)
            else:
                self.found.append(share_after(service, nodes[at]) << BITS | at)
        self.ranked.enter(wrong)
