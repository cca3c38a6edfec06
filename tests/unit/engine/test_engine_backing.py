# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Saving and swapping a volume on the engine in memory: whoever was stopped runs again, whatever happens."""

from __future__ import annotations

import os

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import backing, volumes
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError

RUN = {"id": "r1", "holder": "anna@desk", "controller": {}, "ttl": 600}
SHARE = {"fleet": "lab", "volume": "shop_data", "stack": "shop", "node": "n1", "graces": {}, "repository": "/b"}


class FakeRepository:
    """Keeps what it was asked; fails at the pass that is not the first one if told to."""

    def __init__(self, fails=False):
        self.fails, self.asked = fails, []

    def ensure(self):
        return True

    def save(self, directory, host, tags, incomplete=False):
        self.asked.append(("save", "seed" in tags, incomplete))
        if self.fails and "seed" not in tags:
            raise StowageError(Problem("STW-BACKUP", "repository", "disk full"))
        return {"snapshot": "5eed5eed" if incomplete else "aaaaaaaa", "files": 1, "bytes": 2, "added": 2}

    def forget(self, snapshot):
        self.asked.append(("forget", snapshot))


@pytest.fixture
def db(host, task, monkeypatch):
    """A host whose one container mounts shop_data, and its FakeRepository."""
    assert host.apply("prepare")["problems"] == []
    mount = {"type": "volume", "source": "shop_data", "target": "/data", "read_only": False}
    wanted = {
        "name": "shop_data",
        "driver": "local",
        "driver_opts": {},
        "labels": {},
        "external": False,
        "stack": "shop",
    }
    assert host.start(task(), template={"mounts": [mount]}, volumes=[wanted])["tasks"][0]["ok"]
    host.repository = FakeRepository()
    monkeypatch.setattr(backing, "Repository", lambda *_args: host.repository)
    return host


def asked(host, mode, check=False, **share):
    request = {"mode": mode, "share": {**SHARE, **share}, "secret": {"password": "x"}, "run": RUN}
    return backing.back_up(request, host.root, check, host.engine)


def test_the_first_pass_is_while_it_runs_and_the_second_while_it_stands(db, task):
    db.engine.log.clear()
    found = asked(db, "save")
    assert found["problems"] == []
    assert (found["snapshot"], found["changed"]) == ("aaaaaaaa", True)
    assert db.repository.asked == [("save", True, True), ("save", False, False), ("forget", "5eed5eed")]
    assert [entry[:2] for entry in db.engine.log] == [("stop", task()["name"]), ("start", task()["name"])]


def test_a_save_that_fails_starts_the_users_again(db, task):
    db.repository.fails = True
    found = asked(db, "save")
    assert found["problems"][0]["reason"] == "disk full"
    assert db.engine.states() == {task()["name"]: "running"}
    assert db.repository.asked[-1] == ("forget", "5eed5eed")


def test_nothing_is_done_under_check(db):
    db.engine.log.clear()
    assert asked(db, "save", check=True)["changed"] is True
    assert (db.engine.log, db.repository.asked) == ([], [])


def test_another_run_s_lock_holds(db):
    request = {"mode": "save", "share": SHARE, "secret": {"password": "x"}, "run": {**RUN, "id": "r2"}}
    found = backing.back_up(request, db.root, False, db.engine)
    assert [problem["code"] for problem in found["problems"]] == ["STW-LOCKED"]
    assert db.repository.asked == []


def test_two_directories_are_exchanged_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    backing._exchange(str(tmp_path / "a"), str(tmp_path / "b"))
    assert (os.listdir(tmp_path / "a"), os.listdir(tmp_path / "b")) == (["b"], ["a"])
    with pytest.raises(OSError, match="No such file"):
        backing._exchange(str(tmp_path / "a"), str(tmp_path / "c"))


def test_the_data_from_before_is_never_overwritten(db):
    db.engine.create_volume("shop_data.before", "local", {}, {})
    volumes.mark(db.paths, "shop_data.before", fleet="lab", stack="shop", driver="local", state=volumes.RETIRED)
    found = asked(db, "fetch", snapshot="aaaaaaaa", path="/x", beside=True, generation=2, **{"from": ""})
    assert found["problems"][0]["reason"] == "is there already"
    assert db.repository.asked == []
