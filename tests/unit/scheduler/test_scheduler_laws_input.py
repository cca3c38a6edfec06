"""Whatever is given: a plan or a StowageError, never another exception."""

from __future__ import annotations

import json

from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from hypothesis import given
from hypothesis import strategies as st
from schedule_strategies import fleets

ODD = [
    None,
    True,
    -1,
    10**9,
    10**30,
    0.1,
    float("nan"),
    float("inf"),
    "",
    " ",
    "n1",
    "\x00",
    "\ud800",
    "ß" * 300,
    "a==b",
    "node.labels.x like (a+)+$",
    "node.labels.x version",
    "node.ip == 1.2.3.4/99",
    "*",
    "key=v:Never",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    {1: 2},
    {"name": "n1"},
    {"spread": "node.labels.zone", "max_skew": -1},
    {"published": 10, "published_end": 5},
    {"gpu": ["a", "a"]},
    {"gpu": [1]},
    b"bytes",
]


def spots(value, path=()):
    """The path of every value in it."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from spots(value[key], (*path, key))
    elif isinstance(value, list):
        for at, content in enumerate(value):
            yield from spots(content, (*path, at))


def changed(value, path, new):
    """A copy with another value at the path."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: changed(content, path[1:], new) if key == path[0] else content for key, content in value.items()}
    return [changed(content, path[1:], new) if at == path[0] else content for at, content in enumerate(value)]


def answer(*arguments):
    """A plan that can be written as JSON, or a refusal with at least one problem in words."""
    problems = []
    try:
        json.dumps(schedule(*arguments))
    except StowageError as error:
        problems = error.problems or [None]
    assert all(problem.code.startswith("STW-") and problem.place and problem.reason for problem in problems)


@given(fleets(), st.data())
def test_one_odd_value_anywhere(fleet, data):
    fleet = list(fleet)
    for _turn in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(spots(fleet))))
        odd = data.draw(st.sampled_from(ODD))
        fleet = changed(fleet, path, odd) if path else fleet
    answer(*fleet)


@given(st.lists(st.sampled_from(ODD), min_size=4, max_size=4))
def test_nothing_but_odd_values(values):
    answer(*values)


SOME = st.recursive(
    st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(SOME, SOME, SOME, SOME)
def test_anything(nodes, services, current, options):
    answer(
        [{"name": "n1", "capacity": nodes, "facts": nodes, "taints": current}], [{"name": "s", "affinities": services}]
    )
    answer(nodes, services, current, options)
