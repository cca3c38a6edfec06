# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Two runs never work on one host: leases, takeover, expiry, the kernel lock, and real processes racing."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import lock


def code(result):
    return [problem["code"] for problem in result["problems"]]


def test_the_first_run_holds_the_lock_and_the_second_names_it(host):
    assert code(host.apply("prepare", run="r1")) == []
    refused = host.apply("prepare", run="r2")
    assert code(refused) == ["STW-LOCKED"]
    assert "anna@desk-r1" in refused["problems"][0]["reason"]
    assert "run r1" in refused["problems"][0]["reason"]
    assert lock.current(host.paths)["run"] == "r1"


def after(seconds, act):
    """Do something in another thread, later."""
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


def test_of_two_runs_that_lock_at_once_the_older_waits_and_the_younger_gives_way(host):
    host.apply("prepare", run="r2")
    timer = after(0.3, lambda: host.apply("release", run="r2"))
    assert code(host.apply("prepare", run="r1", lock_wait=10)) == []
    timer.join()
    assert code(host.apply("prepare", run="r2", lock_wait=10)) == ["STW-LOCKED"], "the younger does not wait"


def test_a_younger_run_that_works_already_gives_no_way(host):
    host.apply("prepare", run="r2")
    timer = after(0.3, lambda: host.apply("stop", {"tasks": []}, run="r2"))
    began = time.monotonic()
    assert code(host.apply("prepare", run="r1", lock_wait=10)) == ["STW-LOCKED"]
    assert time.monotonic() - began < 5
    timer.join()


def test_nobody_waits_for_a_run_that_is_proved_dead(host):
    host.apply("prepare", run="r2")
    began = time.monotonic()
    assert code(host.apply("prepare", run="r1", takeover="r2", lock_wait=10)) == []
    assert time.monotonic() - began < 5


def test_preparing_again_keeps_the_lock(host):
    host.apply("prepare")
    assert code(host.apply("prepare")) == []


def test_release_gives_the_lock_to_the_next(host):
    host.apply("prepare", run="r1")
    assert host.apply("release", run="r2")["changed"] is False
    assert host.apply("release", run="r1")["changed"] is True
    assert code(host.apply("prepare", run="r2")) == []


def test_takeover_of_a_run_that_was_proved_dead_and_of_no_other(host):
    host.apply("prepare", run="r1")
    assert code(host.apply("prepare", run="r2", takeover="r0")) == ["STW-LOCKED"]
    assert code(host.apply("prepare", run="r2", takeover="r1")) == []
    assert code(host.apply("stop", {"tasks": []}, run="r1")) == ["STW-LOCKED"]


def test_a_lease_ends_by_time(host):
    host.apply("prepare", run="r1", ttl=600)
    path = Path(host.paths.lease)
    path.write_text(json.dumps({**json.loads(path.read_text()), "until_boot": lock.uptime() - 1}))
    assert host.observe()["lock"] is None
    # Nobody took it: it is still ours, and work makes it live again.
    assert code(host.apply("stop", {"tasks": []}, run="r1")) == []
    assert lock.current(host.paths)["run"] == "r1"


def test_a_lease_ends_with_the_boot(host):
    host.apply("prepare", run="r1")
    host.write("proc/sys/kernel/random/boot_id", "boot-2\n")
    assert code(host.apply("stop", {"tasks": []}, run="r1")) == ["STW-LOCKED"]
    assert code(host.apply("prepare", run="r2")) == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"run": "r1"}', '{"run": "r1", "until_boot": "x"}'])
def test_a_broken_lease_binds_nobody(host, text):
    host.write("run/stowage/lock.json", text)
    assert code(host.apply("prepare", run="r2")) == []


@pytest.mark.parametrize("phase", ["start", "stop", "remove", "revive", "endpoints"])
def test_no_phase_works_without_the_lock(host, task, phase):
    share = {"tasks": [task()], "services": {}, "traefik": None, "dns": {}, "ports": ""}
    result = host.apply(phase, share)
    assert code(result) == ["STW-LOCKED"]
    assert "lost" in result["problems"][0]["reason"]
    assert host.engine.log == []


def test_a_refused_start_says_so_for_each_task(host, task):
    result = host.start(task(1), task(2))
    assert [(t["ok"], t["error"][:10]) for t in result["tasks"]] == [(False, "STW-LOCKED")] * 2


def test_a_module_that_still_works_is_waited_for_then_named(host):
    host.apply("prepare", run="r1")
    handle = os.open(host.paths.flock, os.O_RDWR)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        assert host.observe()["busy"] is True
        result = host.apply("prepare", run="r2", takeover="r1", lock_wait=0.2)
        assert code(result) == ["STW-LOCKED"]
        assert "still works here" in result["problems"][0]["reason"]
        assert result["seconds"] >= 0.2
    finally:
        os.close(handle)
    assert code(host.apply("prepare", run="r2", takeover="r1")) == []


def test_check_mode_takes_no_lock_but_sees_one(host):
    assert code(host.apply("prepare", check=True)) == []
    assert not os.path.exists(host.paths.run)
    host.apply("prepare", run="r1")
    assert code(host.apply("prepare", run="r2", check=True)) == ["STW-LOCKED"]


def race(host, run, gate, answers):
    gate.wait()
    answers.put((run, code(host.apply("prepare", run=run, lock_wait=5))))


def test_of_racing_processes_exactly_one_wins(host):
    """Real processes and the real kernel lock; the loser names the winner."""
    context = multiprocessing.get_context("fork")
    for number in range(10):
        gate, answers = context.Barrier(4), context.Queue()
        runs = [context.Process(target=race, args=(host, f"{number}-{n}", gate, answers)) for n in range(4)]
        for process in runs:
            process.start()
        found = dict(answers.get(timeout=20) for _run in runs)
        for process in runs:
            process.join(20)
        winners = [run for run, codes in found.items() if codes == []]
        assert len(winners) == 1, found
        assert lock.current(host.paths)["run"] == winners[0]
        host.apply("release", run=winners[0])


def test_unlock_takes_only_the_named_run_s_lock(host):
    host.apply("prepare", run="r1")
    assert lock.unlock("r2", host.root) is False
    assert lock.unlock("r1", host.root) is True
    assert lock.current(host.paths) is None
