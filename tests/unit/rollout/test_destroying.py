"""A destruction is refused without the typed name of the fleet; what it says before it begins."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.rollout.destroying import confirmed

FLEET = {"name": "shop", "nodes": [{"name": "n1"}, {"name": "n2"}]}


@pytest.mark.parametrize(
    ("confirm", "volumes", "codes"),
    [
        ("", "keep", ["STW-CONFIRM"]),
        ("Shop", "keep", ["STW-CONFIRM"]),
        ("shop", "yes", ["STW-OPTION"]),
        ("", "", ["STW-OPTION", "STW-CONFIRM"]),
    ],
)
def test_mistakes_are_named_all_at_once(confirm, volumes, codes):
    with pytest.raises(StowageError) as raised:
        confirmed(FLEET, confirm, volumes, ["n1", "n2"], check=False)
    assert [problem.code for problem in raised.value.problems] == codes


def test_it_says_what_stays():
    assert confirmed(FLEET, "shop", "keep", ["n1", "n2"], check=False) == [
        "Takes fleet shop off 2 of 2 hosts, volumes stay"
    ]
    assert confirmed(FLEET, "", "remove", ["n2"], check=True) == [
        "Would take fleet shop off 1 of 2 hosts, with their volumes and all data in them",
        "  stay: n1; take the others out of the inventory and run stowage.fleet.bootstrap there",
    ]
