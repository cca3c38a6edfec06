# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pulls by processes of their own: they outlive a call, two callers share one, and one that died is told."""

from __future__ import annotations

import os
import signal
import time

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import client, pulling
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import Engine, EngineError
from ansible_collections.stowage.fleet.plugins.module_utils.engine.host import Paths
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import pulling_line, step_lines


class Disk:
    """An engine whose images are files, so that all processes see the same. A pull ends once `goes` is there."""

    def __init__(self, root):
        self.root = root

    def has_image(self, image):
        return (self.root / image).exists()

    def pull(self, image, tell):
        if image == "bad":
            raise EngineError("manifest for bad not found", 404)
        with (self.root / "pullers").open("a") as file:
            file.write(f"{os.getpid()}\n")
        while not (self.root / "goes").exists():
            tell({"a": (2, 5), "b": (1, 4)})
            time.sleep(0.02)
        tell({"a": (5, 5), "b": (4, 4)})
        (self.root / image).touch()

    def pullers(self):
        return [int(line) for line in (self.root / "pullers").read_text().split()]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "WRITE", 0.01)
    made = Disk(tmp_path)
    yield made
    (tmp_path / "goes").touch()


def fetch(disk, *images, patience=0.3):
    return pulling.fetch(disk, lambda: disk, images, Paths(str(disk.root / "host")), patience)


def test_a_pull_outlives_the_call_and_a_second_one_joins_it(disk):
    found = fetch(disk, "app")
    assert found == {"pulled": [], "pulling": [{"image": "app", "done": 3, "total": 9}], "problems": []}
    assert fetch(disk, "app")["pulling"] == found["pulling"]
    assert len(disk.pullers()) == 1
    (disk.root / "goes").touch()
    found = fetch(disk, "app", patience=20)
    assert [(one["image"], one["bytes"]) for one in found["pulled"]] == [("app", 9)]
    assert (found["pulling"], found["problems"]) == ([], [])
    assert fetch(disk, "app") == {"pulled": [], "pulling": [], "problems": []}


def test_what_fails_says_why_and_can_be_tried_again(disk):
    for _try in range(2):
        found = fetch(disk, "bad", patience=20)
        assert [(p.code, p.place, p.reason) for p in found["problems"]] == [
            ("STW-PULL", "image bad", "manifest for bad not found")
        ]


def test_a_pull_that_was_killed_is_begun_anew_by_the_next_call(disk):
    fetch(disk, "app")
    os.kill(disk.pullers()[0], signal.SIGKILL)
    (disk.root / "goes").touch()
    found = fetch(disk, "app", patience=20)
    assert [one["image"] for one in found["pulled"]] == ["app"]
    assert len(disk.pullers()) == 2


def test_a_pull_that_dies_while_one_waits_is_a_problem(disk, monkeypatch):
    monkeypatch.setattr(disk, "pull", lambda _image, _tell: os._exit(1))
    assert [p.reason for p in fetch(disk, "app", patience=20)["problems"]] == ["the pull was interrupted"]


def test_the_bytes_of_a_pull_s_layers_are_counted():
    events = [
        {"status": "Pulling from shop/web", "id": "1.8"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 5, "total": 50}},
        {"status": "Download complete", "id": "a", "progressDetail": {}},
        {"status": "Extracting", "id": "a", "progressDetail": {"current": 3, "total": 100}},
        {"status": "Already exists", "id": "c", "progressDetail": {}},
    ]

    class Api:
        base_url = "http://engine"

        def pull(self, repository, **_more):
            assert repository == "app"
            return iter(events)

    told = []
    engine = Engine(Api())
    engine.has_image = lambda _image: True
    engine.pull("app:1", lambda layers: told.append(dict(layers)))
    assert told[-1] == {"a": (100, 100), "b": (5, 50)}
    assert len(told) == 3
    assert client._counted({}, {"status": "Downloading", "id": "x"}) is False


def test_the_lines():
    pulled = {"pulled": [{"image": "shop/web:1.8", "bytes": 41943040, "seconds": 3.24}]}
    assert step_lines("n1", pulled) == ["  n1 pulled shop/web:1.8: 41.9 MB in 3.2 s"]
    many = [{"image": f"app:{number}", "done": 1e6, "total": 2e6} for number in range(8)]
    line = pulling_line("n1", many)
    assert line.startswith("  n1 pulling app:0 1.0 MB of 2.0 MB, app:1")
    assert line.endswith("and 2 more")
