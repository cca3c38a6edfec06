"""What a plan opens and closes, from what hosts let through and what stack files say."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network import reach
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import model, policy_table

NET, PG = {"networks": ["shop_default"]}, ["tcp", 5432, 5432]
BOTH = {"web": NET, "db": NET}


def told(before, after, kept=None):
    return reach.lines(reach.changes(before, after, before if kept is None else kept))


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (BOTH, BOTH, []),
        (BOTH, {**BOTH, "db": {**NET, "closed": True}}, ["reach - db from web: all ports no more"]),
        (
            BOTH,
            {**BOTH, "db": {**NET, "closed": True, "allow": [{"from": "web", "ports": [PG]}]}},
            ["reach ~ db from web: 5432/tcp, was all ports"],
        ),
        (
            BOTH,
            {**BOTH, "api": NET},
            [
                "reach + api from db, web: all ports",
                "reach + db from api: all ports",
                "reach + web from api: all ports",
            ],
        ),
        (
            {"web": {}, "db": {}},
            {"web": {"ports": [["tcp", 80, 80]]}, "db": {"allow": [{"from": "web", "ports": []}]}},
            ["reach + db from web: all ports", "reach + web from anywhere: 80/tcp"],
        ),
        (
            {"web": {"ports": [["tcp", 80, 80]]}},
            {"web": {"ports": [["tcp", 80, 80]], "sources": ["192.0.2.0/24"]}},
            ["reach + web from 192.0.2.0/24: 80/tcp", "reach - web from anywhere: 80/tcp no more"],
        ),
        (
            BOTH,
            {**BOTH, "db": {**NET, "closed": True, "allow": [{"from": "*", "ports": [PG, ["udp", 1, 9]]}]}},
            ["reach ~ db from web: 5432/tcp, 1-9/udp, was all ports"],
        ),
        (BOTH, {"web": NET}, []),  # what ends needs no words
    ],
)
def test_what_changes_is_said(before, after, wanted):
    assert sorted(told(before, after)) == sorted(wanted)


def test_nothing_is_said_of_what_runs_and_is_not_known():
    assert told({}, BOTH, kept=["web"]) == []
    assert told({}, BOTH, kept=[]) == ["reach + db from web: all ports", "reach + web from db: all ports"]


def test_who_reaches_a_service_by_both_ways_reaches_all():
    after = {**BOTH, "db": {**NET, "allow": [{"from": "web", "ports": [PG]}]}}
    assert told(BOTH, after) == []


def test_many_with_the_same_are_one_line():
    after = {f"s{n:02}": NET for n in range(12)}
    (line,) = told({}, {**after, **{name: {**NET, "closed": True} for name in list(after)[1:]}}, kept=[])
    assert line == "reach + s00 from s01, s02, s03, s04, s05, s06, s07, s08 and 3 more: all ports"


def test_a_host_s_policy_carries_what_it_lets_through():
    services = [
        {"name": "a_x", "stack": "a", "networks": [{"name": "n"}], "template": {}, "closed": True, "allow": []},
        {"name": "a_y", "stack": "a", "networks": [{"name": "n"}], "template": {}},
    ]
    members = [{"service": one["name"], "ip": f"10.128.{n}.2", "node": f"n{n}"} for n, one in enumerate(services)]
    made = model(services, members)
    assert reach.told("# head digest\n" + policy_table(made, "n0")) == {"a_x": {"networks": ["n"], "closed": True}}
    assert reach.told("# head digest\ntable inet stowage {\n}\n") is None


def test_an_allow_that_names_nobody_is_one_error():
    services = [
        {"name": "shop_db", "allow": [{"from": "blog_pge", "ports": []}, {"from": "*", "ports": []}]},
        {"name": "blog_page"},
    ]
    for order in itertools.permutations(services):
        (problem,) = reach.problems(order)
        assert (problem.code, problem.place) == ("STW-ALLOW", "service shop_db")
        assert "did you mean blog_page" in str(problem)
