# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is stopped beside a start or a removal, on the engine in memory."""

from __future__ import annotations

import time

from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import EngineError


def only(result):
    assert len(result["tasks"]) == 1
    return result["tasks"][0]


def leaving(*tasks, drain=0.0):
    return {
        "drain": drain,
        "tasks": [{"name": one["name"], "service": "shop_web", "slot": one["slot"]} for one in tasks],
    }


def begun(ours, share, task):
    share = {"services": {task["spec"]: {"image": "healthy"}}, "tasks": [task], "volumes": [], **share}
    return ours.apply("start", share)


def test_a_start_drains_and_stops_others_meanwhile(ours, task):
    ours.start(task(1))
    began = time.monotonic()
    result = begun(ours, {"stop": leaving(task(1), drain=0.4)}, task(2))
    assert time.monotonic() - began >= 0.4
    assert ours.engine.log.index(("start", task(2)["name"])) < [entry[0] for entry in ours.engine.log].index("stop")
    assert only(result)["ok"]
    assert [one["name"] for one in result["stopped"]] == [task(1)["name"]]
    assert ours.engine.states() == {task(1)["name"]: "exited", task(2)["name"]: "running"}


def test_a_stop_that_fails_beside_a_start_is_told_and_the_start_is_kept(ours, task, monkeypatch):
    ours.start(task(1))

    def refuse(*_given):
        raise EngineError("it is stuck", 500)

    monkeypatch.setattr(ours.engine, "stop", refuse)
    result = begun(ours, {"stop": leaving(task(1))}, task(2))
    assert only(result)["ok"]
    assert [problem["code"] for problem in result["problems"]] == ["STW-STOP"]


def test_a_removal_stops_first(ours, task):
    ours.start(task(1), task(2))
    there = {"tasks": leaving(task(1), task(2))["tasks"], "stop": leaving(task(2)), "prune": {}}
    ours.apply("stop", leaving(task(1)))
    assert ours.apply("remove", there, check=True)["changed"]
    assert len(ours.engine.states()) == 2
    result = ours.apply("remove", there)
    assert [one["name"] for one in result["stopped"]] == [task(2)["name"]]
    assert (ours.engine.states(), result["problems"]) == ({}, [])
