# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The smallest set of rules that leaves no host, and rules that exclude each other in any fleet."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import grammar
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.conflict import conflict, smallest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.never import excludes
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.reading import read

NODES = [
    {
        "name": "n1",
        "labels": {"disk": "ssd", "zone": "a"},
        "taints": ["gpu=yes:NoSchedule"],
        "capacity": {"memory": 2**30},
    },
    {"name": "n2", "labels": {"disk": "hdd", "zone": "a"}, "capacity": {"memory": 2**31}, "storage": {"fast": 100}},
    {"name": "n3", "labels": {"disk": "hdd", "zone": "b"}, "capacity": {"memory": 2**32}},
]


def words(**given: Any) -> str:
    request = read(NODES, [{"name": "web", **given}], None, None)
    return conflict(request.services[0], request.nodes, request.dimensions)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ""),
        ({"constraints": ["node.labels.disk == hdd"]}, ""),
        ({"constraints": ["node.labels.disk == nvme"]}, "no host satisfies node.labels.disk == nvme"),
        (
            {
                "constraints": [
                    "node.labels.disk == hdd",
                    "node.labels.zone == b",
                    "node.hostname != n3",
                    "node.role == worker",
                ]
            },
            "no host satisfies node.hostname != n3 and node.labels.zone == b together",
        ),
        (
            {"constraints": ["node.role == worker", "node.role != worker"]},
            "node.role != worker and node.role == worker exclude each other, whatever the fleet",
        ),
        (
            {"constraints": ["node.labels.disk == ssd", "node.labels.disk == hdd"]},
            "node.labels.disk == hdd and node.labels.disk == ssd exclude each other, whatever the fleet",
        ),
        (
            {"constraints": ["node.labels.disk == ssd"]},
            "no host satisfies node.labels.disk == ssd and its tolerations (not gpu=yes:NoSchedule) together",
        ),
        ({"constraints": ["node.labels.disk == ssd"], "tolerations": ["gpu"]}, ""),
        (
            {"constraints": ["node.labels.zone == b"], "hosts": ["n1", "n2"]},
            "no host satisfies node.labels.zone == b and hosts (n1, n2) together",
        ),
        (
            {"volumes": [{"name": "v", "class": "fast", "size": 200}]},
            "no host satisfies storage class fast with 200 B",
        ),
        (
            {"volumes": [{"name": "v", "class": "fast"}], "reservations": {"memory": 2**32}},
            "no host satisfies storage class fast and 4 GiB of memory together",
        ),
        (
            {
                "constraints": ["node.labels.zone == a || node.labels.disk == ssd"],
                "reservations": {"memory": 3 * 2**30},
            },
            "no host satisfies node.labels.disk == ssd || node.labels.zone == a and 3 GiB of memory together",
        ),
    ],
)
def test_the_smallest_set_is_named(given: Any, expected: str) -> None:
    assert words(**given) == expected


def test_three_that_conflict_only_together() -> None:
    rules = [("a", 0b011), ("b", 0b101), ("x", 0b111), ("c", 0b110)]
    assert smallest(rules, 0b111) == ["a", "b", "c"]


def left(names: Any, masks: dict[str, int], hosts: int) -> int:
    for name in names:
        hosts &= masks[name]
    return hosts


def test_the_set_is_minimal_whatever_the_masks() -> None:
    draw = random.Random(5)
    for _round in range(500):
        everything = (1 << draw.randint(1, 6)) - 1
        rules = [(str(at), draw.getrandbits(6)) for at in range(draw.randint(0, 6))]
        masks = dict(rules)
        found = smallest(rules, everything)

        if not found:
            assert not rules or left(masks, masks, everything)
            continue
        assert not left(found, masks, everything)
        assert all(left([name for name in found if name != one], masks, everything) for one in found)
        if len(found) == 3:
            assert all(left(pair, masks, everything) for pair in combinations(masks, 2))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("node.role == manager", "node.role != manager", True),
        ("node.role == manager", "node.role == Manager", False),
        ("node.role == manager", "node.role == worker", True),
        ("node.labels.a in (x, y)", "node.labels.a in (z)", True),
        ("node.labels.a in (x, y)", "node.labels.a not in (x)", False),
        ("node.labels.a in (x, y)", "node.labels.a not in (x, y)", True),
        ("node.labels.a in (x, y)", "node.labels.a like z.*", True),
        ("node.labels.a == x", "node.labels.a not exists", True),
        ("node.labels.a exists", "node.labels.a not exists", True),
        ("node.labels.a != x", "node.labels.a not exists", False),
        ("node.labels.a > 3", "node.labels.a < 3", True),
        ("node.labels.a >= 3", "node.labels.a <= 3", False),
        ("node.labels.a > 3", "node.labels.a <= 3", True),
        ("node.labels.a > 3", "node.labels.a < 4", False),
        ("node.labels.a == 2", "node.labels.a > 3", True),
        ("node.labels.a == x", "node.labels.b == y", False),
        ("node.ip == 10.0.0.0/8", "node.ip == 10.1.0.0/16", False),
        ("node.platform.arch == amd64", "node.platform.arch == x86_64", False),
        ("node.labels.a == x || node.labels.a == y", "node.labels.a == z", True),
        ("node.labels.a == x || node.labels.b == y", "node.labels.a == z", False),
    ],
)
def test_what_excludes_what(one: str, other: str, expected: bool) -> None:
    first, second = (grammar.parse(text, "here", []) for text in (one, other))
    assert first is not None
    assert second is not None
    assert excludes(first, second) is expected
    assert excludes(second, first) is expected
