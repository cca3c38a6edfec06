# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The smallest set of a service's rules that leaves no host: found by taking rules away, over masks of hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import combinations

from .constraints import Constraint, tester
from .model import CPUS, MEMORY, Node, Service, Taint, Toleration
from .never import pairs
from .words import amount

MOST_PAIRED = 60  # rules of which every pair is tried
MOST_NAMED = 3
Rule = tuple[str, int]  # in words, the hosts that satisfy it (bit = the node's index)


def conflict(
    service: Service,
    nodes: Sequence[Node],
    dimensions: Sequence[str],
    mask_of: Callable[[Constraint], int] | None = None,
    extra: Iterable[Rule] = (),
) -> str:
    """Which of the service's rules leave no host of the fleet, in words; "" if some host satisfies all.

    mask_of gives the hosts that satisfy a constraint, if the caller has them already. extra are rules that only the
    caller knows (active hosts, the hosts of its volumes).
    """
    everything = sum(1 << node.index for node in nodes)
    rules = [*extra, *rules_of(service, nodes, dimensions, mask_of)]
    left = smallest(rules, everything)
    if not left:
        return ""
    never = next(pairs(service.constraints), "")
    if never:
        return f"{never}, whatever the fleet"
    if len(left) == 1:
        return f"no host satisfies {left[0]}"
    return f"no host satisfies {', '.join(left[:-1])} and {left[-1]} together"


def smallest(rules: Iterable[Rule], everything: int) -> list[str]:
    """The words of a smallest set of rules whose masks have no common host; [] if all have one."""
    kept = [(words, mask & everything) for words, mask in rules]
    common = everything
    for _words, mask in kept:
        common &= mask
    if common or not kept:
        return []
    for words, mask in kept:
        if not mask:
            return [words]
    if len(kept) <= MOST_PAIRED:
        for (words, mask), (other, hosts) in combinations(kept, 2):
            if not mask & hosts:
                return [words, other]
    for one in list(kept):
        rest = [other for other in kept if other is not one]
        common = everything
        for _words, mask in rest:
            common &= mask
        if not common:
            kept = rest
    return [words for words, _mask in kept]


def rules_of(
    service: Service,
    nodes: Sequence[Node],
    dimensions: Sequence[str],
    mask_of: Callable[[Constraint], int] | None = None,
) -> list[Rule]:
    """The service's rules about hosts, whatever else is placed there, each in words with the hosts it allows."""
    found: list[Rule] = []
    for constraint in service.constraints:
        found.append((str(constraint), mask_of(constraint) if mask_of else mask(nodes, tester(constraint))))
    if service.hosts:
        named = frozenset(service.hosts)
        found.append((f"hosts ({_some(service.hosts)})", mask(nodes, lambda node: node.name in named)))
    if any(node.taints for node in nodes):
        tolerated = mask(nodes, lambda node: not repelling(node.taints, service.tolerations))
        found.append((f"its tolerations (not {_repelling(nodes, service)})", tolerated))
    for name, size, _volume in service.classes:
        words = f"storage class {name}" + (f" with {amount(MEMORY, size)}" if size else "")
        found.append((words, mask(nodes, partial(_stores, name, size))))
    for at, demand in service.demands:
        words = f"{amount(dimensions[at], demand)} {_unit(dimensions[at])}"
        found.append((words, mask(nodes, partial(_has, at, demand))))
    return found


def _stores(name: str, size: int, node: Node) -> bool:
    return node.storage.get(name, -1) >= size


def _has(dimension: int, demand: int, node: Node) -> bool:
    return node.capacity[dimension] >= demand


def mask(nodes: Iterable[Node], holds: Callable[[Node], bool]) -> int:
    """The nodes that pass a test, as bits."""
    found = bytearray()
    for node in nodes:
        if holds(node):
            byte, bit = divmod(node.index, 8)
            if byte >= len(found):
                found.extend(bytes(byte + 1 - len(found)))
            found[byte] |= 1 << bit
    return int.from_bytes(found, "little")


def tolerates(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    """True if one of the tolerations covers the taint."""
    return any(
        (one.key in ("*", taint.key)) and one.value in (None, taint.value) and one.effect in (None, taint.effect)
        for one in tolerations
    )


def repelling(taints: Iterable[Taint], tolerations: Sequence[Toleration]) -> list[Taint]:
    """The taints that keep a service with these tolerations off a host."""
    return [taint for taint in taints if taint.effect != "PreferNoSchedule" and not tolerates(tolerations, taint)]


def taint_text(taint: Taint) -> str:
    """As the inventory writes it."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"


def _repelling(nodes: Iterable[Node], service: Service) -> str:
    found = {taint_text(taint) for node in nodes for taint in repelling(node.taints, service.tolerations)}
    return _some(sorted(found)) if found else "any"


def _unit(dimension: str) -> str:
    return "of memory" if dimension == MEMORY else dimension if dimension == CPUS else f"of {dimension}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
