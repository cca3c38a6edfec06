"""Saved plans: whole, ours, and refused when what they were made from has changed."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from fake_fleet import FakeFleet, compiled, service


def made():
    return FakeFleet().plan(compiled(service("web", replicas=2)))


def test_a_saved_plan_reads_back_as_it_was():
    plan = made()
    assert rollout.parse(rollout.dump(plan), "plan.json", "test") == json.loads(json.dumps(plan))


def tampered(text):
    plan = json.loads(text)
    plan["changes"][0]["node"] = "n9"
    return json.dumps(plan)


@pytest.mark.parametrize(
    ("spoil", "contains"),
    [
        (lambda text: "", "not JSON"),
        (lambda text: text[:-40], "not JSON"),
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: "{}", "is not a plan"),
        (tampered, "was changed after it was made"),
        (lambda text: text.replace('"schema": 1', '"schema": 99', 1), "schema"),
    ],
)
def test_a_spoiled_plan_is_refused(spoil, contains):
    with pytest.raises(StowageError, match=r"STW-PLAN plan\.json") as caught:
        rollout.parse(spoil(rollout.dump(made())), "plan.json", "test")
    assert contains in str(caught.value)


def test_a_plan_for_another_fleet_is_refused():
    with pytest.raises(StowageError, match="is for fleet"):
        rollout.parse(rollout.dump(made()), "plan.json", "production")


def test_changed_inputs_make_a_plan_stale_and_are_named():
    fleet, plan = FakeFleet(), made()
    same = rollout.made_from(fleet.fleet(), compiled(service("web", replicas=2)), {}, {})
    rollout.refuse_stale_inputs(plan, same)
    other = rollout.made_from(fleet.fleet(), compiled(service("web", replicas=3)), {}, {})
    with pytest.raises(StowageError, match="STW-STALE service shop_web"):
        rollout.refuse_stale_inputs(plan, other)


def test_texts_are_short_printable_lines():
    plan = made()
    for line in rollout.plan_lines(plan):
        assert len(line) <= 300
        assert line.isprintable()
    assert rollout.safe("\x1b[31mred\n\u202e") == "\\x1b[31mred\\n\\u202e"


@pytest.mark.parametrize("approved", ["3f2a9c0d", "3f2a9c0d11aa", "3f2a9c0d11aa" + "0" * 52])
def test_the_approved_plan_is_let_through(approved):
    rollout.refuse_unapproved({"digest": "3f2a9c0d11aa" + "0" * 52}, approved)


@pytest.mark.parametrize(
    ("approved", "code"),
    [("3f2a9c0e", "STW-STALE"), ("3f2a9c0d11aa1", "STW-STALE"), ("3f2a", "STW-OPTION"), ("yes, please", "STW-OPTION")],
)
def test_another_plan_or_no_digest_is_refused(approved, code):
    with pytest.raises(StowageError) as caught:
        rollout.refuse_unapproved({"digest": "3f2a9c0d11aa" + "0" * 52}, approved)
    assert [problem.code for problem in caught.value.problems] == [code]
