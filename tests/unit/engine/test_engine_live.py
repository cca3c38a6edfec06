# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs that change under a running container: written in place, signalled, noted, and forgotten with it."""

from __future__ import annotations

import base64
import os

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest, text_digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import client, live

FILE = {
    "kind": "config",
    "name": "c",
    "target": "/etc/c",
    "digest": "",
    "live": True,
    "uid": "0",
    "gid": "0",
    "mode": 292,
}


def given(content, signal="HUP"):
    """A task's `live`, and the contents of a request."""
    key = text_digest(content)
    files = {key: base64.b64encode(content).decode()}
    return {"live": {"signal": signal, "files": {"/etc/c": key}}}, files


def started(ours, task, content, **more):
    values, files = given(content, more.pop("signal", "HUP"))
    return ours.start(task(**values, **more), template={"files": [FILE]}, files=files)


def mounted(ours, task):
    (mount,) = ours.engine.held[task()["name"]]["body"]["HostConfig"]["Mounts"]
    assert mount["ReadOnly"] is True
    return os.path.join(ours.root, mount["Source"].lstrip("/"))


def test_a_new_content_comes_in_place_with_a_signal(ours, task):
    assert started(ours, task, b"one")["tasks"][0]["ok"]
    path = mounted(ours, task)
    before = os.stat(path).st_ino
    ours.engine.log.clear()
    result = started(ours, task, b"three", do="reload")
    assert (result["changed"], result["tasks"][0]["ok"], result["tasks"][0]["changed"]) == (True, True, True)
    with open(path, "rb") as file:
        assert file.read() == b"three"
    assert os.stat(path).st_ino == before
    assert ours.engine.log == [("signal", task()["name"], "HUP")]
    (record,) = ours.observe()["containers"]
    assert record["live"] == digest({"/etc/c": text_digest(b"three")})


def test_a_shorter_content_leaves_nothing_of_the_longer_one(ours, task):
    started(ours, task, b"a long one")
    started(ours, task, b"x", do="reload", signal="")
    with open(mounted(ours, task), "rb") as file:
        assert file.read() == b"x"
    assert not [entry for entry in ours.engine.log if entry[0] == "signal"]


def test_check_writes_and_signals_nothing(ours, task):
    started(ours, task, b"one")
    ours.engine.log.clear()
    values, files = given(b"two")
    result = ours.start(task(do="reload", **values), template={"files": [FILE]}, files=files, check=True)
    assert result["changed"] is True
    assert result["tasks"][0]["changed"] is True
    assert ours.engine.log == []
    with open(mounted(ours, task), "rb") as file:
        assert file.read() == b"one"


def test_a_signal_that_fails_is_not_noted(ours, task, monkeypatch):
    started(ours, task, b"one")

    def fail(name, signal):
        raise live_error("no such process")

    from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import EngineError as live_error

    monkeypatch.setattr(ours.engine, "signal", fail)
    result = started(ours, task, b"two", do="reload")
    assert result["tasks"][0]["error"] == "cannot be started: no such process"
    assert ours.observe()["containers"][0]["live"] == digest({"/etc/c": text_digest(b"one")})


def test_the_files_go_with_the_container(ours, task):
    started(ours, task, b"one")
    keep = {"tasks": [{"name": task()["name"]}], "prune": {"configs": [], "secrets": []}}
    assert os.path.exists(mounted(ours, task))
    ours.apply("stop", keep)
    ours.apply("remove", keep)
    assert live.applied(ours.paths) == {}
    assert os.listdir(os.path.join(ours.paths.configs, "live")) == []


@pytest.mark.parametrize("state", ["exited", "running"])
def test_what_nobody_noted_is_told_as_nothing(ours, task, state):
    ours.start(task())
    assert "live" not in ours.observe()["containers"][0]


@pytest.mark.parametrize(("name", "number"), [("HUP", 1), ("USR1", 10), ("RTMIN+3", 37), ("RTMAX-1", 63)])
def test_signals_by_name(name, number):
    assert client.signal_number(name) == number


def test_a_signal_that_is_none_is_refused():
    with pytest.raises(ValueError, match="FOO is no signal"):
        client.signal_number("FOO")
