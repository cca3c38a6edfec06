# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Repacking: when something of a batch found no room, the hosts with the most room left are emptied of what the batch
put there and filled again, some at a time, in other ways. What uses more of them is kept. What ran before stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import NamedTuple

from .model import Node, Service, Slot
from .rings import Sizes
from .state import Facts, State

ROUNDS = 12
VAIN = 2  # rounds in a row that place no more
HOSTS = 6  # that are emptied at a time
AMONG = 24  # the hosts with the most room
MOST = 96  # of what found no room, that is tried
WAYS = 3


class Item(NamedTuple):
    """A replica and what it needs."""

    service: Service
    slot: Slot
    cpus: int
    memory: int


class Repacking:
    """One batch after it was placed."""

    def __init__(self, state: State, sizes: Sizes, items: Sequence[Item]) -> None:
        """items: the batch, the largest first; those with a place may be put elsewhere."""
        self.state, self.sizes, self.items = state, sizes, items
        self.volumes = [sizes.volume(item.cpus, item.memory) for item in items]
        self.on: dict[int, list[int]] = {}
        for at, item in enumerate(items):
            node = state.at((item.service.name, item.slot))
            if node is not None:
                self.on.setdefault(node.index, []).append(at)

    def improve(self, hosts: Sequence[Node], left: Sequence[Item]) -> list[Item]:
        """Place more of what is left. Returns what still has no place."""
        spare = [at for at, item in enumerate(self.items) if self.state.at((item.service.name, item.slot)) is None]
        step = len(spare) // MOST + 1
        out, rest = spare[::step], [at for number, at in enumerate(spare) if number % step]
        vain = 0
        for number in range(ROUNDS):
            if not out or vain == VAIN:
                break
            before, among = len(out), nlargest(AMONG, hosts, key=lambda node: (self._room(node), -node.index))
            out = self._round(_some(among, number), out)
            vain = 0 if len(out) < before else vain + 1
        return [self.items[at] for at in sorted([*out, *rest]) if not self._fits_now(hosts, at)]

    def _fits_now(self, hosts: Sequence[Node], at: int) -> bool:
        """Place one replica where filling anew left room for it; True if there is such a host."""
        cpus, memory = self.items[at].cpus, self.items[at].memory
        for node in hosts:
            free = node.free
            if free[0] >= cpus and free[1] >= memory:
                self._put(at, node, len(hosts))
                return True
        return False

    def _put(self, at: int, node: Node, compared: int) -> None:
        """Place one replica, and note why there: it was chosen from so many hosts."""
        service, slot = self.items[at].service, self.items[at].slot
        before = self.state.counts[service.name].get(node.index, 0)
        self.state.place(service, slot, node)
        self.state.facts[(service.name, slot)] = Facts(compared, False, "", before, node.share)

    def _room(self, node: Node) -> int:
        free = node.free
        return self.sizes.volume(min(max(free[0], 0), node.capacity[0]), min(max(free[1], 0), node.capacity[1]))

    def _round(self, hosts: Sequence[Node], out: list[int]) -> list[int]:
        pool = sorted([*out, *(at for node in hosts for at in self.on.get(node.index, ()))])
        best, chosen = sum([self.volumes[at] for at in out]), None
        for way in range(WAYS):
            filled, over = self._pack(hosts, pool, way)
            volume = sum([self.volumes[at] for at in over])
            if volume < best:
                best, chosen = volume, (filled, over)
        if chosen is None:
            return out
        self._apply(hosts, chosen[0])
        return chosen[1]

    def _pack(self, hosts: Sequence[Node], pool: Sequence[int], way: int) -> tuple[list[list[int]], list[int]]:
        """Fill the emptied hosts, the largest first. Returns what each gets, and what gets no place."""
        cpus, memory = [node.free[0] for node in hosts], [node.free[1] for node in hosts]
        for number, node in enumerate(hosts):
            for at in self.on.get(node.index, ()):
                cpus[number] += self.items[at].cpus
                memory[number] += self.items[at].memory
        first, second = self.sizes.means[0], self.sizes.means[1]
        filled: list[list[int]] = [[] for _node in hosts]
        over = []
        for at in pool:
            _service, _slot, part, piece = self.items[at]
            best, chosen = 0.0, -1
            wants, asks = part / first, piece / second
            for number, free in enumerate(cpus):
                if free >= part and memory[number] >= piece:
                    one, other = free / first, memory[number] / second
                    if way == 0:
                        score = abs((one - wants) - (other - asks))  # the most even rest
                    elif way == 1:
                        score = abs(wants * other - asks * one) / (one + other or 1)  # the same shape
                    else:
                        score = -(wants * one + asks * other)
                    if chosen < 0 or score < best:
                        best, chosen = score, number
            if chosen < 0:
                over.append(at)
            else:
                cpus[chosen] -= part
                memory[chosen] -= piece
                filled[chosen].append(at)
        return filled, over

    def _apply(self, hosts: Sequence[Node], filled: Sequence[list[int]]) -> None:
        for node, content in zip(hosts, filled):
            for at in set(self.on.get(node.index, ())).difference(content):
                self.state.remove(self.items[at].service, self.items[at].slot)
                self.state.facts.pop((self.items[at].service.name, self.items[at].slot))
        for node, content in zip(hosts, filled):
            for at in content:
                if self.state.at((self.items[at].service.name, self.items[at].slot)) is None:
                    self._put(at, node, len(hosts))
            self.on[node.index] = content


def _some(among: Sequence[Node], number: int) -> list[Node]:
    """Some of the hosts, others each time: the ones with the most room, then every second, third, ... of them."""
    if number == 0 or len(among) <= HOSTS:
        return list(among[:HOSTS])
    step = (1, 5, 7, 11, 3, 2)[number % 6]
    order = dict.fromkeys((number * 2 + turn * step) % len(among) for turn in range(len(among)))
    return [among[at] for at in sorted([*order][:HOSTS])]
