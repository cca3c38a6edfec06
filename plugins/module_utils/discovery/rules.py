# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Traefik 3 rule syntax, as far as a plan can judge it without Traefik: a broken rule silently drops its router."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import show
from .labels import near

HTTP_MATCHERS: dict[str, tuple[int, ...]] = {
    "ClientIP": (1,),
    "Method": (1,),
    "Host": (1,),
    "HostRegexp": (1,),
    "Path": (1,),
    "PathRegexp": (1,),
    "PathPrefix": (1,),
    "Header": (2,),
    "HeaderRegexp": (2,),
    "Query": (1, 2),
    "QueryRegexp": (1, 2),
}
TCP_MATCHERS: dict[str, tuple[int, ...]] = {"ALPN": (1,), "ClientIP": (1,), "HostSNI": (1,), "HostSNIRegexp": (1,)}
V2_MATCHERS = {"Headers": "Header", "HeadersRegexp": "HeaderRegexp", "HostHeader": "Host"}
TOKEN = re.compile(r'\s*(?:(&&|\|\||[!(),])|`([^`]*)`|"((?:[^"\\]|\\.)*)"|([A-Za-z]\w*))')
HOST_PART = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
LONGEST_HOST = 253
MOST_ALTERNATIVES = 64
HOST = re.compile(rf"^(\*|(\*\.)?{HOST_PART}(\.{HOST_PART})*\.?)$")
UNQUOTED = re.compile(r"[A-Za-z]\([^`\"()]*$")
PATH_QUOTES = re.compile(r"[\"'`]")
V2_PATTERN = re.compile(r"\{[A-Za-z_][A-Za-z0-9_-]*:")


class Mistake(NamedTuple):
    """Why a rule is refused, and what to write instead."""

    reason: str
    fix: str


class Matcher(NamedTuple):
    """One call in a rule, e.g. Host(`a.example`)."""

    name: str
    values: tuple[str, ...]


class _Refused(Exception):
    """Carries a Mistake out of the parser."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.mistake = Mistake(reason, fix)


def alternatives(rule: str) -> frozenset[frozenset[str]]:
    """What a good rule matches, as alternatives of terms that hold together; for comparing rules, not for judging them.

    ``Host(`a`) && (Path(`/x`) || Path(`/y`))`` has two. A rule with more than 64 is left as one alternative of its own.
    """
    parser = _Shape(rule)
    found = parser.either()
    return found if len(found) <= MOST_ALTERNATIVES else frozenset([frozenset([rule])])


class _Shape:
    """Reads a rule that check_rule took into alternatives."""

    def __init__(self, rule: str) -> None:
        self.tokens = list(_tokens(rule))
        self.known = {spelling: name for name in HTTP_MATCHERS for spelling in _spellings(name)}

    def either(self) -> frozenset[frozenset[str]]:
        found = self._all()
        while self.tokens[0][1] == "||" and self.tokens[0][0] == "op":
            self.tokens.pop(0)
            found |= self._all()
        return found

    def _all(self) -> frozenset[frozenset[str]]:
        found = self._one()
        while self.tokens[0][1] == "&&" and self.tokens[0][0] == "op":
            self.tokens.pop(0)
            more = self._one()
            if len(found) * len(more) > MOST_ALTERNATIVES:
                more = frozenset([frozenset(["(...)"])])
            found = frozenset(left | right for left in found for right in more)
        return found

    def _one(self) -> frozenset[frozenset[str]]:
        kind, text, _column = self.tokens.pop(0)
        if (kind, text) == ("op", "("):
            found = self.either()
            self.tokens.pop(0)
            return found
        if (kind, text) == ("op", "!"):
            inner = sorted(" ".join(sorted(one)) for one in self._one())
            return frozenset([frozenset([f"!({' | '.join(inner)})"])])
        return frozenset([frozenset([self._term(text)])])

    def _term(self, name: str) -> str:
        values = []
        while self.tokens[0][:2] != ("op", ")"):
            kind, text, _column = self.tokens.pop(0)
            values += [text] if kind == "text" else []
        self.tokens.pop(0)
        name = self.known.get(name, name)
        return f"{name}({', '.join(value.lower() if name == 'Host' else value for value in values)})"


def check_rule(rule: str, tcp: bool = False) -> tuple[list[Matcher], Mistake | None]:
    """The matchers of a rule (Traefik's spelling) and the first mistake, or None."""
    known = TCP_MATCHERS if tcp else HTTP_MATCHERS
    try:
        matchers = _Parser(rule, known).parse()
        for matcher in matchers:
            _check_values(matcher, known)
    except _Refused as refused:
        return [], refused.mistake
    return matchers, None


def _tokens(rule: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, column) of each token; kinds are op, text, name, end."""
    position = 0
    while rule[position:].strip():
        match = TOKEN.match(rule, position)
        if match is None:
            column = position + len(rule[position:]) - len(rule[position:].lstrip())
            raise _Refused(*_odd_character(rule, column))
        operator, raw, quoted, name = match.groups()
        kind = "op" if operator else "name" if name else "text"
        yield kind, operator or name or (raw if raw is not None else quoted) or "", match.start() + 1
        position = match.end()
    yield "end", "", len(rule) + 1


def _odd_character(rule: str, column: int) -> tuple[str, str]:
    where = f"character {column + 1} of the rule is {show(rule[column])}"
    if rule[column] in '`"':
        return f"{where}, a quote that is never closed", "close it with the same character"
    if rule[column] == "'":
        return f"{where}", "quote values with backticks: Host(`shop.example`)"
    if UNQUOTED.search(rule[:column]):
        return f"{where}: the value is not quoted", "quote values with backticks: Host(`shop.example`)"
    if rule[column] in ":;":
        return f"{where}: this is Traefik 1 syntax", "write Host(`shop.example`) && PathPrefix(`/x`)"
    return f"{where}", "a rule is matchers such as Host(`shop.example`) joined by && and ||"


class _Parser:
    """Recursive descent over `a && (b || !c)`."""

    def __init__(self, rule: str, known: dict[str, tuple[int, ...]]) -> None:
        self.tokens = list(_tokens(rule))
        self.position = 0
        self.known = known
        self.spelling = {spelling: name for name in known for spelling in _spellings(name)}
        self.found: list[Matcher] = []

    def parse(self) -> list[Matcher]:
        self._expression()
        kind, text, column = self._next()
        if kind != "end":
            raise _Refused(f"{show(text)} at character {column} is not joined to what is before", "join with && or ||")
        return self.found

    def _next(self) -> tuple[str, str, int]:
        token = self.tokens[self.position]
        self.position += 1
        return token

    def _peek(self) -> str:
        return self.tokens[self.position][1] if self.tokens[self.position][0] == "op" else ""

    def _expression(self) -> None:
        self._term()
        while self._peek() in ("&&", "||"):
            self._next()
            self._term()

    def _term(self) -> None:
        while self._peek() == "!":
            self._next()
        kind, text, column = self._next()
        if (kind, text) == ("op", "("):
            self._expression()
            self._expect(")")
        elif kind == "name":
            self._matcher(text, column)
        else:
            wrong = "the rule ends" if kind == "end" else f"{show(text)} stands"
            raise _Refused(f"{wrong} at character {column} where a matcher is due", "write e.g. Host(`shop.example`)")

    def _matcher(self, name: str, column: int) -> None:
        self._expect("(")
        values = []
        while self._peek() != ")":
            kind, text, where = self._next()
            if kind != "text":
                raise _Refused(f"the value at character {where} is not quoted", f"quote it: {name}(`value`)")
            values.append(text)
            if self._peek() != ",":
                break
            self._next()
        self._expect(")")
        if name not in self.spelling:
            raise _Refused(f"Traefik 3 has no matcher {show(name)} (character {column})", _instead(name, self.known))
        self.found.append(Matcher(self.spelling[name], tuple(values)))

    def _expect(self, wanted: str) -> None:
        kind, text, column = self._next()
        if (kind, text) != ("op", wanted):
            got = "the end" if kind == "end" else show(text)
            raise _Refused(f"{show(wanted)} is due at character {column}, not {got}", "check brackets and backticks")


def _spellings(name: str) -> tuple[str, ...]:
    return name, name.lower(), name.upper(), name.lower().capitalize()


def _instead(name: str, known: dict[str, tuple[int, ...]]) -> str:
    if name in V2_MATCHERS and V2_MATCHERS[name] in known:
        return f"{name} is Traefik 2: write {V2_MATCHERS[name]}(...)"
    return near(name, list(known))


def _check_values(matcher: Matcher, known: dict[str, tuple[int, ...]]) -> None:
    name, values = matcher
    counts = known[name]
    if len(values) not in counts:
        several = " || ".join(f"{name}(`{value}`)" for value in values)
        fix = f"Traefik 3 wants {several}" if counts == (1,) and values else "see Traefik's rule reference"
        raise _Refused(f"{name} takes {' or '.join(map(str, counts))} value(s), {len(values)} given", fix)
    for value in values:
        if not value:
            raise _Refused(f"{name} has an empty value", "give a value")
        _check_value(name, value)


def _check_value(name: str, value: str) -> None:
    if name in ("Host", "HostSNI") and not (HOST.match(value) and len(value) <= LONGEST_HOST):
        raise _Refused(f"{show(value)} is not a host name for {name}", _host_fix(value))
    if name in ("HostRegexp", "HostSNIRegexp") and not value.isascii():
        raise _Refused(f"{show(value)} is not ASCII", "write the name in punycode (xn--...)")
    if name in ("Path", "PathPrefix") and not value.startswith("/"):
        raise _Refused(f"{show(value)} does not begin with /", f"write {name}(`/{value}`)")
    if name in ("Path", "PathPrefix") and PATH_QUOTES.search(value):
        raise _Refused(f"the path {show(value)} holds a quote", "write it as it is in the URL: %22, %27 or %60")
    if name not in ("Header", "Query", "ClientIP", "Method") and V2_PATTERN.search(value):
        raise _Refused(
            f"{show(value)} is a Traefik 2 pattern", "write a regular expression in HostRegexp or PathRegexp"
        )
    if name == "ClientIP":
        _check_address(value)


def _host_fix(value: str) -> str:
    if not value.isascii():
        return "write the name in punycode (xn--...)"
    if "/" in value:
        return "a host has no path: add && PathPrefix(`/...`)"
    return "a host has no port: choose an entry point" if ":" in value else "use letters, digits, dots and dashes"


def _check_address(value: str) -> None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise _Refused(f"{show(value)} is neither an address nor a network", "write 10.0.0.0/8") from None
