# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Count rules: how many replicas of one service may be on one value of a key. A host without the key takes none.

max_per: at most n. cluster: all on one value. skew: one more replica may leave no value more than n behind. group_by:
the same with 1; while there are fewer than n values, one on each. Only values of hosts that the service may use count.

A replica on a host that did not answer, and whose value only that host could tell, may be on any value: max_per counts
it on each; a cluster whose only members are such ones takes nobody. The balance rules leave it out.
"""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterable, Mapping
from functools import cached_property

from .domains import NONE
from .filters import RULES, Failure, Filters, some
from .grammar import rule_text
from .model import CountRule, Node

BALANCE = ("skew", "group_by")  # they steer what is placed; nothing that runs leaves because of them


class Counter:
    """One count rule over the replicas that are placed now."""

    def __init__(self, rule: CountRule, filters: Filters, usable: int, counts: Mapping[int, int]) -> None:
        """usable: the hosts that the service may use, as bits. counts: {host: replicas}."""
        domains = filters.domains
        self.rule, self.ids, self.names = rule, domains.of(rule.key), domains.names(rule.key)
        self.tally = domains.tally(rule.key, counts) if counts else {}
        self.untold = filters.untold(rule.key, counts) if filters.unknown else []
        self.anywhere = sum([counts[node.index] for node in self.untold])
        self.most = 1 if rule.kind == "group_by" else rule.number
        self._masks, self._usable, self._least = domains.masks, usable, -1

    @cached_property
    def values(self) -> list[int]:
        """The domains of the hosts that the service may use; only balance asks for them."""
        if self.rule.kind not in BALANCE:
            return []
        return [at for at, mask in enumerate(self._masks(self.rule.key)) if mask & self._usable]

    @property
    def scarce(self) -> bool:
        """True if there are fewer values than the replicas are to be on."""
        return self.rule.kind == "group_by" and len(self.values) < self.rule.number

    def placed(self, node: Node, more: int = 1) -> None:
        """Count one replica more (or less) on a host."""
        domain = self.ids[node.index]
        if domain != NONE:
            self.tally[domain] = self.tally.get(domain, 0) + more
            if not self.tally[domain]:
                del self.tally[domain]
            self._least = -1

    @property
    def least(self) -> int:
        """The number of replicas on the value that has the fewest."""
        if self._least < 0:
            none = self.scarce or not self.values
            self._least = 0 if none else min(self.tally.get(domain, 0) for domain in self.values)
        return self._least

    def passes(self, node: Node) -> bool:
        """True if the host may take one more."""
        domain = self.ids[node.index]
        if domain == NONE:
            return False
        here = self.tally.get(domain, 0)
        if self.rule.kind == "max_per":
            return here + self.anywhere < self.most
        if self.rule.kind == "cluster":
            return here > 0 or not (self.tally or self.anywhere)
        return here + 1 - self.least <= self.most

    def takes(self, hosts: Iterable[int]) -> bool:
        """True if all these replicas may be where they are, while none of the service is counted yet."""
        found = Counted(map(self.ids.__getitem__, hosts))
        if NONE in found or self.rule.kind in BALANCE or self.tally or self.anywhere:
            return False
        if self.rule.kind == "cluster":
            return len(found) <= 1
        return max(found.values(), default=0) <= self.most

    def failure(self, node: Node) -> Failure | None:
        """Why not, in words."""
        if self.passes(node):
            return None
        text, key, domain = rule_text(self.rule), self.rule.key, self.ids[node.index]
        if domain == NONE:
            return Failure(RULES, f"has no {key}, which {text} counts", 0, key, "nothing")
        here, name = self.tally.get(domain, 0), self.names[domain]
        if self.anywhere and not (here >= self.most if self.rule.kind == "max_per" else self.tally):
            return self._unsure(name, here)
        if self.rule.kind == "max_per":
            words = f"is on {key} {name}, which has {here} of its replicas, at most {self.most} ({text})"
            return Failure(RULES, words, 0, f"fewer than {self.most}", str(here))
        if self.rule.kind == "cluster":
            other = self.names[max(self.tally, key=lambda at: (self.tally[at], -at))]
            return Failure(RULES, f"is on {key} {name}, the others are on {other} ({text})", 0, other, name)
        words = f"is on {key} {name}, which has {here} of its replicas and another value {self.least} ({text})"
        return Failure(RULES, words, 0, f"at most {self.least + self.most - 1}", str(here))

    def _unsure(self, name: str, here: int) -> Failure:
        """The failure of a host that would do, were it known where the others are."""
        key, hosts = self.rule.key, some([node.name for node in self.untold])
        words = f"is on {key} {name}, and it is not known on which {key} those on {hosts} are: no answer"
        return Failure(RULES, f"{words} ({rule_text(self.rule)})", 0, "to know", f"{here} here")
