# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Near names: constraints that no host can satisfy because a label, a value or a host is probably misspelt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import chain
from operator import attrgetter
from typing import Any

from . import constraints as ask
from .constraints import Constraint
from .domains import Domains
from .model import Node

KINDS = {ask.NODE_LABEL: "node label", ask.ENGINE_LABEL: "engine label", ask.FACT: "fact"}
MOST_NAMES = 5_000  # that are compared with a misspelt one: it takes 10 us each


def near(name: str, known: Iterable[str], most: int = 2) -> list[str]:
    """The names that look like this one, the nearest first."""
    return get_close_matches(name, sorted(known)[:MOST_NAMES], most, 0.6)


def doubts(constraints: Iterable[Constraint], domains: Domains) -> dict[Constraint, list[str]]:
    """{constraint: sentences}: keys that no host has, and values that none has but one has a near one.

    What only a host itself can tell (engine labels, facts) is doubted only when every host answered.
    """
    seen = _Seen(domains)
    found = {}
    for constraint in constraints:
        sentences = [text for part in constraint.parts() for text in seen.doubts(part)]
        if sentences:
            found[constraint] = sentences
    return found


class _Seen:
    """The keys and values that the hosts have, each looked up once."""

    def __init__(self, domains: Domains) -> None:
        self.nodes, self.domains = domains.nodes, domains
        self.unknown = any(map(attrgetter("unknown"), self.nodes))
        self._keys: dict[str, set[str]] = {}
        self._values: dict[str, set[str]] = {}

    def has(self, prefix: str, name: str) -> bool:
        """True if any host has such a label or fact: most often the first ones do, and no other is asked."""
        if prefix in self._keys:
            return name in self._keys[prefix]
        return any(name in names for names in map(NAMES[prefix], self.nodes))

    def keys(self, prefix: str) -> set[str]:
        """The names of all labels or facts of one kind."""
        if prefix not in self._keys:
            self._keys[prefix] = set(chain.from_iterable(map(NAMES[prefix], self.nodes)))
        return self._keys[prefix]

    def values(self, key: str) -> set[str]:
        """All that hosts have under one key."""
        if key not in self._values:
            self._values[key] = {text for text in set(self.domains.texts(key)) if text}
        return self._values[key]

    def doubts(self, constraint: Constraint) -> list[str]:
        """What is doubtful about a constraint that is no or-group."""
        prefix = next((one for one in ask.PREFIXES if constraint.key.startswith(one)), None)
        if prefix and not (self.unknown and prefix == ask.FACT):
            name = constraint.key[len(prefix) :]
            if not self.has(prefix, name):
                return [f"no host has the {KINDS[prefix]} {name}{_hint(near(name, self.keys(prefix)))}"]
        if constraint.operator not in (ask.EQUAL, ask.IN) or constraint.key == ask.IP:
            return []
        return [text for wish in ask.wishes(constraint) for text in self._value_doubts(constraint.key, wish)]

    def _value_doubts(self, key: str, wish: str) -> list[str]:
        known = self.values(key)
        if not known or wish in known or any(ask.same(wish, one) for one in known) or key == ask.ARCH:
            return []
        hint = _hint(near(wish, known))
        named = key in ("node.hostname", "node.id")
        return [f"no host has {key} {wish}{hint}"] if hint or (named and not self.unknown) else []


def _hint(names: list[str]) -> str:
    return f"; near: {', '.join(names)}" if names else ""


def _paths(facts: Any, prefix: str = "") -> Iterable[str]:
    if not prefix and not any(isinstance(content, dict) for content in facts.values()):
        yield from facts
    elif isinstance(facts, dict):
        for key, content in facts.items():
            yield f"{prefix}{key}"
            yield from _paths(content, f"{prefix}{key}.")


NAMES: dict[str, Callable[[Node], Iterable[str]]] = {
    ask.NODE_LABEL: attrgetter("labels"),
    ask.ENGINE_LABEL: attrgetter("engine_labels"),
    ask.FACT: lambda node: _paths(node.facts),
}
