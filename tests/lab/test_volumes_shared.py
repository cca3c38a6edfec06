# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Volumes that follow their service: GlusterFS over FUSE, served by one lab host, mounted by all through the role."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
import yaml

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")

STACK = """
services:
  db:
    image: postgres:15
    environment: {POSTGRES_PASSWORD: test}
    volumes: [data:/var/lib/postgresql/data]
    healthcheck: {test: [CMD, pg_isready, -U, postgres], interval: 1s, retries: 30}
    deploy: {update_config: {order: stop-first}}
    x-stowage: {placement: {constraints: ["node.hostname != SERVER"]}}
volumes:
  data:
    x-stowage: {class: shared}
"""


@pytest.fixture
def fleet(bootstrapped):
    """The lab with a file server on its first host and the class `shared` on all."""
    bootstrapped.wipe()
    server = bootstrapped.nodes[0]
    address = bootstrapped.address(server)
    brick = "/var/lib/docker/brick"
    for node in bootstrapped.nodes:
        line = "c /dev/fuse 0666 - - - 10:229"
        bootstrapped.shell(
            node, f"echo '{line}' > /etc/tmpfiles.d/fuse.conf; systemd-tmpfiles --create --prefix=/dev/fuse"
        )
    serve = f"gluster volume create shared {address}:{brick} force && gluster volume start shared"
    bootstrapped.shell(server, f"systemctl start glusterd; mkdir -p {brick}; gluster volume info shared || ({serve})")
    settings = {
        "stowage_storage_classes": {
            "shared": {"fstype": "glusterfs", "source": f"{address}:/shared", "single_writer": True}
        },
        "stowage_storage": ["shared"],
    }
    (bootstrapped.directory / "group_vars/all/storage.yml").write_text(yaml.safe_dump(settings))
    yield bootstrapped
    (bootstrapped.directory / "group_vars/all/storage.yml").unlink()
    bootstrapped.wipe()
    for node in bootstrapped.nodes:
        bootstrapped.shell(
            node,
            "systemctl disable --now srv-stowage-shared.mount; rm -f /etc/systemd/system/srv-stowage-shared.mount;"
            "docker volume ls -q -f label=stowage.stack=shop | xargs -r docker volume rm || true",
        )
    bootstrapped.shell(
        server, f"gluster --mode=script volume stop shared; gluster --mode=script volume delete shared; rm -rf {brick}"
    )


def sql(fleet, statement):
    (one,) = [entry for entry in fleet.containers("shop_db") if entry["state"] == "running"]
    return one["node"], fleet.shell(one["node"], f"docker exec {one['name']} psql -qtAX -U postgres -c '{statement}'")


def test_a_replica_on_shared_storage_survives_its_host(fleet):
    fleet.play("bootstrap").ok()
    assert fleet.play("bootstrap").ok().changed == 0
    fleet.stack(STACK.replace("SERVER", fleet.nodes[0]))
    fleet.deploy().ok()
    before, _none = sql(fleet, "create table told (n int); insert into told values (7)")
    assert before != fleet.nodes[0]
    outer = fleet.outer(before)
    subprocess.run(["docker", "kill", outer], check=True, capture_output=True)
    try:
        waiting = fleet.deploy("-e", "stowage_allow_unknown=true")
        assert f"{before}  did not answer" in waiting.text
        others = [node for node in fleet.nodes if node != before]
        ours = "docker ps -aq -f label=stowage.service=shop_db"
        assert [fleet.shell(node, ours) for node in others] == ["", ""], "nobody said that the host is lost"
        fleet.deploy("-e", f"stowage_assume_lost={before}", "-e", "stowage_allow_unknown=true").ok()
        (now,) = [node for node in others if fleet.shell(node, ours)]
        name = fleet.shell(now, "docker ps -q -f label=stowage.service=shop_db")
        for _attempt in range(30):
            told = fleet.shell(now, f"docker exec {name} psql -qtAX -U postgres -c 'select n from told'", check=False)
            if told == "7":
                break
            time.sleep(1)
        assert told == "7"
    finally:
        subprocess.run(["docker", "start", outer], check=True, capture_output=True)
    fleet.wait_for(before)
    time.sleep(5)  # what Docker would start again, it has tried by now
    # It was given up: what Docker would start again there finds no volume. Then the plan clears it away.
    assert fleet.shell(before, ours.replace("-aq", "-q")) == ""
    fleet.deploy().ok()
    assert [one["node"] for one in fleet.containers("shop_db", everything=True)] == [now]
    # The owner's own reboot is none of that.
    subprocess.run(["docker", "restart", "-t", "5", fleet.outer(now)], check=True, capture_output=True)
    fleet.wait_for(now)
    time.sleep(5)
    assert sql(fleet, "select n from told") == (now, "7")
    assert fleet.deploy().ok().changed == 0


def test_a_mount_that_is_gone_starts_nothing(fleet):
    fleet.play("bootstrap").ok()
    fleet.stack(STACK.replace("SERVER", fleet.nodes[0]))
    for node in fleet.nodes:
        fleet.shell(node, "systemctl stop srv-stowage-shared.mount")
    run = fleet.deploy()
    assert run.rc != 0
    assert "STW-STORAGE" in run.text
    assert "is not mounted on this host" in run.text
    assert fleet.containers("shop_db") == []
