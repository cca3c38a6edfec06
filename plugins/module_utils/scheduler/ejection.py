# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ejection: a few residents of one host find another home, and a replica without one takes their room.

A replica that ran and lost its host is worth more: who makes room for it may itself take the room of others (a chain).
Hosts where even all who can leave would not leave room enough are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from .gates import Gates
from .model import Node, Service, Slot
from .mover import UNIT, Mover, Resident
from .state import Facts

REPAIR = "repair"
STEPS = 1000  # for one replica
MOST_SMALL = 12  # residents of which pairs and more are tried
Lift = tuple[Service, Slot, Node, str]  # who left which host, and for whom


class Ejection:
    """The search of one plan."""

    def __init__(self, mover: Mover, most: int) -> None:
        """most: residents that are moved for one replica."""
        self.mover, self.most = mover, most
        self.least = 0  # steps that are kept for others
        self.needs: dict[str, dict[int, int]] = {}
        self.lifts: list[Lift] = []  # of the try under way
        self.puts: list[Resident] = []

    def admit(self, service: Service, slot: Slot, gates: Gates) -> bool:
        """Place one replica by moving a few others; False if no way to do so was found."""
        mover = self.mover
        if mover.steps <= 0:
            return False
        if not mover.whole(service):
            return False
        ran = (service.name, slot) in mover.state.evicted
        open_hosts = mover.rules.filters.nodes(mover.rules.filters.open(service))
        if not ran and not any(mover.able(service, node) for node in open_hosts):
            return False
        self.least = max(0, mover.steps - STEPS)
        hosts = mover.near(service, slot, gates)
        for node in hosts:  # earlier repairs may have made room
            if gates.fits(node):
                mover.put(service, slot, node)
                self._arrived(service, slot, node)
                return True
        chains = range(1, self.most) if ran else ()
        return self._plainly(service, slot, hosts) or any(
            self._on(service, slot, node, count, self.most - count) for count in chains for node in hosts
        )

    def _plainly(self, service: Service, slot: Slot, hosts: list[Node]) -> bool:
        """Place it instead of residents of one host that find room elsewhere as things are."""
        able = []
        for node in hosts:
            if self.mover.able(service, node):
                able.append(node)
                if self._on(service, slot, node, 1, 0):
                    return True
        return any(self._on(service, slot, node, count, 0) for count in range(2, self.most + 1) for node in able)

    def _arrived(self, service: Service, slot: Slot, node: Node) -> None:
        self.mover.state.facts[(service.name, slot)] = Facts(1, False, "", 0, node.share)
        self.mover.followers.note(service)
        self.mover.settled()

    def _on(self, service: Service, slot: Slot, node: Node, count: int, deeper: int) -> bool:
        """Place it on a host instead of so many others. deeper: moves that may follow from theirs."""
        mover = self.mover
        residents = mover.movable(node) if deeper else mover.displaceable(node)
        mover.steps -= count > 1  # there are many choices then
        for chosen in self._choices(service, node, residents, count):
            if mover.steps <= self.least:
                return False
            self.lifts, self.puts = [], []
            if self._swap((service, slot), node, chosen, deeper):
                for one, number, before, whom in self.lifts:
                    mover.moved(one, number, before, REPAIR, f"makes room on {before.name} for {whom}")
                self._arrived(service, slot, node)
                return True
        return False

    def _swap(self, comer: Resident, node: Node, chosen: Sequence[Resident], deeper: int) -> bool:
        """Put one in the place of the chosen ones, if each of those finds another home; else all is as it was."""
        mover, lifts, puts = self.mover, len(self.lifts), len(self.puts)
        for one, number in chosen:
            mover.lift(one, number)
            self.lifts.append((one, number, node, f"{comer[0].name}.{comer[1]}"))
        if mover.rules.gates(comer[0]).fits(node):
            self._put(comer, node)
            last = len(self.lifts) + deeper
            if all(self._rehouse(one, node, last - len(self.lifts)) for one in chosen) and not self._parted():
                return True
        while len(self.puts) > puts:
            mover.lift(*self.puts.pop())
        while len(self.lifts) > lifts:
            one, number, before, _whom = self.lifts.pop()
            mover.put(one, number, before)
        return False

    def _parted(self) -> bool:
        return self.mover.followers.parted([one for one, _slot, _before, _whom in self.lifts], self.puts)

    def _put(self, one: Resident, node: Node) -> None:
        self.mover.put(*one, node)
        self.puts.append(one)

    def _rehouse(self, one: Resident, before: Node, deeper: int) -> bool:
        """Place one that left a host elsewhere. deeper: others that may move for it."""
        mover = self.mover
        left = [node for _service, _slot, node, _whom in self.lifts if node is not before]
        home = mover.home(one[0], before, left)
        if home is not None:
            self._put(one, home)
            return True
        if deeper < 1:
            return False
        emptied = {before.index, *(node.index for node in left)}
        hosts = mover.near(*one, mover.rules.gates(one[0]))
        mover.steps -= 1 + len(hosts) // UNIT
        for node in hosts:
            if node.index not in emptied and mover.steps > self.least:
                for goer in self._goers(one[0], node):
                    if self._swap(one, node, [goer], deeper - 1):
                        return True
        return False

    def _goers(self, service: Service, node: Node) -> list[Resident]:
        """Whose room would be enough, and who finds room elsewhere, now that something left other hosts."""
        mover, short = self.mover, _short(service, node)
        emptied = [before for _service, _slot, before, _whom in self.lifts]
        able = self._enough(mover.displaceable(node), short)
        others = [one for one in self._enough(mover.movable(node), short) if one not in able]
        return able + [one for one in others if any(_room(two, one[0]) for two in emptied)]

    def _enough(self, residents: Sequence[Resident], short: Sequence[tuple[int, int]]) -> list[Resident]:
        """Those of which one alone has what is short."""
        found = []
        for one in residents:
            needs = self._needs(one[0])
            for at, miss in short:
                if needs.get(at, 0) < miss:
                    break
            else:
                found.append(one)
        return found

    def _needs(self, service: Service) -> dict[int, int]:
        if service.name not in self.needs:
            self.needs[service.name] = dict(service.demands)
        return self.needs[service.name]

    def _choices(
        self, service: Service, node: Node, residents: Sequence[Resident], count: int
    ) -> Iterator[Sequence[Resident]]:
        """Sets of residents whose room would be enough, the cheap and small ones first."""
        short = _short(service, node)
        if count == 1:
            yield from ([one] for one in self._enough(residents, short))
            return
        needs = [self._needs(one) for one, _slot in residents]
        useful = [at for at, one in enumerate(needs) if any(one.get(dim, 0) for dim, _miss in short)]
        useful.sort(key=lambda at: -max((needs[at].get(dim, 0) * 1000 // miss for dim, miss in short), default=0))
        for group in combinations(sorted(useful[:MOST_SMALL]), count):
            if all(sum([needs[at].get(dim, 0) for at in group]) >= miss for dim, miss in short):
                yield [residents[at] for at in group]


def _short(service: Service, node: Node) -> list[tuple[int, int]]:
    """(dimension, what the host has too little of it)."""
    free = node.free
    return [(at, part - free[at]) for at, part in service.demands if free[at] < part]


def _room(node: Node, service: Service) -> bool:
    free = node.free
    for at, part in service.demands:  # noqa: SIM110  (half the time of all())
        if free[at] < part:
            return False
    return True
