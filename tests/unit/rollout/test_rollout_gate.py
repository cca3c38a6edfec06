"""The gate's policies: what a rollback goes by, and what stops a roll whatever its policy says."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from fake_fleet import POLICY

CHANGES = [{"service": "shop_web", "slot": str(at), "change": "replace"} for at in range(4)]
STEP = {"phase": "start", "wave": 1, "hosts": {"n1": {"tasks": []}}}


def judged(update="pause", rollback="pause", back=False, **more):
    """The state after one task of four has failed."""
    task = {"name": "a", "service": "shop_web", "slot": "1", "node": "n1", "old": None, "publish": True}
    policies = {"update": {**POLICY, "failure_action": update}, "rollback": {**POLICY, "failure_action": rollback}}
    plan = {"services": {"shop_web": {"name": "shop_web", **policies, **more}}, "changes": CHANGES}
    state = rollout.begin([])
    if back:
        state = rollout.resume({**state, "rollback": ["shop_web"]})
    step = {**STEP, "hosts": {"n1": {"tasks": [task]}}}
    return rollout.judge(plan, state, step, {"n1": {"tasks": [{"name": "a", "ok": False, "error": "exited (1)"}]}})


@pytest.mark.parametrize(
    ("update", "rollback", "back", "stops"),
    [
        ("pause", "continue", False, True),
        ("continue", "pause", False, False),
        ("pause", "continue", True, False),
        ("continue", "pause", True, True),
        ("rollback", "pause", True, True),
    ],
)
def test_an_update_goes_by_its_policy_and_a_rollback_by_the_other(update, rollback, back, stops):
    assert (judged(update, rollback, back)["last_wave"] is not None) == stops


def test_a_job_that_others_wait_for_stops_the_roll_whatever_its_policy():
    assert judged("continue")["last_wave"] is None
    assert judged("continue", must_end=True)["last_wave"] == 1


@pytest.mark.parametrize(("since", "left"), [(0.0, 3.0), (1.25, 1.75), (9.0, 0.0)])
def test_a_drain_counts_from_when_all_hosts_were_told(since, left):
    state = rollout.begin([])
    stop = {"tasks": [{"name": "web.1"}], "drain": 3.0}
    step = {"phase": "stop", "wave": 1, "hosts": {"n1": stop}}
    assert rollout.share(state, step, "n1", since)["drain"] == left
    beside = {"phase": "start", "wave": 2, "closes": 1, "hosts": {"n1": {"services": {}, "tasks": [], "stop": stop}}}
    assert rollout.share(state, beside, "n1", since)["stop"]["drain"] == left
    assert stop["drain"] == 3.0
