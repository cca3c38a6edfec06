# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs that change without a restart: a change of their own, in waves, and then nothing to do."""

from __future__ import annotations

from fake_fleet import FakeFleet, compiled, service


def wanted(content, signal="HUP", **more):
    one = service("web", replicas=3, update={"parallelism": 1}, **more)
    return compiled({**one, "live": {"signal": signal, "files": {"/c": content}}})


def test_a_changed_config_is_a_reload_in_waves_and_then_all_is_well():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(wanted("one")))
    assert fleet.plan(wanted("one"))["steps"] == []
    before = fleet.running()
    plan = fleet.plan(wanted("two"))
    assert [(c["change"], c["do"], c["reason"]) for c in plan["changes"]] == [
        ("reload", "reload", "its configs changed (signal HUP)")
    ] * 3
    assert plan["summary"]["reload"] == 3
    assert [len(s["hosts"]) for s in plan["steps"] if s["phase"] == "start"] == [1, 1, 1]
    assert not [s for s in plan["steps"] if s["phase"] in ("stop", "remove")]
    fleet.apply(plan)
    assert fleet.running() == before
    assert fleet.plan(wanted("two"))["steps"] == []


def test_another_signal_alone_changes_nothing():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(wanted("one")))
    assert fleet.plan(wanted("one", signal=""))["changes"] == []


def test_a_new_image_replaces_and_brings_the_new_config():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(wanted("one")))
    plan = fleet.plan(wanted("two", image="web:2"))
    assert {c["change"] for c in plan["changes"]} == {"replace"}
    fleet.apply(plan)
    assert fleet.plan(wanted("two", image="web:2"))["steps"] == []


def test_an_ended_one_is_started_again_and_has_the_new_config_then():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(wanted("one")))
    host = next(host for host in fleet.hosts.values() if host["containers"])
    next(iter(host["containers"].values())).update(state="exited", exit_code=1, health="none")
    plan = fleet.plan(wanted("two"))
    assert sorted(c["change"] for c in plan["changes"]) == ["reload", "reload", "start"]
    fleet.apply(plan)
    assert fleet.plan(wanted("two"))["steps"] == []


def test_changed_secrets_are_named_as_such():
    fleet = FakeFleet()
    files = [{"kind": "secret", "name": "s", "target": "/c", "digest": "", "live": True}]
    one, two = wanted("one"), wanted("two")
    for made in (one, two):
        made["services"][0]["template"]["files"] = files
    fleet.apply(fleet.plan(one))
    assert {c["reason"] for c in fleet.plan(two)["changes"]} == {"its secrets changed (signal HUP)"}
