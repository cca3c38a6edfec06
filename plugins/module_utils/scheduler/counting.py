# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Count rules: how many replicas of one service may be on one value of a key. A host without the key takes none.

max_per: at most n. cluster: all on one value. skew: one more replica may leave no value more than n behind. group_by:
the same with 1; while there are fewer than n values, one on each. Only values of hosts that the service may use count.
"""

from __future__ import annotations

from collections.abc import Mapping

from .domains import NONE, Domains
from .filters import RULES, Failure
from .grammar import rule_text
from .model import CountRule, Node

BALANCE = ("skew", "group_by")  # they steer what is placed; nothing that runs leaves because of them


class Counter:
    """One count rule over the replicas that are placed now."""

    def __init__(self, rule: CountRule, domains: Domains, usable: int, counts: Mapping[int, int]) -> None:
        """usable: the hosts that the service may use, as bits. counts: {host: replicas}."""
        self.rule, self.ids, self.names = rule, domains.of(rule.key), domains.names(rule.key)
        self.tally = domains.tally(rule.key, counts)
        balance = rule.kind in BALANCE
        self.values = [at for at, mask in enumerate(domains.masks(rule.key)) if mask & usable] if balance else []
        self.most = 1 if rule.kind == "group_by" else rule.number
        self.scarce = rule.kind == "group_by" and len(self.values) < rule.number
        self._least = -1

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
            return here < self.most
        if self.rule.kind == "cluster":
            return here > 0 or not self.tally
        return here + 1 - self.least <= self.most

    def failure(self, node: Node) -> Failure | None:
        """Why not, in words."""
        if self.passes(node):
            return None
        text, key, domain = rule_text(self.rule), self.rule.key, self.ids[node.index]
        if domain == NONE:
            return Failure(RULES, f"has no {key}, which {text} counts", 0, key, "nothing")
        here, name = self.tally.get(domain, 0), self.names[domain]
        if self.rule.kind == "max_per":
            words = f"is on {key} {name}, which has {here} of its replicas, at most {self.most} ({text})"
            return Failure(RULES, words, 0, f"fewer than {self.most}", str(here))
        if self.rule.kind == "cluster":
            other = self.names[max(self.tally, key=lambda at: (self.tally[at], -at))]
            return Failure(RULES, f"is on {key} {name}, the others are on {other} ({text})", 0, other, name)
        words = f"is on {key} {name}, which has {here} of its replicas and another value {self.least} ({text})"
        return Failure(RULES, words, 0, f"at most {self.least + self.most - 1}", str(here))
