# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host in a temporary directory, beside the engine in memory."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import observe, pulling, ready, start
from ansible_collections.stowage.fleet.plugins.module_utils.engine.apply import apply
from ansible_collections.stowage.fleet.plugins.module_utils.engine.host import Paths
from fake_engine import FakeEngine

NODE = {"index": 1, "block": "10.128.1.0/24", "gateway": "10.128.1.1", "vtep": "10.128.1.0", "address": "192.0.2.11"}


class Host:
    """Carries out shares on the fake engine, with files below a temporary root."""

    def __init__(self, root):
        self.root, self.engine, self.paths = str(root), FakeEngine(), Paths(str(root))
        self.engine.adopted = self.paths.adopted
        self.write("proc/sys/kernel/random/boot_id", "boot-1\n")
        self.write("proc/meminfo", "MemFree: 1 kB\nMemTotal:       2048 kB\n")
        self.write(
            "proc/self/mountinfo", f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {root}/run/stowage/secrets rw - tmpfs t rw\n"
        )
        table = {"nodes": {"n1": NODE}}
        self.write("etc/stowage/network.json", json.dumps({"schema": 1, "node": "n1", "table": table}))

    def write(self, path, text):
        from pathlib import Path

        target = Path(self.root) / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def apply(self, phase, share=None, run="r1", check=False, **more):
        share = {"fleet": "lab", "domain": "fleet", **(share or {})}
        who = {"id": run, "holder": f"anna@desk-{run}", "controller": {}, "ttl": more.pop("ttl", 600)}
        return apply({"run": who, "phase": phase, "share": share, **more}, self.root, check, self.engine)

    def start(self, *tasks, image="plain", **more):
        template = {"image": image, **more.pop("template", {})}
        share = {"services": {}, "tasks": [], "volumes": more.pop("volumes", [])}
        for key in ("recreate_volumes",):
            share[key] = more.pop(key, [])
        for task in tasks:
            share["services"][task["spec"]] = template
            share["tasks"].append(task)
        return self.apply("start", share, **more)

    def observe(self):
        return observe.observe(self.engine, "lab", self.root)


def make_task(number=1, **given):
    """A task of a start share."""
    spec = given.get("spec", digest("spec"))
    base = {
        "name": f"shop_web.{number}.{spec[:8]}",
        "service": "shop_web",
        "stack": "shop",
        "slot": str(number),
        "node": "n1",
        "ip": f"10.128.1.{number + 1}",
        "spec": spec,
        "do": "create",
        "replaces": None,
        "order": "start-first",
        "monitor": 0.0,
        "ready_timeout": 5.0,
        "one_shot": False,
        "publish": True,
    }
    return {**base, **given}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose waits are short."""
    monkeypatch.setattr(ready, "STEADY_SECONDS", 0.02)
    monkeypatch.setattr(ready, "DOWN_SECONDS", 0.05)
    monkeypatch.setattr(start, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(start, "LONGEST_PAUSE", 0.01)
    made = Host(tmp_path)

    def here(_connect, image, paths, _lock):
        """The engine in memory is not another process's."""
        pulling._pull(lambda: made.engine, image, pulling._file(paths, image))

    monkeypatch.setattr(pulling, "_spawn", here)
    return made


@pytest.fixture
def ours(host):
    """The host, locked by run r1."""
    assert host.apply("prepare")["problems"] == []
    return host


@pytest.fixture
def task():
    """make_task, for tests."""
    return make_task
