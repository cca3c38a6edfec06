"""What a host has and which constraints it satisfies, once more: from the documented language, not from the room.

Used by the validator and by the naive scheduler of the benches. Slow and plain on purpose.
"""

from __future__ import annotations

import ipaddress
import re
from fractions import Fraction

ARCH = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
BARE = {"hostname": "node.hostname"}
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
DOTTED = re.compile(r"v?([0-9]+(?:\.[0-9]+)*)", re.IGNORECASE)
COUNTED = ("UNIQUE", "MAX_PER", "GROUP_BY", "CLUSTER")
WORDS = ("not in", "not exists", "in", "exists", "version", "like", "unlike", ">=", "<=", ">", "<")


def fold(text):
    return str(text).casefold()


def look_up(facts, path):
    """A dotted path into nested mappings; a key may have dots itself."""
    if path in facts:
        return facts[path]
    head, _dot, rest = path.partition(".")
    return look_up(facts[head], rest) if rest and isinstance(facts.get(head), dict) else None


def node_value(node, key):
    """The text of a key on a host; None if there is nothing."""
    kind, _dot, rest = key.partition(".labels.")
    if rest:
        return (node.get("labels" if kind.lower() == "node" else "engine_labels") or {}).get(rest)
    if key.lower().startswith("node.facts."):
        found = look_up(node.get("facts") or {}, key[len("node.facts.") :])
        return None if found is None else {True: "true", False: "false"}.get(found, str(found))
    platform = node.get("platform") or {}
    return {
        "node.id": node.get("id", node["name"]),
        "node.hostname": node.get("hostname", node["name"]),
        "node.role": node.get("role", "worker"),
        "node.ip": node.get("ip"),
        "node.platform.os": platform.get("os"),
        "node.platform.arch": platform.get("arch"),
    }[BARE.get(key, key.lower())] or None


def taken_apart(text):
    """(key, operator, rest) of one expression."""
    verb = re.fullmatch(r"\s*([\w.\-/]+):([A-Z_]+)(?::(.*))?", text)
    if verb:
        return BARE.get(verb.group(1), verb.group(1)), verb.group(2), (verb.group(3) or "").strip()
    key, _space, rest = text.strip().partition(" ")
    for word in WORDS:
        match = re.match(word.replace(" ", r"\s+") + r"(?=\W|$|\s)", rest.strip())
        if match and (word[0] in "<>" or rest.strip()[match.end() :][:1] in ("", " ", "(")):
            return key, word, rest.strip()[match.end() :].strip()
    operator = "==" if "==" in text else "!="
    key, rest = (part.strip() for part in text.split(operator, 1))
    return key, operator, rest


def count_rule(text):
    """(verb, key, argument) if the text limits counts of replicas, else None."""
    key, verb, rest = taken_apart(text)
    return (verb, key, rest) if verb in COUNTED else None


def equal(key, has, wanted):
    """Swarm's comparison."""
    if key.lower() == "node.ip":
        return bool(has) and ipaddress.ip_address(has) in ipaddress.ip_network(wanted, strict=False)
    if key.lower() == "node.platform.arch":
        has, wanted = ARCH.get(fold(has), has), ARCH.get(fold(wanted), wanted)
    return fold(has) == fold(wanted)


def version(text):
    numbers = [int(part) for part in text.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def ordered(has, operator, wanted):
    return {
        ">": has > wanted,
        "<": has < wanted,
        ">=": has >= wanted,
        "<=": has <= wanted,
        "==": has == wanted,
        "!=": has != wanted,
    }[operator]


def within(has, bounds):
    found = DOTTED.match(has)
    for bound in bounds.split(","):
        operator, wanted = re.fullmatch(r"\s*(>=|<=|==|!=|>|<)\s*v?([0-9.]+)\s*", bound).groups()
        if not found or not ordered(version(found.group(1)), operator, version(wanted)):
            return False
    return True


def satisfies(node, text):
    """True if the host satisfies the constraint; a rule that counts replicas is satisfied by any host."""
    if " || " in text:
        return any(satisfies(node, part) for part in text.split(" || "))
    key, operator, wanted = taken_apart(text)
    found = node_value(node, key)
    has = found or ""
    listed = [part.strip() for part in wanted.strip("()").split(",")]
    if operator in (">", "<", ">=", "<="):
        return bool(NUMBER.fullmatch(has)) and ordered(Fraction(has), operator, Fraction(wanted))
    if operator in ("exists", "not exists"):
        return (found is not None) == (operator == "exists")
    return {
        "==": lambda: equal(key, has, wanted),
        "IS": lambda: equal(key, has, wanted),
        "!=": lambda: not equal(key, has, wanted),
        "in": lambda: any(equal(key, has, one) for one in listed),
        "not in": lambda: not any(equal(key, has, one) for one in listed),
        "version": lambda: within(has, wanted),
        "like": lambda: bool(has) and re.fullmatch(wanted, has) is not None,
        "LIKE": lambda: bool(has) and re.fullmatch(wanted, has) is not None,
        "unlike": lambda: not has or re.fullmatch(wanted, has) is None,
        "UNLIKE": lambda: not has or re.fullmatch(wanted, has) is None,
        "CLUSTER": lambda: not wanted or equal(key, has, wanted),
    }.get(operator, lambda: True)()


def tolerates(toleration, taint):
    """Kubernetes' rule: "*" all; no value: any value; no effect: any effect."""
    if toleration == "*":
        return True
    left, _colon, effect = taint.rpartition(":")
    key, _equals, value = left.partition("=")
    wanted, _colon, its = toleration.partition(":")
    name, equals, wish = wanted.partition("=")
    return name == key and (not equals or wish == value) and its in ("", effect)


def tolerated(node, tolerations, effects=("NoSchedule", "NoExecute")):
    """True if every taint of these effects is tolerated."""
    return all(
        any(tolerates(one, taint) for one in tolerations)
        for taint in node.get("taints") or ()
        if taint.rpartition(":")[2] in effects
    )
