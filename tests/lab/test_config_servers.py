# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stores of configuration by their real servers on loopback: OpenBao and ZooKeeper. make test-data"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest
import stores
from ansible_collections.stowage.fleet.plugins.module_utils import config_stores
from ansible_collections.stowage.fleet.plugins.module_utils.config_stores import publishing

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")
ZOOKEEPER = "/usr/share/zookeeper/bin/zkServer.sh"


def access(kind, endpoint, prefix, credential=None):
    source = {"type": kind, "endpoints": [endpoint], "prefix": prefix}
    return config_stores.Access(source, credential, None, 5.0)


def goes_round(made):
    """Publish, read, publish again, let somebody else be first, remove: the same for every store."""

    def publish(wanted, prune=False, now=None):
        now = publishing.read(made) if now is None else now
        changes = publishing.difference(now, wanted, prune)
        publishing.write(made, now, changes)
        return changes

    assert publishing.read(made) == {}
    with pytest.raises(config_stores.StoreError):
        config_stores.read(made)
    assert publish({"a": b"1", "deep/er": b"2", "empty": b""}).added == ["a", "deep/er", "empty"]
    first = config_stores.read(made)
    assert first.files == {"a": b"1", "deep/er": b"2", "empty": b""}
    assert config_stores.peek(made)[0] == first.revision
    assert not publishing.difference(publishing.read(made), first.files, prune=True)
    before = publishing.read(made)
    publish({"a": b"3"})
    second = config_stores.read(made)
    assert second.files == {"a": b"3", "deep/er": b"2", "empty": b""}
    assert second.revision != first.revision
    with pytest.raises(config_stores.StoreError, match="somebody else changed it"):
        publish({"a": b"4"}, now=before)
    assert config_stores.read(made).files["a"] == b"3"
    assert publish({"a": b"3"}, prune=True).removed == ["deep/er", "empty"]
    assert config_stores.read(made).files == {"a": b"3"}


@pytest.fixture
def bao(tmp_path):
    if not stores.BAO:
        pytest.skip("STOWAGE_BAO names OpenBao's program: make test-data sets it")
    with stores.Bao(tmp_path) as made:
        yield made


def test_openbao(bao):
    goes_round(access("vault", bao.address, "secret/shop/web", "root"))
    login = f"{bao.role_id()}:{bao.client.auth.approle.generate_secret_id('stowage')['data']['secret_id']}"
    bao.client.auth.approle.create_or_update_approle("stowage", token_policies=["deploy"], secret_id_num_uses=0)
    many = f"{bao.role_id()}:{bao.client.auth.approle.generate_secret_id('stowage')['data']['secret_id']}"
    by_role = access("vault", bao.address, "secret/shop/web", many)
    lines = bao.lines()
    revision, names = config_stores.peek(by_role)
    assert names is None
    assert not [path for operation, path in bao.asked(lines) if "secret/data" in path]
    assert config_stores.read(by_role).revision == revision
    once = access("vault", bao.address, "secret/shop/web", login)
    assert config_stores.read(once).revision == revision
    with pytest.raises(config_stores.StoreError) as caught:
        config_stores.read(once)
    assert not caught.value.retry
    assert login.partition(":")[2] not in caught.value.reason
    with bao.sealed(), pytest.raises(config_stores.StoreError) as caught:
        config_stores.read(by_role)
    assert caught.value.retry


@pytest.fixture
def zookeeper(tmp_path):
    if not os.path.exists(ZOOKEEPER):
        pytest.skip("ZooKeeper is not installed: make test-data does it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "zoo.cfg").write_text(
        f"tickTime=2000\ndataDir={tmp_path}/data\nclientPortAddress=127.0.0.1\nclientPort={port}\nadmin.enableServer=false\n"
    )
    shutil.copy("/etc/zookeeper/conf_example/log4j.properties", tmp_path)
    variables = {**os.environ, "ZOOCFGDIR": str(tmp_path), "ZOO_LOG_DIR": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        argv = [ZOOKEEPER, "start-foreground", str(tmp_path / "zoo.cfg")]
        process = subprocess.Popen(argv, env=variables, cwd=tmp_path, stdout=log, stderr=log)
    until = time.monotonic() + 40
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.3)
    yield f"127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


def test_zookeeper(zookeeper):
    goes_round(access("zookeeper", zookeeper, "/cfg/shop/web"))


def test_zookeeper_with_rights_and_without_an_answer(zookeeper):
    from kazoo.client import KazooClient
    from kazoo.security import make_digest_acl

    client = KazooClient(zookeeper, auth_data=[("digest", "shop:word")])
    client.start()
    client.create("/closed/a", b"1", acl=[make_digest_acl("shop", "word", all=True)], makepath=True)
    client.stop()
    client.close()
    own = access("zookeeper", zookeeper, "/closed", "shop:word")
    assert config_stores.read(own).files == {"a": b"1"}
    now = publishing.read(own)
    publishing.write(own, now, publishing.difference(now, {"b/c": b"2"}, False))
    assert config_stores.read(own).files == {"a": b"1", "b/c": b"2"}
    with pytest.raises(config_stores.StoreError):
        config_stores.read(access("zookeeper", zookeeper, "/closed/b"))
    with pytest.raises(config_stores.StoreError) as caught:
        config_stores.read(access("zookeeper", zookeeper, "/closed", "shop:other"))
    assert not caught.value.retry
    with pytest.raises(config_stores.StoreError) as caught:
        config_stores.read(access("zookeeper", "127.0.0.1:9", "/closed"))
    assert caught.value.retry
