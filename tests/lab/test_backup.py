# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backup and restore on lab hosts, of a PostgreSQL under writes: what was acknowledged before is in it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from test_volumes import Writer, home, other, sql

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")

DB = """
services:
  db:
    image: postgres:15
    environment: {{POSTGRES_PASSWORD: test}}
    volumes: [data:/var/lib/postgresql/data]
    healthcheck: {{test: [CMD, pg_isready, -U, postgres], interval: 1s, retries: 30}}
volumes: {{data: {{{hooks}}}}}
"""
DUMP, LOAD = "pg_dump -U postgres --clean --if-exists {}", "psql -qU postgres -v ON_ERROR_STOP=1"
HOOKS = f"x-stowage: {{backup: {{dump: {DUMP}, load: {LOAD}}}}}"


def repository(fleet, text, password="correct horse battery", environment=""):
    """Where backups go from now on."""
    path = fleet.directory / "group_vars/all/backup.yml"
    path.write_text(
        f'stowage_backup: {{repository: "{text}", password: "{password}", environment: {{{environment}}}}}\n'
    )


@pytest.fixture
def db(fleet):
    """A fleet with one new PostgreSQL and a table; no repository is left of an earlier test."""
    for node in fleet.nodes:
        fleet.shell(node, "rm -rf /srv/backups")
    fleet.stack(DB.format(hooks=""))
    fleet.deploy().ok()
    sql(fleet, "create table told (n int primary key)")
    return fleet


def rows(fleet):
    return [int(line) for line in sql(fleet, "select n from told order by n").splitlines()]


def snapshot(run):
    return re.search(r"SAVED  snapshot ([0-9a-f]{8})", run.text).group(1)


def volume(verb, fleet, *more):
    return fleet.play(verb, "-e", "volume=shop_data", *more)


def test_saved_under_writes_and_restored_in_place_and_on_another_host(db, capsys):
    node = home(db)[0]
    keeper, third = [name for name in db.nodes if name != node]
    repository(db, f"{keeper}:/srv/backups")
    db.shell(node, f"docker exec {home(db)[1]} dd if=/dev/urandom of=/var/lib/postgresql/data/filler bs=1M count=200")
    checked = volume("backup", db, "--check").ok()
    assert "a new snapshot in" in checked.text
    assert db.shell(keeper, "ls /srv", check=False) == ""
    writer = Writer(db)
    writer.start()
    time.sleep(3)
    acknowledged = list(writer.told)
    saved = volume("backup", db).ok()
    told = writer.stop()
    assert acknowledged
    assert db.deploy().ok().changed == 0
    here = rows(db)
    assert set(told) <= set(here)
    shown = volume("restore", db).ok()
    assert "Nothing is restored yet" in shown.text
    assert rows(db) == here
    restored = volume("restore", db, "-e", "confirm=shop_data").ok()
    back = rows(db)
    assert set(acknowledged) <= set(back)
    assert {number for number in told if number <= max(back)} <= set(back)
    assert home(db)[0] == node
    assert db.shell(node, "docker volume ls -q -f name=shop_data").split() == ["shop_data", "shop_data.before"]
    assert db.deploy().ok().changed == 0
    again = volume("restore", db, "-e", "confirm=shop_data")
    assert again.rc != 0
    assert "volume shop_data.before: is there already" in again.text
    sql(db, "insert into told values (1000001)")
    volume("restore", db, "-e", "confirm=shop_data", "-e", f"host={third}").ok()
    assert home(db)[0] == third
    assert rows(db) == back
    assert db.deploy().ok().changed == 0
    for name in db.nodes:
        assert (
            db.shell(name, "systemctl list-units 'stowage-backup*' --no-legend; ls /run/stowage/backups", check=False)
            == ""
        )
        assert db.shell(name, "test -e /run/stowage/lock.json || echo none") == "none"
    figures = [re.search(r"(SAVED|RESTORED)  .*", run.text).group(0) for run in (saved, restored)]
    with capsys.disabled():
        print(f"\n{figures[0]} ({saved.seconds:.0f} s in all)\n{figures[1]} ({restored.seconds:.0f} s in all)")


def test_the_host_is_lost_and_the_volume_comes_back_on_another(db):
    node, target = home(db)[0], other(db, home(db)[0])
    keeper = next(name for name in db.nodes if name not in (node, target))
    repository(db, f"{keeper}:/srv/backups")
    sql(db, "insert into told values (7)")
    volume("backup", db).ok()
    db.shell(node, f"docker rm -f {home(db)[1]} && docker volume rm shop_data")
    assert "is gone from there" in db.deploy().text
    volume("restore", db, "-e", "confirm=shop_data", "-e", f"host={node}").ok()
    assert (home(db)[0], rows(db)) == (node, [7])
    assert db.deploy().ok().changed == 0


@pytest.mark.parametrize(
    ("verb", "moment", "later"),
    [("backup", "save it while", 4), ("restore", "bring the snapshot", 0.5), ("restore", "lock, stop", 0.5)],
)
def test_killed_at_a_step_the_database_runs_and_the_next_one_works(db, verb, moment, later):
    keeper = other(db, home(db)[0])
    repository(db, f"{keeper}:/srv/backups")
    sql(db, "insert into told values (1)")
    if verb == "restore":
        volume("backup", db).ok()
    process = db.start(verb, "-e", "volume=shop_data", "-e", "confirm=shop_data")
    for line in process.stdout:
        if re.search(rf"^  n\d: {moment}", line):
            time.sleep(later)
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait(60) == -signal.SIGKILL, "it was over before it could be killed"
    time.sleep(5)
    db.deploy().ok()
    assert rows(db) == [1]
    # What was restored half-way is used again; the data from before, once there, is only removed by hand.
    state = db.shell(home(db)[0], "cat /var/lib/stowage/volumes.json")
    if "retired" in state:
        db.shell(home(db)[0], "docker volume rm shop_data.before")
    volume(verb, db, "-e", "confirm=shop_data").ok()
    assert rows(db) == [1]
    assert db.deploy().ok().changed == 0


def test_a_dump_by_the_service_s_own_command(db):
    db.stack(DB.format(hooks=HOOKS.replace("{}", "postgres")))
    assert db.deploy().ok().changed == 0
    repository(db, "/srv/backups")
    sql(db, "insert into told values (1), (2)")
    before = home(db)
    saved = volume("backup", db).ok()
    assert "nothing was stopped" in saved.text
    sql(db, "delete from told")
    volume("restore", db, "-e", "confirm=shop_data", "-e", f"snapshot={snapshot(saved)}").ok()
    assert rows(db) == [1, 2]
    assert home(db) == before
    db.stack(DB.format(hooks=HOOKS.replace("{}", "missing")))
    failed = volume("backup", db)
    assert failed.rc != 0
    assert "STW-BACKUP" in failed.text
    listed = db.shell(
        before[0],
        "RESTIC_PASSWORD='correct horse battery' restic -r /srv/backups snapshots --json | grep -o short_id | wc -l",
    )
    assert listed == "1"


def test_bad_wishes_are_refused_and_nothing_is_touched(db):
    before = home(db)
    repository(db, "n9:/srv/backups", password="short")
    run = volume("backup", db)
    assert "STW-BACKUP stowage_backup.password" in run.text
    assert "'n9' is no host of the fleet" in run.text
    repository(db, "/srv/backups")
    assert "'shop_dat' is not there" in db.play("backup", "-e", "volume=shop_dat").text
    assert "has no snapshot" in volume("restore", db).text
    volume("backup", db).ok()
    repository(db, "/srv/backups", password="another long password")
    run = volume("backup", db)
    assert run.rc != 0
    assert "wrong password" in run.text
    assert "another long password" not in run.text
    assert home(db) == before


@contextlib.contextmanager
def object_store(fleet, directory):
    """The address of a server that speaks S3 (moto), on the controller's end of the lab's network."""
    address = fleet.address(fleet.nodes[0]).rpartition(".")[0] + ".1"
    with socket.socket() as probe:
        probe.bind((address, 0))
        port = probe.getsockname()[1]
    argv = [sys.executable, "-m", "moto.server", "-H", address, "-p", str(port)]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(argv, env={"PYTHONPATH": os.environ["STOWAGE_MOTO"]}, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while socket.socket().connect_ex((address, port)):
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.3)
        yield f"http://{address}:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.skipif(
    not os.environ.get("STOWAGE_MOTO"), reason="STOWAGE_MOTO names moto's directory: make test-data sets it"
)
def test_saved_to_an_object_store_and_brought_back_elsewhere(db, tmp_path):
    keys = "AWS_ACCESS_KEY_ID: backup, AWS_SECRET_ACCESS_KEY: s3cret-of-the-store"
    with object_store(db, tmp_path) as address:
        repository(db, f"s3:{address}/backups/shop", environment=keys)
        sql(db, "insert into told values (3), (4)")
        saved = volume("backup", db, "-vvv").ok()
        assert "s3cret-of-the-store" not in saved.text
        sql(db, "delete from told")
        target = other(db, home(db)[0])
        volume("restore", db, "-e", "confirm=shop_data", "-e", f"host={target}").ok()
        assert (home(db)[0], rows(db)) == (target, [3, 4])
        assert "PUT /backups/shop/data/" in (tmp_path / "log").read_text()
    before = home(db)
    failed = volume("backup", db)
    assert failed.rc != 0
    assert "STW-BACKUP" in failed.text
    assert home(db) == before
    assert db.deploy().ok().changed == 0
