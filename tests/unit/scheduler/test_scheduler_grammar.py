# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The language of constraints beyond Swarm's, as tables: what fits, what is refused, and what was probably meant."""

from __future__ import annotations

import random
import time

import constraint_asking as asking
import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import constraints, grammar, patterns, schedule

NODE = {
    "name": "n1",
    "hostname": "alpha.example",
    "role": "manager",
    "ip": "10.1.2.3",
    "platform": {"os": "linux", "arch": "aarch64"},
    "labels": {"disk": "SSD", "empty": "", "rack": "r7", "gen": "12", "half": "2.50", "kernel": "5.10.0-23-amd64"},
    "engine_labels": {"storage": "fast"},
    "facts": {"kernel": "6.1.0-13-amd64", "cpu": {"model": "EPYC 7543", "cores": 32, "smt": True}, "a.b": "dotted"},
}


def fits(text, **node):
    return asking.fits({**NODE, **node}, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("node.labels.disk in (hdd, ssd)", True),
        ("node.labels.disk in (hdd,nvme)", False),
        ("node.labels.disk in(ssd)", True),
        ("node.labels.disk NOT IN (hdd, nvme)", True),
        ("node.labels.disk not in (ssd)", False),
        ("node.labels.none in (a, b)", False),  # missing is in nothing
        ("node.labels.none not in (a, b)", True),
        ("node.ip in (192.0.2.0/24, 10.0.0.0/8)", True),
        ("node.ip not in (192.0.2.0/24, 10.0.0.0/8)", False),
        ("node.platform.arch in (arm64, riscv64)", True),
        ("node.labels.disk exists", True),
        ("node.labels.empty exists", True),  # there, although empty
        ("node.labels.none exists", False),
        ("node.labels.none not exists", True),
        ("node.labels.disk not  exists", False),
        ("node.facts.cpu exists", True),
        ("node.facts.cpu.model exists", True),
        ("node.facts.cpu.none exists", False),
        ("node.ip exists", True),
        ("node.labels.gen > 9", True),  # as numbers, not as text
        ("node.labels.gen>9", True),
        ("node.labels.gen < 12", False),
        ("node.labels.gen <= 12", True),
        ("node.labels.gen >= 12.0", True),
        ("node.labels.half > 2.49", True),
        ("node.labels.half < 2.5", False),
        ("node.labels.rack > 3", False),  # no number never matches
        ("node.labels.rack < 3", False),
        ("node.labels.none > 0", False),
        ("node.labels.none < 1", False),
        ("node.facts.cpu.cores >= 32", True),
        ("node.facts.cpu.smt == true", True),
        ("node.facts.a.b == dotted", True),
        ("node.facts.kernel version >= 5.10, < 7", True),
        ("node.facts.kernel version >= 6.1, < 6.1.1", True),
        ("node.facts.kernel version == 6.1", True),  # 6.1 is 6.1.0
        ("node.facts.kernel version != 6.1.0", False),
        ("node.facts.kernel version > 6.2", False),
        ("node.labels.kernel version > 5.9", True),  # 10 is more than 9
        ("node.labels.disk version >= 1", False),
        ("node.labels.none version != 1", False),
        ("node.labels.rack like r[0-9]+", True),
        ("node.labels.rack like r", False),  # the whole value
        ("node.labels.rack like R7", False),  # case counts
        ("node.labels.rack unlike r.*", False),
        ("node.labels.rack unlike s.*", True),
        ("node.labels.none like .*", False),  # missing: only unlike
        ("node.labels.none unlike .*", True),
        ("node.hostname like (alpha|beta)\\.example", True),
        ("node.labels.disk == hdd || node.labels.rack == r7", True),
        ("node.labels.disk == hdd || node.labels.rack in (r1, r2)", False),
        ("node.labels.disk == hdd || node.labels.gen > 3 || node.labels.none exists", True),
        ("node.labels.disk == hdd||node.labels.rack == r7", True),
        ("node.labels.disk == hdd || node.labels.rack:LIKE:r.*", True),
        ("node.labels.x == a||b", False),  # one value, as Swarm reads it
        ("node.labels.rack:IS:r7", True),
        ("node.labels.rack:IS:r8", False),
        ("hostname:LIKE:alpha.*", True),
        ("@hostname:UNLIKE:alpha.*", False),
        ("node.labels.none:UNLIKE:x", True),
        ("node.labels.none:LIKE:.*", False),
        ("hostname:CLUSTER:alpha.example", True),
        ("hostname:CLUSTER:beta.example", False),
    ],
)
def test_what_fits(text, expected):
    assert fits(text) is expected


def test_a_value_with_bars_is_swarms():
    assert fits("node.labels.x == a||b", labels={"x": "A||B"})


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        ("node.labels.disk = ssd", "another operator", "did you mean node.labels.disk == ssd?"),
        ("node.labels.disk inn (a, b)", "another operator", "did you mean node.labels.disk in (a, b)?"),
        ("node.labels.disk not_in (a)", "another operator", "did you mean node.labels.disk not in (a)?"),
        ("node.labels.disk exist", "another operator", "did you mean node.labels.disk exists?"),
        ("node.labels.disk notexists", "another operator", "did you mean node.labels.disk not exists?"),
        ("node.labels.disk =~ s.*", "another operator", "did you mean node.labels.disk like s.*?"),
        ("node.labels.gen => 3", "another operator", "did you mean node.labels.gen >= 3?"),
        ("node.facts.kernel verison >= 5", "another operator", "did you mean node.facts.kernel version >= 5?"),
        ("node.labels.disk liek s.*", "another operator", "did you mean node.labels.disk like s.*?"),
        ("node.lables.disk exists", "is not a key", "did you mean 'node.labels.disk'?"),
        ("node.fact.kernel exists", "is not a key", "did you mean 'node.facts.kernel'?"),
        ("disk in (a)", "is not a key", "node.labels.<name>"),
        ("node.labels.disk in a, b", "a list in brackets", "write node.labels.disk in (a, b)"),
        ("node.labels.disk in ()", "is empty", ""),
        ("node.labels.disk in (a,,b)", "is empty", ""),
        ("node.labels.disk in (a@b)", "characters that Swarm refuses", ""),
        ("node.ip in (10.0.0.0/8, x)", "neither an address nor a network", ""),
        ("node.labels.disk exists now", "takes no value", "write node.labels.disk exists"),
        ("node.labels.gen > many", "'many' is not a decimal number", "version"),
        ("node.labels.gen > 5.10.1", "not a decimal number", "node.labels.gen version > 5.10.1"),
        ("node.labels.gen >", "not a decimal number", ""),
        ("node.labels.gen > nan", "not a decimal number", ""),
        ("node.ip > 3", "node.ip is no number", ""),
        ("node.hostname version > 3", "node.hostname is no version", ""),
        ("node.facts.kernel version 5.10", "no bounds of a version", "version >= 5.10, < 6"),
        ("node.facts.kernel version >= 5.x", "no bounds of a version", ""),
        ("node.facts.kernel version", "no bounds of a version", ""),
        ("node.labels.rack like", "is empty", ""),
        ("node.labels.rack like [", "is no regular expression", ""),
        ("node.labels.rack like (a+)+", "a repeat inside of a repeat", ""),
        ("node.labels.rack like (a|aa)*b", "alternatives inside of a repeat", ""),
        ("node.labels.rack like .*.*.*.*x", "too many repeats", ""),
        ("node.labels.rack like (?=r)r7", "look", ""),
        ("node.labels.rack like (r)\\1", "back reference", ""),
        ("node.labels.rack like " + "r" * 201, "201 characters, at most 200", ""),
        ("node.labels.a == b || nod.labels.c == d", "is not a key", "did you mean 'node.labels.c'?"),
        ("node.labels.a == b || hostname:UNIQUE", "cannot be an alternative", ""),
        ("hostname:UNIQ", "'UNIQ' is not a verb", "did you mean hostname:UNIQUE?"),
        ("hostname:unique", "'unique' is not a verb", "did you mean hostname:UNIQUE?"),
        ("rack:UNIQUE", "is not a key", "write node.labels.rack:UNIQUE"),
        ("hostname:UNIQUE:2", "takes no value", "hostname:MAX_PER:2"),
        ("hostname:MAX_PER", "is not a number from 1", "MAX_PER:2"),
        ("hostname:MAX_PER:0", "is not a number from 1", ""),
        ("hostname:MAX_PER:-1", "is not a number from 1", ""),
        ("hostname:GROUP_BY:many", "is not a number from 1", ""),
        ("hostname:LIKE", "takes a value", ""),
        ("hostname:LIKE:(a*)*", "a repeat inside of a repeat", ""),
        ("hostname:IS:a@b", "characters that Swarm refuses", ""),
        ("x" * 3000, "3000 characters", ""),
        (" || ".join(f"node.labels.a == {i}" for i in range(60)), "60 alternatives", ""),
    ],
)
def test_what_is_refused(text, reason, fix):
    with pytest.raises(StowageError) as caught:
        schedule([NODE], [{"name": "web", "constraints": [text]}])
    (problem,) = caught.value.problems
    assert problem.code == "STW-CONSTRAINT"
    assert problem.place == "service 'web'.constraints[0]"
    assert reason in problem.reason
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hostname:UNIQUE", [("max_per", "node.hostname", 1, "")]),
        ("node.labels.rack:MAX_PER:3", [("max_per", "node.labels.rack", 3, "")]),
        ("@zone:GROUP_BY", [("group_by", "node.labels.zone", 0, "")]),
        ("@region:GROUP_BY:3", [("group_by", "node.labels.region", 3, "")]),
        ("node.labels.rack:CLUSTER", [("cluster", "node.labels.rack", 0, "")]),
    ],
)
def test_count_rules(text, expected):
    problems = []
    found = grammar.parse_rules(text, "here", problems)
    assert [tuple(rule) for rule in found] == expected
    assert not problems
    assert grammar.parse_rules(grammar.rule_text(found[0]), "here", problems) == found


@pytest.mark.parametrize(
    "text",
    [
        "node.labels.a == b",
        "node.labels.a in (a, b)",
        "node.labels.a not exists",
        "node.labels.a <= -3.5",
        "node.facts.kernel version >= 5.10, < 6",
        "node.hostname like n[0-9]+",
        "node.labels.a == b || node.labels.c exists",
    ],
)
def test_a_constraint_reads_as_it_is_written(text):
    made = grammar.parse(text, "here", [])
    assert str(made) == text
    assert grammar.parse(str(made), "here", []) == made


def test_constraints_have_an_order_and_keys():
    texts = ["node.labels.b exists", "node.labels.a == b || node.facts.c > 1", "node.labels.a in (x)"]
    made = [grammar.parse(text, "here", []) for text in texts]
    assert sorted(made)[0] == made[1]  # an or-group has no key
    assert made[1].keys() == ("node.facts.c", "node.labels.a")
    assert len({*made, grammar.parse(texts[0], "there", [])}) == 3


@pytest.mark.parametrize("pattern", [".*.*.*", "a?" * 24, "[a-z]*[a-z0-9]*[a-z0-9-]*", "(a*b*c*)", "x{0,200}y{0,200}"])
def test_an_allowed_pattern_never_runs_for_long(pattern):
    assert patterns.mistake(pattern) is None
    rule, started = constraints.Constraint("node.labels.a", "like", pattern), time.process_time()
    node = type("Node", (), {"labels": {"a": "a" * 255 + "!"}})()
    constraints.matches(rule, node)
    assert time.process_time() - started < 2.0


def test_a_value_too_long_for_patterns_matches_none():
    assert not fits("node.labels.a like a*", labels={"a": "a" * 257})
    assert fits("node.labels.a unlike a*", labels={"a": "a" * 257})


def test_any_text_is_read_or_refused():
    """No text makes it raise, and each one that is not read has a problem."""
    draw = random.Random(3)
    pieces = [
        "node.labels.a",
        "node.ip",
        "hostname",
        " ",
        "==",
        "!=",
        "in",
        "not",
        "(",
        ")",
        ",",
        "||",
        ":",
        "UNIQUE",
        "CLUSTER",
    ]
    pieces += [
        "GROUP_BY",
        ">",
        "<=",
        "version",
        "like",
        "exists",
        "1",
        "5.1",
        "a",
        "[",
        "*",
        "+",
        "\n",
        "\x00",
        "é",
        "{",
        "}",
        "?",
    ]
    for _round in range(5000):
        text, problems = "".join(draw.choices(pieces, k=draw.randint(0, 9))), []
        found = grammar.parse_rules(text, "here", problems)
        assert bool(found) != bool(problems), text
        for rule in found:
            if isinstance(rule, constraints.Constraint):
                assert grammar.parse(str(rule), "here", []) == rule, text
