# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The language of constraints: text to Constraint or CountRule, every mistake told with what was probably meant.

key == value    key != value                                   as Swarm
key in (a, b)   key not in (a, b)   key exists   key not exists
key > 3         key < 3   key >= 3   key <= 3                  decimal numbers
key version >= 5.10, < 6                                       dotted numbers
key like web-.*   key unlike web-.*                            regular expressions, the whole value
one || other                                                   any of them
key:UNIQUE  key:CLUSTER[:v]  key:GROUP_BY[:n]  key:MAX_PER:n  key:IS:v  key:LIKE:re  key:UNLIKE:re    as Marathon
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Union

from ..errors import Problem, show
from . import constraints as ask
from .constraints import Constraint, canonical_key
from .model import CountRule
from .patterns import mistake

CODE = "STW-CONSTRAINT"
LONGEST = 2000  # characters of one constraint
MOST_PARTS = 50  # alternatives of an or-group, values of a list
MOST_COUNT = 1_000_000
VALUE = re.compile(r"[A-Za-z0-9:\-_\s.*()?+\[\]\\^$|/]+")
ITEM = re.compile(r"[A-Za-z0-9:\-_\s.*?+\[\]\\^$|/]+")
SWARM = ("==", "!=")  # in this order, as Swarm tries them
WORDS = ("not exists", "not in", "in", "exists", "version", "like", "unlike")
WORD = re.compile(
    r"\s*([^\s:=!<>()]+)\s+(not\s+exists|not\s+in|in|exists|version|like|unlike)(?!\w)\s*(.*?)\s*", re.I | re.S
)
NUMERIC = re.compile(r"\s*([^\s:=!<>()]+)\s*(>=|<=|>|<)(?![=<>])\s*(.*?)\s*", re.S)
MARATHON = re.compile(r"\s*(@?[A-Za-z_][\w\-./]*)\s*:\s*([A-Za-z_]+)\s*(?::\s*(.*?)\s*)?", re.S)
OTHER = re.compile(r"\s*([^\s:=!<>~()]+)\s*(=~|!~|<>|=>|=<|=|~|not\s+[A-Za-z_]+|[A-Za-z_]+)\s*(.*?)\s*", re.S)
SPLIT = re.compile(r"\s+\|\|\s+|\|\|(?=\s*(?:node|engine)\.)", re.I)
VERBS = ("UNIQUE", "CLUSTER", "GROUP_BY", "MAX_PER", "IS", "LIKE", "UNLIKE")
MEANT = {
    "=": "==",
    "<>": "!=",
    "=~": "like",
    "~": "like",
    "!~": "unlike",
    "=>": ">=",
    "=<": "<=",
    "is": "==",
    "matches": "like",
}
BARE = {
    "hostname": "node.hostname",
    "@hostname": "node.hostname",
    "@zone": "node.labels.zone",
    "@region": "node.labels.region",
}
Rule = Union[Constraint, CountRule]


def parse(text: str, place: str, problems: list[Problem]) -> Constraint | None:
    """The constraint on hosts that a text says; None and one more problem if it says none."""
    found = parse_rules(text, place, problems)
    return next((one for one in found if isinstance(one, Constraint)), None)


def parse_rules(text: str, place: str, problems: list[Problem]) -> list[Rule]:
    """What a text says: a Constraint, a CountRule, or both (CLUSTER with a value); [] and a problem if nothing."""
    if len(text) > LONGEST:
        problems.append(Problem(CODE, place, f"{show(text)} has {len(text)} characters", f"use at most {LONGEST}"))
        return []
    parts = SPLIT.split(text)
    if len(parts) > 1 and not all(_looks_right(part) for part in parts) and _swarm_says(text):
        parts = [text]  # Swarm allows | in a value
    if len(parts) == 1:
        return _Expression(text, place, problems).read()
    return _alternatives(text, parts, place, problems)


def _alternatives(text: str, parts: list[str], place: str, problems: list[Problem]) -> list[Rule]:
    found: set[Constraint] = set()
    before = len(problems)
    for part in parts[:MOST_PARTS]:
        for one in _Expression(part, place, problems).read():
            if isinstance(one, Constraint):
                found.add(one)
            else:
                reason = f"{show(text)}: {show(part.strip())} counts replicas and cannot be an alternative"
                problems.append(Problem(CODE, place, reason, "write it as a constraint of its own"))
    if len(parts) > MOST_PARTS:
        problems.append(Problem(CODE, place, f"{len(parts)} alternatives, at most {MOST_PARTS}", "use in (a, b)"))
    if len(problems) > before:
        return []
    return [Constraint("", ask.OR, "", tuple(sorted(found)))] if len(found) > 1 else list(found)


def _looks_right(part: str) -> bool:
    if WORD.fullmatch(part) or NUMERIC.fullmatch(part) or any(operator in part for operator in SWARM):
        return True
    match = MARATHON.fullmatch(part)
    return match is not None and match.group(2).upper() in VERBS


def _swarm_says(text: str) -> bool:
    operator = next((one for one in SWARM if one in text), "")
    left, _operator, right = text.partition(operator) if operator else ("", "", "")
    return bool(operator) and canonical_key(left.strip()) is not None and bool(VALUE.fullmatch(right.strip()))


class _Expression:
    """One expression without alternatives."""

    def __init__(self, text: str, place: str, problems: list[Problem]) -> None:
        self.text, self.place, self.problems = text, place, problems

    def _wrong(self, reason: str, fix: str) -> list[Rule]:
        self.problems.append(Problem(CODE, self.place, reason, fix))
        return []

    def read(self) -> list[Rule]:
        """The rule, or [] and a problem."""
        verb = MARATHON.fullmatch(self.text)
        if verb:
            return self._marathon(*verb.groups())
        numeric, word = NUMERIC.fullmatch(self.text), WORD.fullmatch(self.text)
        if word:
            return self._word(word.group(1), " ".join(word.group(2).lower().split()), word.group(3))
        if numeric:
            return self._number(*numeric.groups())
        operator = next((one for one in SWARM if one in self.text), None)
        if operator is None:
            return self._no_operator()
        left, right = self.text.split(operator, 1)
        return self._swarm(left.strip(), operator, right.strip())

    def _key(self, text: str) -> str | None:
        key = canonical_key(text)
        if key is None:
            self.problems.append(key_problem(text, self.place))
        return key

    def _swarm(self, left: str, operator: str, value: str) -> list[Rule]:
        key, fine = self._key(left), self._value(value, VALUE)
        if key == ask.IP and fine and ask.network_of(value) is None:
            return self._no_network(value)
        return [Constraint(key, operator, value)] if key is not None and fine else []

    def _value(self, value: str, allowed: re.Pattern[str]) -> bool:
        if allowed.fullmatch(value):
            return True
        signs = ": - _ . * ( ) ? + [ ] \\ ^ $ | /" if allowed is VALUE else ": - _ . * ? + [ ] \\ ^ $ | /"
        reason = f"{show(self.text)}: the value {show(value)} is empty or has characters that Swarm refuses"
        self._wrong(reason, f"use letters, digits, space and {signs}")
        return False

    def _no_network(self, value: str) -> list[Rule]:
        reason = f"{show(self.text)}: {show(value)} is neither an address nor a network"
        return self._wrong(reason, "write node.ip == 192.0.2.7 or node.ip == 192.0.2.0/24")

    def _word(self, left: str, operator: str, rest: str) -> list[Rule]:
        key = self._key(left)
        if key is None:
            return []
        if operator in (ask.EXISTS, ask.NOT_EXISTS):
            if rest:
                return self._wrong(
                    f"{show(self.text)}: {operator} takes no value, not {show(rest)}", f"write {key} {operator}"
                )
            return [Constraint(key, operator)]
        if operator in (ask.IN, ask.NOT_IN):
            return self._list(key, operator, rest)
        if operator == ask.VERSION:
            return self._version(key, rest)
        return self._pattern(key, operator, rest)

    def _list(self, key: str, operator: str, rest: str) -> list[Rule]:
        if not (rest.startswith("(") and rest.endswith(")")):
            return self._wrong(
                f"{show(self.text)}: {operator} takes a list in brackets", f"write {key} {operator} (a, b)"
            )
        items = ask.listed(rest)
        if len(items) > MOST_PARTS:
            return self._wrong(
                f"{len(items)} values, at most {MOST_PARTS} are read", "use like, or a label for the group"
            )
        if [item for item in items if not self._value(item, ITEM)]:
            return []
        if key == ask.IP and not all(ask.network_of(item) for item in items):
            return self._no_network(next(item for item in items if not ask.network_of(item)))
        return [Constraint(key, operator, f"({', '.join(sorted(set(items)))})")]

    def _comparable(self, key: str, what: str) -> bool:
        if key in ask.KEYS:
            self._wrong(f"{show(self.text)}: {key} is no {what}", f"compare node.labels.<name> or {ask.FACT}<name>")
        return key not in ask.KEYS

    def _number(self, left: str, operator: str, rest: str) -> list[Rule]:
        key = self._key(left)
        if key is None or not self._comparable(key, "number"):
            return []
        if not ask.NUMBER.fullmatch(rest):
            reason = f"{show(self.text)}: {show(rest)} is not a decimal number"
            return self._wrong(reason, f"write {key} {operator} 3; for 5.10.1 write {key} version {operator} 5.10.1")
        return [Constraint(key, operator, rest)]

    def _version(self, key: str, rest: str) -> list[Rule]:
        if not self._comparable(key, "version"):
            return []
        bounds = [ask.BOUND.fullmatch(part) for part in rest.split(",")]
        if len(bounds) > MOST_PARTS or not all(bounds):
            reason = f"{show(self.text)}: {show(rest)} has no bounds of a version"
            return self._wrong(reason, f"write {key} version >= 5.10, < 6")
        made = dict.fromkeys(f"{bound.group(1)} {bound.group(2)}" for bound in bounds if bound)
        return [Constraint(key, ask.VERSION, ", ".join(made))]

    def _pattern(self, key: str, operator: str, rest: str) -> list[Rule]:
        wrong = mistake(rest)
        if wrong:
            return self._wrong(f"{show(self.text)}: the pattern {wrong[0]}", wrong[1])
        return [Constraint(key, operator, rest)]

    def _marathon(self, left: str, verb: str, argument: str | None) -> list[Rule]:
        if verb not in VERBS:
            near = get_close_matches(verb.upper(), VERBS, 1, 0.6)
            fix = f"did you mean {left}:{near[0]}?" if near else f"verbs: {', '.join(VERBS)}"
            return self._wrong(f"{show(self.text)}: {show(verb)} is not a verb of Marathon", fix)
        key = BARE.get(left.lower()) or canonical_key(left)
        if key is None and "." not in left:
            reason = f"{show(left)} is not a key of a constraint"
            return self._wrong(reason, f"an attribute of a host is a label here: write node.labels.{left}:{verb}")
        key = key or self._key(left)
        if key is None:
            return []
        if verb in ("IS", "LIKE", "UNLIKE"):
            return self._match(key, verb, argument)
        if verb == "CLUSTER":
            return self._cluster(key, argument)
        return self._count(key, verb, argument)

    def _match(self, key: str, verb: str, argument: str | None) -> list[Rule]:
        if not argument:
            return self._wrong(f"{show(self.text)}: {verb} takes a value", f"write {key}:{verb}:value")
        if verb == "IS":
            return self._swarm(key, ask.EQUAL, argument)
        return self._pattern(key, verb.lower(), argument)

    def _cluster(self, key: str, argument: str | None) -> list[Rule]:
        pinned = self._swarm(key, ask.EQUAL, argument) if argument else []
        return [] if argument and not pinned else [*pinned, CountRule("cluster", key, 0, argument or "")]

    def _count(self, key: str, verb: str, argument: str | None) -> list[Rule]:
        if verb == "UNIQUE":
            if argument:
                fix = f"write {key}:UNIQUE, or {key}:MAX_PER:{argument}"
                return self._wrong(f"{show(self.text)}: UNIQUE takes no value, not {show(argument)}", fix)
            return [CountRule("max_per", key, 1, "")]
        number = argument if argument else "0" if verb == "GROUP_BY" else ""
        if not (
            re.fullmatch(r"\d{1,7}", number, re.ASCII)
            and (verb == "GROUP_BY" or int(number))
            and int(number) <= MOST_COUNT
        ):
            reason = f"{show(self.text)}: {show(argument or '')} is not a number from 1 to {MOST_COUNT}"
            return self._wrong(reason, f"write {key}:{verb}:2")
        return [CountRule("group_by" if verb == "GROUP_BY" else "max_per", key, int(number), "")]

    def _no_operator(self) -> list[Rule]:
        reason = f"{show(self.text)} has neither == nor != nor another operator"
        match = OTHER.fullmatch(self.text)
        if match:
            key, word, rest = match.groups()
            near = get_close_matches(word.lower(), WORDS, 1, 0.6)
            meant = MEANT.get(word.lower()) or (near[0] if near else None)
            if meant:
                return self._wrong(reason, f"did you mean {show(f'{key} {meant} {rest}'.strip())[1:-1]}?")
        return self._wrong(
            reason, "write node.labels.disk == ssd, or !=, in (a, b), exists, > 3, version >= 5.10, like a.*"
        )


def key_problem(text: str, place: str) -> Problem:
    """What is wrong with a key, and the nearest one that exists."""
    head, _dot, tail = text.rpartition(".")
    near = get_close_matches(text.lower(), ask.KEYS, 1, 0.7)
    prefix = get_close_matches(f"{head.lower()}.", ask.PREFIXES, 1, 0.7)
    if prefix:
        near = [f"{prefix[0]}{tail}"]
    known = f"use {', '.join(ask.KEYS)}, {', '.join(f'{one}<name>' for one in ask.PREFIXES)}"
    fix = f"did you mean {show(near[0])}?" if near else known
    return Problem(CODE, place, f"{show(text)} is not a key of a constraint", fix)


def rule_text(rule: CountRule) -> str:
    """A count rule as Marathon writes it; a hard spread as the stack file does."""
    if rule.kind == "skew":
        return f"spread over {rule.key} with max_skew {rule.number}"
    if rule.kind == "max_per":
        return f"{rule.key}:UNIQUE" if rule.number == 1 else f"{rule.key}:MAX_PER:{rule.number}"
    if rule.kind == "cluster":
        return f"{rule.key}:CLUSTER:{rule.value}" if rule.value else f"{rule.key}:CLUSTER"
    return f"{rule.key}:GROUP_BY:{rule.number}" if rule.number else f"{rule.key}:GROUP_BY"
