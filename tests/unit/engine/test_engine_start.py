# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Phases start, stop, remove and revive on the engine in memory: the good way and every way it fails."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import text_digest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import deliver
from ansible_collections.stowage.fleet.plugins.module_utils.engine import boot_secrets, volumes
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import EngineError
from ansible_collections.stowage.fleet.plugins.module_utils.network.converge import NetworkError


def only(result):
    assert len(result["tasks"]) == 1
    return result["tasks"][0]


def test_tasks_are_created_started_and_ready(ours, task):
    result = ours.start(task(1), task(2), image="healthy")
    assert result["changed"] is True
    assert [(t["ok"], t["state"], t["health"], t["error"]) for t in result["tasks"]] == [
        (True, "running", "healthy", "")
    ] * 2
    body = ours.engine.held[task(1)["name"]]["body"]
    assert body["HostConfig"]["Dns"] == ["10.128.1.1"]
    assert body["MacAddress"] == "02:42:0a:80:01:02"


def test_starting_again_changes_nothing(ours, task):
    ours.start(task())
    ours.engine.log.clear()
    result = ours.start(task())
    assert (result["changed"], only(result)["ok"], ours.engine.log) == (False, True, [])


@pytest.mark.parametrize(
    ("image", "given", "error"),
    [
        ("exits", {"monitor": 0.3}, "exited (3)"),
        ("unhealthy", {}, "unhealthy"),
        ("loops", {}, "it ends again and again: exited (1), 3 restarts"),
        ("flaps", {"monitor": 0.1}, "restarted 1 times in 0 s"),
        ("stuck", {"ready_timeout": 0.1}, "not healthy after 0 s"),
        ("app:9", {}, "cannot be started: No such image"),
    ],
)
def test_a_failed_task_is_told_and_leaves_nothing(ours, task, image, given, error):
    result = only(ours.start(task(**given), image=image))
    assert (result["ok"], result["error"]) == (False, error)
    assert ours.engine.states() == {}


def test_the_log_s_last_lines_come_escaped_and_cut(ours, task):
    log = only(ours.start(task(), image="unhealthy"))["log"]
    assert log[-1].startswith("\\x1b[31mboom {{ secret }}\\x00xxx")
    assert len(log[-1]) == 200
    assert len(log) == 10
    assert sum(map(len, log)) <= 1000


def test_one_bad_task_does_not_hurt_its_neighbour(ours, task):
    share = {
        "services": {"a": {"image": "plain"}, "b": {"image": "unhealthy"}},
        "tasks": [task(1, spec="a"), task(2, spec="b")],
        "volumes": [],
    }
    result = ours.apply("start", share)
    assert [t["ok"] for t in result["tasks"]] == [True, False]
    assert ours.engine.states() == {task(1, spec="a")["name"]: "running"}


def test_stop_first_stops_the_old_one_before_the_new_one_starts(ours, task):
    old = task(1, spec="0" * 64)
    ours.start(old)
    ours.engine.log.clear()
    new = task(1, replaces=old["name"], order="stop-first")
    assert only(ours.start(new))["ok"]
    assert [entry[:2] for entry in ours.engine.log] == [
        ("create", new["name"]),
        ("stop", old["name"]),
        ("start", new["name"]),
    ]


def test_stop_first_puts_the_old_one_back_when_the_new_one_fails(ours, task):
    old = task(1, spec="0" * 64)
    ours.start(old)
    result = only(ours.start(task(1, replaces=old["name"], order="stop-first", monitor=0.3), image="exits"))
    assert (result["ok"], result["restored"]) == (False, True)
    assert ours.engine.states() == {old["name"]: "running"}


def test_stop_first_puts_back_what_an_earlier_step_stopped(ours, task):
    old = task(1, spec="0" * 64)
    ours.start(old)
    ours.apply("stop", {"tasks": [{"name": old["name"], "grace": 1}]})
    assert only(ours.start(task(1, replaces=old["name"], order="stop-first"), image="app:9"))["restored"] is True
    assert ours.engine.states() == {old["name"]: "running"}


def test_a_one_shot_task_is_done_when_it_ends_with_zero(ours, task):
    assert only(ours.start(task(one_shot=True), image="done"))["ok"] is True
    assert only(ours.start(task(2, one_shot=True), image="exits"))["error"] == "exited (3)"
    assert only(ours.start(task(3, one_shot=True, ready_timeout=0.1), image="plain"))["ok"] is True


def test_an_end_with_zero_is_fine_for_on_failure_and_a_failure_for_any(ours, task):
    template = {"restart": {"condition": "on-failure"}}
    assert only(ours.start(task(1, monitor=0.3), image="done", template=template))["ok"] is True
    assert only(ours.start(task(2, monitor=0.3), image="done"))["error"] == "exited (0)"


def test_an_application_may_give_up_once_while_its_database_starts(ours, task):
    assert only(ours.start(task(), image="slow-db"))["ok"] is True


def test_a_stopped_container_is_started_and_a_paused_one_goes_on(ours, task):
    ours.start(task(1), task(2))
    ours.engine.stop(task(1)["name"])
    ours.engine.held[task(2)["name"]]["now"] = ("paused", "Up 1 second (Paused)", 0)
    ours.engine.log.clear()
    result = ours.start(task(1, do="start"), task(2, do="start"))
    assert [t["ok"] for t in result["tasks"]] == [True, True]
    assert sorted(ours.engine.log) == [("start", task(1)["name"]), ("unpause", task(2)["name"])]


def test_a_container_to_start_that_is_gone_is_made_from_its_definition(ours, task):
    assert only(ours.start(task(do="start")))["ok"] is True


def test_a_container_to_start_that_fails_is_kept(ours, task):
    ours.start(task())
    ours.engine.held[task()["name"]].update(now=("exited", "Exited (1) x", 0))
    ours.engine.held[task()["name"]]["body"]["Image"] = "unhealthy"
    assert only(ours.start(task(do="start")))["ok"] is False
    assert task()["name"] in ours.engine.held


@pytest.mark.parametrize("labels", [{}, {"stowage.fleet": "other"}, {"stowage.fleet": "lab", "stowage.spec": "x"}])
def test_a_stranger_with_our_name_is_refused_and_left_alone(ours, task, labels):
    ours.engine.create(task()["name"], {"Image": "plain", "Labels": labels, "HostConfig": {}})
    ours.engine.log.clear()
    result = only(ours.start(task()))
    assert result["error"].startswith(f"STW-NAME container {task()['name']}: ")
    assert ours.engine.log == []
    for phase in ("stop", "remove"):
        refused = ours.apply(phase, {"tasks": [{"name": task()["name"]}]})
        assert [p["code"] for p in refused["problems"]] == ["STW-NAME"]
    assert ours.engine.log == []


def test_a_lost_answer_to_create_is_no_failure(ours, task, monkeypatch):
    """The call reached the Engine, the answer did not, the retry finds the name in use: by what was asked for."""
    create = ours.engine.create

    def lossy(name, body):
        create(name, body)
        raise EngineError("name is in use", 409)

    monkeypatch.setattr(ours.engine, "create", lossy)
    assert only(ours.start(task()))["ok"] is True


def test_check_mode_starts_nothing_and_says_what_would_be(host, task):
    mounts = {"mounts": [{"type": "volume", "source": "v", "target": "/d"}]}
    result = host.start(task(), template=mounts, check=True)
    assert (result["changed"], host.engine.log, host.engine.named_volumes) == (True, [], {})


# Volumes


WATCH = {"node": "n1", "services": []}
MOUNTS = {"mounts": [{"type": "volume", "source": "shop_data", "target": "/d"}]}
VOLUME = {"name": "shop_data", "driver": "local", "driver_opts": {"o": "x"}, "labels": {"k": "v"}, "stack": "shop"}


def test_a_volume_is_made_with_labels_and_claimed(ours, task):
    assert only(ours.start(task(), template=MOUNTS, volumes=[VOLUME]))["ok"] is True
    made = ours.engine.named_volumes["shop_data"]
    assert (made["Driver"], made["Options"]) == ("local", {"o": "x"})
    assert (made["Labels"]["k"], made["Labels"]["stowage.volume"]) == ("v", "shop_data")
    assert ours.observe()["volume_claims"] == ["shop_data"]


def test_a_claimed_volume_that_is_missing_is_never_replaced_by_an_empty_one(ours, task):
    ours.start(task(), template=MOUNTS, volumes=[VOLUME])
    ours.engine.remove(task()["name"])
    del ours.engine.named_volumes["shop_data"]
    result = only(ours.start(task(), template=MOUNTS, volumes=[VOLUME]))
    assert result["error"].startswith("STW-VOLUME volume shop_data: was made here once and is missing")
    assert ours.engine.named_volumes == {}
    assert ours.engine.states() == {}
    again = ours.start(task(), template=MOUNTS, volumes=[VOLUME], recreate_volumes=["shop_data"])
    assert only(again)["ok"] is True


@pytest.mark.parametrize(
    ("present", "volume", "reason"),
    [
        (None, {"external": True}, "is external and not on this host"),
        ({"Driver": "nfs", "Options": {"o": "x"}}, {}, "has driver 'nfs', wanted 'local'"),
        ({"Driver": "local", "Options": {"o": "y"}}, {}, "has other driver_opts: o differ"),
    ],
)
def test_a_volume_that_is_not_what_is_wanted_blocks_its_task(ours, task, present, volume, reason):
    if present:
        ours.engine.named_volumes["shop_data"] = {"Name": "shop_data", "Labels": None, "CreatedAt": "t", **present}
    result = ours.start(task(1), template=MOUNTS, volumes=[{**VOLUME, **volume}])
    assert f"STW-VOLUME volume shop_data: {reason}" in only(result)["error"]
    assert ours.engine.states() == {}


def test_a_volume_with_a_placeholder_is_made_per_slot(ours, task):
    mounts = {"mounts": [{"type": "volume", "source": "d-{{.Task.Slot}}", "target": "/d"}]}
    ours.start(task(1), task(2), template=mounts, volumes=[{**VOLUME, "name": "d-{{.Task.Slot}}"}])
    assert {name: v["Options"] for name, v in ours.engine.named_volumes.items()} == {
        "d-1": {"o": "x"},
        "d-2": {"o": "x"},
    }


def test_a_stranger_s_volume_of_that_name_is_used_and_claimed(ours, task):
    ours.engine.named_volumes["shop_data"] = {"Name": "shop_data", "Driver": "local", "Options": None, "Labels": None}
    assert only(ours.start(task(), template=MOUNTS))["ok"] is True
    assert ours.observe()["volume_claims"] == ["shop_data"]


# Files


def wanted(kind, content, **given):
    target = f"/run/secrets/{kind}" if kind == "secret" else "/f"
    return {"kind": kind, "name": f"shop_{kind}", "target": target, "digest": text_digest(content), **given}


def sent(*contents):
    return {text_digest(content): base64.b64encode(content.encode()).decode() for content in contents}


def mode_of(path):
    return oct(os.stat(path).st_mode & 0o7777)


def test_configs_and_secrets_are_written_before_the_start(ours, task):
    files = [wanted("config", "conf"), wanted("secret", "hush", mode=0o400)]
    given = {"template": {"files": files}, "files": sent("conf"), "secrets": sent("hush")}
    assert only(ours.start(task(), **given))["ok"] is True
    config = os.path.join(ours.paths.configs, text_digest("conf"))
    (mount,) = [m for m in ours.engine.held[task()["name"]]["body"]["HostConfig"]["Mounts"] if "secrets" in m["Target"]]
    assert (mount["Target"], mount["ReadOnly"]) == ("/run/secrets", True)
    secret = os.path.join(ours.root, mount["Source"].lstrip("/"), "secret")
    assert (Path(config).read_text(), mode_of(config)) == ("conf", "0o444")
    assert (Path(secret).read_text(), mode_of(secret)) == ("hush", "0o400")
    again = ours.start(task(), **given)
    assert again["changed"] is False
    assert "hush" not in json.dumps(again)


def test_a_file_somebody_changed_is_put_right(ours, task):
    given = {"template": {"files": [wanted("config", "conf")]}, "files": sent("conf")}
    ours.start(task(), **given)
    path = os.path.join(ours.paths.configs, text_digest("conf"))
    os.chmod(path, 0o600)
    Path(path).write_text("evil")
    assert ours.start(task(), **given)["changed"] is True
    assert Path(path).read_text() == "conf"


def test_no_secret_goes_to_a_disk(ours, task, monkeypatch):
    ours.write("proc/self/mountinfo", "1 0 0:1 / / rw - ext4 x rw\n")
    monkeypatch.setattr(boot_secrets, "MOUNTS", (("nosuchfs", "mode=0700"),))
    given = {"template": {"files": [wanted("secret", "hush")]}, "secrets": sent("hush")}
    result = only(ours.start(task(), **given))
    assert result["error"].startswith("STW-SECRET secrets of shop_web: neither tmpfs with noswap nor ramfs")
    assert os.listdir(ours.paths.secrets) == []
    assert ours.engine.states() == {}


@pytest.mark.parametrize(
    ("files", "reason"), [({}, "was not sent"), ({text_digest("conf"): "ZXZpbA=="}, "not what was planned")]
)
def test_a_missing_or_wrong_file_blocks_its_task(ours, task, files, reason):
    result = only(ours.start(task(), template={"files": [wanted("config", "conf")]}, files=files))
    assert result["error"].startswith("STW-FILE config shop_config: ")
    assert reason in result["error"]


def test_surplus_files_go_but_not_what_is_kept_or_mounted(ours, task):
    files = [wanted("config", "a"), wanted("config", "b"), wanted("config", "c", mode=0o400)]
    ours.start(task(), template={"files": files}, files=sent("a", "b", "c"))
    held = ours.engine.held[task()["name"]]["body"]["HostConfig"]
    held["Mounts"] = [{"Source": os.path.join(ours.paths.configs, text_digest("a"))}]
    share = {"tasks": [], "prune": {"configs": [text_digest("b")], "secrets": []}}
    assert ours.apply("remove", share, check=True)["changed"] is True
    assert len(os.listdir(ours.paths.configs)) == 3
    assert ours.apply("remove", share)["changed"] is True
    assert sorted(os.listdir(ours.paths.configs)) == sorted([text_digest("a"), text_digest("b")])
    assert ours.apply("remove", share)["changed"] is False


# Stop, remove, revive


def test_stop_keeps_remove_takes_away_and_both_can_be_repeated(ours, task):
    ours.start(task(1), task(2), template=MOUNTS)
    names = [{"name": task(n)["name"], "grace": 2.5} for n in (1, 2, 3)]
    assert ours.apply("stop", {"tasks": names}, check=True)["changed"] is True
    assert set(ours.engine.states().values()) == {"running"}
    assert ours.apply("stop", {"tasks": names})["changed"] is True
    assert set(ours.engine.states().values()) == {"exited"}
    assert ours.apply("stop", {"tasks": names})["changed"] is False
    assert ours.apply("remove", {"tasks": names}, check=True)["changed"] is True
    assert len(ours.engine.held) == 2
    assert ours.apply("remove", {"tasks": names})["changed"] is True
    assert ours.engine.states() == {}
    assert ours.apply("remove", {"tasks": names})["changed"] is False
    assert "shop_data" in ours.engine.named_volumes


def test_revive_starts_what_was_kept(ours, task):
    ours.start(task(1))
    ours.engine.stop(task(1)["name"])
    tasks = [{"name": task(1)["name"], "ready_timeout": 1, "monitor": 0}, {"name": "gone"}]
    result = ours.apply("revive", {"tasks": tasks})
    assert [(t["ok"], t["error"]) for t in result["tasks"]] == [(True, ""), (False, "it is not on this host any more")]


def test_a_failing_call_of_one_container_is_told_and_the_others_go_on(ours, task, monkeypatch):
    ours.start(task(1), task(2))
    stop = ours.engine.stop

    def refuses(name, grace=None):
        if name == task(1)["name"]:
            raise EngineError("device or resource busy", 500)
        stop(name, grace)

    monkeypatch.setattr(ours.engine, "stop", refuses)
    result = ours.apply("stop", {"tasks": [{"name": task(n)["name"]} for n in (1, 2)]})
    assert [(p["code"], p["reason"]) for p in result["problems"]] == [("STW-STOP", "device or resource busy")]
    assert ours.engine.states()[task(2)["name"]] == "exited"


# Trouble of the host itself


def test_a_full_disk_is_told_and_is_no_crash(ours, task, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device", "/var/lib/stowage/volumes.json")

    monkeypatch.setattr(volumes, "write_atomic", full)
    result = ours.start(task(), template=MOUNTS)
    assert [(p["code"], p["reason"]) for p in result["problems"]] == [
        ("STW-HOST", "No space left on device (/var/lib/stowage/volumes.json)")
    ]
    assert only(result)["ok"] is False


def test_ports_that_the_kernel_refuses_are_told(ours, monkeypatch):
    def refuses(*_args, **_kwargs):
        raise NetworkError("nft -f: syntax error, line 3")

    monkeypatch.setattr(deliver, "deliver", refuses)
    result = ours.apply("endpoints", {"tasks": [], "traefik": None, "dns": {}, "ports": "x", "watch": WATCH})
    assert [(p["code"], p["reason"]) for p in result["problems"]] == [("STW-PORTS", "nft -f: syntax error, line 3")]


def test_endpoints_are_delivered_once(ours):
    share = {"tasks": [], "traefik": None, "dns": {"shop_web": "10.0.0.1 web\n"}, "ports": "", "watch": WATCH}
    assert ours.apply("endpoints", share, check=True)["changed"] is True
    assert ours.apply("endpoints", share)["changed"] is True
    assert ours.apply("endpoints", share)["changed"] is False
    assert ours.observe()["endpoints"]["tasks"] == []
