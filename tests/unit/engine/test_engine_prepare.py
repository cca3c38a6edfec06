# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Phase prepare: what moved under the plan is named, nothing is touched; images come before anything stops."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.engine import lock


def said(result):
    return [(p["code"], p["place"], p["reason"]) for p in result["problems"]]


def test_nothing_moved(ours, task):
    ours.start(task())
    assert said(ours.apply("prepare", {"expect": ours.observe()["objects"]})) == []


def test_every_object_that_moved_is_named(ours, task):
    first, second = task(1), task(2)
    ours.start(first, second)
    expect = ours.observe()["objects"]
    third = task(3)
    ours.engine.stop(first["name"])
    ours.engine.remove(second["name"])
    ours.start(third)
    ours.engine.log.clear()
    ours.apply("release")
    found = ours.apply("prepare", {"expect": expect, "images": ["app:9"]}, run="r2")
    assert said(found) == [
        ("STW-STALE", f"container {first['name']}", "changed since the plan was made: it is exited now"),
        ("STW-STALE", f"container {second['name']}", "has vanished since the plan was made"),
        ("STW-STALE", f"container {third['name']}", "is new since the plan was made: it is running now"),
    ]
    assert lock.current(ours.paths) is None
    assert ours.engine.log == []


def test_a_volume_that_vanished_or_was_made_anew_is_named(ours, task):
    mounts = {"mounts": [{"type": "volume", "source": "shop_data", "target": "/d"}]}
    ours.start(task(), template=mounts)
    expect = ours.observe()["objects"]
    ours.engine.named_volumes["shop_data"]["CreatedAt"] = "later"
    assert said(ours.apply("prepare", {"expect": expect}))[0][2].endswith("it was made anew")
    del ours.engine.named_volumes["shop_data"]
    assert said(ours.apply("prepare", {"expect": expect}))[0][2].endswith("it is missing now")


def test_health_is_no_reason_to_refuse(ours, task):
    ours.start(task(), image="healthy")
    expect = ours.observe()["objects"]
    ours.engine.held[task()["name"]]["now"] = ("running", "Up 9 days (unhealthy)", 0)
    assert said(ours.apply("prepare", {"expect": expect})) == []


def test_missing_images_are_pulled_and_present_ones_are_not(host):
    host.engine.registry["app:9"] = True
    result = host.apply("prepare", {"images": ["app:9", "plain"]})
    assert (result["changed"], host.engine.log) == (True, [("pull", "app:9")])
    assert [(one["image"], one["bytes"]) for one in result["pulled"]] == [("app:9", 7)]
    again = host.apply("prepare", {"images": ["app:9", "plain"]})
    assert (again["changed"], again.get("pulled")) == (False, None)


def test_an_image_that_cannot_be_had_frees_the_lock(host):
    result = host.apply("prepare", {"images": ["app:9", "app:8"]})
    assert [(code, place) for code, place, _reason in said(result)] == [
        ("STW-PULL", "image app:8"),
        ("STW-PULL", "image app:9"),
    ]
    assert "manifest for app:8 not found" in result["problems"][0]["reason"]
    assert lock.current(host.paths) is None


def test_check_mode_pulls_nothing_and_says_so(host):
    host.engine.registry["app:9"] = True
    result = host.apply("prepare", {"images": ["app:9"]}, check=True)
    assert (result["changed"], host.engine.log) == (True, [])
