# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one host on which a new volume is made: where most replicas of the services that mount it fit."""

from __future__ import annotations

from .gates import Rules
from .model import Node, Service, Slot
from .state import State
from .strategies import STRATEGIES
from .volumes import new_volumes

Wanted = dict[str, list[Slot]]


def choose_home(state: State, rules: Rules, service: Service, members: list[Service], wanted: Wanted) -> None:
    """Decide the one host for the service's new volumes, which it shares with members: where most replicas fit.

    If no host suits all of them, the service decides alone; others then may find no place, and are told why.
    """
    for several in (members, [service]):
        mask = rules.filters.all
        for one in several:
            mask &= rules.filters.open(one)
        gates = {one.name: rules.gates(one) for one in several}
        best: tuple[int, ...] = ()
        rank = STRATEGIES[several[0].strategy](state, several[0])
        for node in rules.filters.nodes(mask):
            if not all(gate.fits(node) for gate in gates.values()):
                continue
            here = room(state, several, node, wanted)
            if here and (not best or -here <= best[0]):
                judged = (-here, *rank(node))
                best = min(best, judged) if best else judged
        if best:
            for one in several:
                for volume in new_volumes(state, one):
                    state.homes[volume] = 1 << best[-1]
            return


def room(state: State, services: list[Service], node: Node, wanted: Wanted) -> int:
    """How many of the services' missing replicas fit on one host together, the services in their order."""
    free = list(node.free)
    total = 0
    for service in services:
        limit = len(wanted[service.name])
        for at, amount in service.demands:
            limit = min(limit, max(0, free[at]) // amount)
        if service.max_per_node:
            limit = min(limit, max(0, service.max_per_node - state.counts[service.name].get(node.index, 0)))
        if service.ports:
            limit = 0 if any(node.ports.takes(port) for port in service.ports) else min(limit, 1)
        for at, amount in service.demands:
            free[at] -= limit * amount
        total += limit
    return total
