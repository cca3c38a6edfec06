# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who does not serve, and who is restarted: a row for each case."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.health import judge
from ansible_collections.stowage.fleet.plugins.module_utils.health.judge import Container, Restarts, Streak

PROBE = {"kind": "http", "port": 80, "path": "/", "retries": 2, "interval": 1.0, "timeout": 1.0, "start_period": 0.0}
GUESS = {**PROBE, "guess": True}
TASKS = (
    {"service": "shop_web", "slot": "1", "node": "n1", "ip": "10.0.0.1"},
    {"service": "shop_web", "slot": "2", "node": "n2", "ip": "10.0.1.1"},
)


def container(state="running", health="none", status="Up"):
    return Container("a" * 64, state, health, status, "shop_web", "1", "10.0.0.1")


def reason(containers, health=None, streak=None, tasks=TASKS):
    streaks = {("a" * 64, "ready"): streak} if streak else {}
    found = judge.withheld(tasks, "n1", containers, {"shop_web": health or {}}, streaks)
    assert set(found) <= {"10.0.0.1"}, "only this host's own"
    return found.get("10.0.0.1", {}).get("reason", "")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "its container is gone"),
        ([container("exited", status="Exited (137) 1 second ago")], "Exited (137) 1 second ago"),
        ([container("paused", status="Up (Paused)")], "Up (Paused)"),
        ([container(health="unhealthy")], "unhealthy"),
        ([container(health="starting")], "starting, not healthy yet"),
        ([container(health="healthy")], ""),
        ([container()], ""),
    ],
)
def test_by_what_the_engine_says(found, said):
    assert reason(found) == said


@pytest.mark.parametrize(
    ("spec", "streak", "said"),
    [
        (PROBE, None, ""),
        (PROBE, Streak(1, "refused", False, True), "not ready: refused"),
        (PROBE, Streak(1, "refused", True, True), ""),
        (PROBE, Streak(2, "refused", True, True), "not ready: refused"),
        (GUESS, Streak(9, "refused", False, True), ""),
        (GUESS, Streak(1, "no answer", True, True), ""),
        (GUESS, Streak(2, "no answer", True, True), "not ready: no answer"),
    ],
)
def test_by_what_a_probe_says(spec, streak, said):
    assert reason([container(health="healthy")], {"ready": spec}, streak) == said


def test_a_guess_never_takes_the_last_task_away_and_a_stated_probe_does():
    failing = Streak(5, "no answer", True, True)
    assert reason([container()], {"ready": GUESS}, failing, TASKS[:1]) == ""
    assert reason([container()], {"ready": PROBE}, failing, TASKS[:1]) != ""


def test_a_probe_that_passes_does_not_wait_for_the_first_healthcheck_after_a_restart():
    assert reason([container(health="starting")], {"ready": GUESS}, Streak(0, "", True, True)) == ""


def test_a_streak_counts_and_ends():
    streak = judge.step(judge.step(Streak(), "a"), "b")
    assert streak == Streak(2, "b", False, True)
    assert judge.step(streak, "") == Streak(0, "", True, True)
    assert judge.step(judge.step(streak, ""), "c") == Streak(1, "c", True, True)


@pytest.mark.parametrize(
    ("one", "health", "streak", "done", "expected"),
    [
        (container(health="unhealthy"), {}, Streak(), Restarts(), (0, True)),
        (container(health="unhealthy"), {"restart": "none"}, Streak(), Restarts(), (0, False)),
        (container(health="unhealthy"), {"live": PROBE}, Streak(0, "", True, True), Restarts(), (0, False)),
        (container(health="healthy"), {"live": PROBE}, Streak(2, "x", True, True), Restarts(), (0, True)),
        (container(health="healthy"), {"live": PROBE}, Streak(1, "x", True, True), Restarts(), (0, False)),
        (container("exited"), {}, Streak(), Restarts(), (0, False)),
        (container(health="unhealthy"), {}, Streak(), Restarts(1, 100.0), (109, False)),
        (container(health="unhealthy"), {}, Streak(), Restarts(1, 100.0), (110, True)),
        (container(health="unhealthy"), {}, Streak(), Restarts(2, 100.0), (119, False)),
        (container(health="unhealthy"), {"max_attempts": 2}, Streak(), Restarts(2, 0.0), (1e6, False)),
        (container(health="unhealthy"), {}, Streak(), Restarts(40, 0.0), (301, True)),
    ],
)
def test_restarts_by_policy_and_with_patience(one, health, streak, done, expected):
    now, restarted = expected
    assert bool(judge.must_restart(one, health, streak, done, float(now))) is restarted
