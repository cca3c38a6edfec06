"""The registry and a run: rolling back by hand without one, and what an operator sees while one is slow."""

from __future__ import annotations

import os
import re
import subprocess
import threading

import pytest
from test_deploy import shop

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-rollout runs it (STOWAGE_LONG=1)"),
]
CONFIG = "configs:\n  motto: {content: '%s'}\n"


def motto(version, words):
    text = shop(version, more=CONFIG % words)
    return text.replace("    healthcheck:", "    configs: [motto]\n    healthcheck:", 1)


def read_motto(fleet):
    container = fleet.containers("shop_web")[0]
    return fleet.shell(container["node"], f"docker exec {container['id']} cat /motto")


def test_a_rollback_by_hand_without_a_registry(fleet):
    fleet.forget_releases()
    for version in ("1.0", "1.1"):
        fleet.stack(motto(version, f"as in {version}"))
        fleet.deploy().ok()
    first = fleet.shell(fleet.nodes[0], "ls /var/lib/stowage/releases/shop").splitlines()[0].split("-")[1]
    registry = fleet.outer(fleet.nodes[0]).replace(f"-{fleet.nodes[0]}", "-registry")
    subprocess.run(["docker", "pause", registry], check=True, capture_output=True)
    try:
        before = fleet.containers()
        shown = fleet.play("rollback", "-e", "stack=shop", "--check").ok()
        assert "image stowage/app:1.1 -> stowage/app:1.0" in shown.text
        assert fleet.containers() == before
        # Broken stack files do not stand in the way.
        fleet.stack("services: {web: {imagee: nonsense}}")
        done = fleet.play("rollback", "-e", "stack=shop").ok()
        assert done.text.index("PLAN ") < done.text.index("lock the hosts")
        assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.0"}
        assert read_motto(fleet) == "as in 1.0"
        # And forth again, by name: what was left is kept as well.
        names = fleet.shell(fleet.nodes[0], "ls /var/lib/stowage/releases/shop").split()
        assert len(names) == 2
        second = next(name.split("-")[1] for name in names if first not in name)
        fleet.play("rollback", "-e", "stack=shop", "-e", f"to={second[:6]}").ok()
        assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.1"}
        assert read_motto(fleet) == "as in 1.1"
        refused = fleet.play("rollback", "-e", "stack=shop", "-e", "to=ffffffff")
        assert refused.rc != 0
        assert re.search(r"STW-RELEASE.*known: [0-9a-f]{12}", refused.text)
    finally:
        subprocess.run(["docker", "unpause", registry], check=True, capture_output=True)
    fleet.stack(motto("1.1", "as in 1.1"))
    assert fleet.deploy().ok().changed == 0


def test_a_slow_pull_is_told_while_it_goes(fleet):
    fleet.stack(shop("1.0"))
    fleet.deploy().ok()
    for node in fleet.nodes:
        fleet.shell(node, "docker rmi -f stowage/app:1.1 >/dev/null 2>&1; docker image prune -f", check=False)
    registry = fleet.outer(fleet.nodes[0]).replace(f"-{fleet.nodes[0]}", "-registry")
    subprocess.run(["docker", "pause", registry], check=True, capture_output=True)
    goes_on = threading.Timer(15, subprocess.run, [["docker", "unpause", registry]], {"capture_output": True})
    goes_on.start()
    try:
        fleet.stack(shop("1.1"))
        text = fleet.deploy().ok().text
    finally:
        goes_on.join()
    assert re.search(r"n\d pulling stowage/app:1\.1 ", text)
    told = re.findall(r"n\d pulled stowage/app:1\.1: (\d+\.\d) MB in (\d+\.\d) s", text)
    assert told
    assert all(float(seconds) > 2 for _size, seconds in told)
    assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.1"}
