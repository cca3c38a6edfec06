# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Issue 7, storage, on lab hosts: pinned volumes stay, and move without losing a row, whoever is killed when."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")

DB = """
services:
  db:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: test}
    volumes: [data:/var/lib/postgresql/data]
    healthcheck: {test: [CMD, pg_isready, -U, postgres], interval: 1s, retries: 30}
volumes: {data: {}}
"""
ROWS = "select count(*), coalesce(sum(n), 0) from told"


@pytest.fixture
def fleet(bootstrapped):
    """A fleet with one PostgreSQL, its volume somewhere; the tests of this file follow each other on it."""
    made = bootstrapped
    if not (made.directory / "stacks/shop.yml").exists():
        made.stack(DB)
        made.deploy().ok()
        sql(made, "create table told (n int primary key)")
    return made


def home(fleet):
    """The node whose database runs."""
    (one,) = [entry for entry in fleet.containers("shop_db") if entry["state"] == "running"]
    return one["node"], one["name"]


def sql(fleet, statement, check=True):
    """One statement, on the database wherever it runs."""
    node, name = home(fleet)
    return fleet.shell(node, f"docker exec {name} psql -qtAX -U postgres -c '{statement}'", check=check)


class Writer(threading.Thread):
    """Inserts 1, 2, 3... one by one; keeps what was acknowledged."""

    def __init__(self, fleet):
        super().__init__(daemon=True)
        self.fleet, self.told, self.ended = fleet, [], threading.Event()

    def run(self):
        number = 0
        while not self.ended.is_set():
            number += 1
            try:
                sql(self.fleet, f"insert into told values ({number})")
            except (AssertionError, ValueError, subprocess.SubprocessError):
                time.sleep(0.2)
                continue
            self.told.append(number)

    def stop(self):
        self.ended.set()
        self.join(60)
        return self.told


def other(fleet, node):
    return next(name for name in fleet.nodes if name != node)


def test_a_pinned_volume_s_host_is_killed_and_nothing_starts_elsewhere(fleet):
    node, _name = home(fleet)
    outer, others = fleet.outer(node), [name for name in fleet.nodes if name != node]
    subprocess.run(["docker", "kill", outer], check=True, capture_output=True)
    try:
        run = fleet.deploy("-e", "stowage_allow_unknown=true")
        assert f"{node}  did not answer" in run.text
        ours = "docker ps -aq -f label=stowage.service=shop_db"
        assert [fleet.shell(name, ours) for name in others] == ["", ""]
    finally:
        subprocess.run(["docker", "start", outer], check=True, capture_output=True)
    fleet.wait_for(node)
    fleet.deploy().ok()
    assert home(fleet)[0] == node
    assert fleet.deploy().ok().changed == 0


def test_a_gibibyte_moves_under_writes_and_no_row_is_lost(fleet, capsys):
    node, name = home(fleet)
    fleet.shell(
        node, f"docker exec {name} dd if=/dev/urandom of=/var/lib/postgresql/data/filler bs=1M count=1024", timeout=120
    )
    target, writer = other(fleet, node), Writer(fleet)
    shown = fleet.play("move_volume", "-e", "volume=shop_data", "-e", f"to={target}").ok()
    assert "Nothing is moved yet" in shown.text
    assert shown.changed == 0
    writer.start()
    time.sleep(3)
    moved = fleet.play("move_volume", "-e", "volume=shop_data", "-e", f"to={target}", "-e", "confirm=shop_data").ok()
    told = writer.stop()
    assert home(fleet)[0] == target
    assert sql(fleet, ROWS) == f"{len(told)}|{sum(told)}"
    assert fleet.deploy().ok().changed == 0
    stopped = re.search(r"stopped for ([0-9.]+) s", moved.text).group(1)
    left = fleet.shell(node, "systemctl list-units 'stowage-move*' --no-legend; ls /run/stowage/moves")
    assert left == ""
    with capsys.disabled():
        print(f"\n1 GiB moved in {moved.seconds:.0f} s, its user stopped for {stopped} s, {len(told)} rows kept")


@pytest.mark.parametrize(
    "moment", ["copy while everything runs", "seal the data", "compare every byte", "the true one"]
)
def test_killed_at_a_step_nothing_is_lost(fleet, moment):
    before = sql(fleet, ROWS)
    node, target = home(fleet)[0], other(fleet, home(fleet)[0])
    arguments = ("-e", "volume=shop_data", "-e", f"to={target}", "-e", "confirm=shop_data")
    process = fleet.start("move_volume", *arguments)
    for line in process.stdout:
        if re.search(rf"^  n\d: .*{moment}", line):
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait(60) == -signal.SIGKILL, "it was over before it could be killed"
    # Whatever was reached: a deploy serves from the one true copy, and a second move brings it where it belongs.
    fleet.deploy().ok()
    assert sql(fleet, ROWS) == before
    if home(fleet)[0] == node:
        fleet.play("move_volume", *arguments).ok()
    assert home(fleet)[0] == target
    assert sql(fleet, ROWS) == before


def test_a_volume_that_vanished_blocks_its_service(fleet):
    node, name = home(fleet)
    fleet.shell(node, f"docker rm -f {name} && docker volume rm shop_data")
    run = fleet.deploy()
    assert "was made on" in run.text
    assert "stowage_recreate_volumes=shop_data" in run.text
    assert fleet.containers("shop_db") == []


def test_bad_wishes_are_refused_all_at_once(fleet):
    run = fleet.play("move_volume", "-e", "volume=shop_dat", "-e", "to=n9")
    assert run.rc != 0
    assert "STW-OPTION volume: 'shop_dat' is not there" in run.text
    assert "STW-OPTION to: 'n9' is not there" in run.text
