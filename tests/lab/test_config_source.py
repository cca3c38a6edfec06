# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration that containers pull from a store when they start: a real etcd and a plain web server."""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")
STACK = """
services:
  web:
    image: stowage/app:1.0
    deploy: {{replicas: 2, update_config: {{order: start-first}}}}
    x-stowage:
      ready_timeout: 20s
      config_source:
        type: etcd
        endpoints: ["http://{address}:2379"]
        prefix: /cfg/shop/web
        dir: /run/config
        require: [db/host, motd]
        tries: 2
        {more}
"""
SECURE = """
services:
  web:
    image: stowage/app:1.0
    x-stowage:
      config_source:
        type: etcd
        endpoints: ["https://{address}:2379"]
        prefix: /cfg/shop/web
        dir: /run/config
        tls: {{ca: ca}}
        auth: {{secret: login}}
configs: {{ca: {{file: ./ca.pem}}}}
secrets: {{login: {{file: ./login.txt}}}}
"""
PAGE = """
services:
  web:
    image: stowage/app:1.0
    x-stowage:
      config_source: {{type: http, endpoints: ["http://{address}:8077"], prefix: shop/web.json, dir: /run/config}}
"""
CERTIFICATE = """
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=ca -days 2
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout etcd.key -out etcd.csr -subj /CN=etcd
echo "subjectAltName=IP:{address}" > san
openssl x509 -req -in etcd.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out etcd.pem
"""


class Store:
    """An etcd on a host of the lab."""

    def __init__(self, fleet, node):
        self.fleet, self.node, self.address = fleet, node, fleet.address(node)
        self.scheme, self.options = "http", ""

    def start(self):
        url = f"{self.scheme}://{self.address}:2379"
        own = f"--data-dir /tmp/etcd --listen-client-urls {url} --advertise-client-urls {url}"
        self.fleet.shell(self.node, f"systemd-run -q --collect --unit=test-etcd etcd {own} {self.options}")
        until = time.monotonic() + 30
        while "is healthy" not in self.ctl("endpoint health 2>&1", check=False):
            assert time.monotonic() < until
            time.sleep(0.3)

    def stop(self):
        self.fleet.shell(self.node, "systemctl stop test-etcd", check=False)

    def ctl(self, words, **options):
        ca = "--cacert /tmp/etcd-ca.pem" if self.scheme == "https" else ""
        where = f"ETCDCTL_API=3 etcdctl --endpoints {self.scheme}://{self.address}:2379 {ca}"
        return self.fleet.shell(self.node, f"{where} {words}", **options)

    def put(self, **values):
        for name, value in values.items():
            self.ctl(f"put /cfg/shop/web/{name.replace('_', '/')} {value}")


@pytest.fixture
def store(fleet):
    made = Store(fleet, fleet.nodes[-1])
    made.start()
    yield made
    made.stop()
    fleet.shell(made.node, "rm -rf /tmp/etcd /tmp/etcd-*")


def seen(fleet, container, name):
    """A file of the container's configuration."""
    return fleet.shell(container["node"], f"docker exec {container['id']} cat /run/config/{name}", check=False).strip()


def test_a_change_of_the_store_is_planned_and_rolls(fleet, store):
    store.put(db_host="db-1", motd="hello")
    fleet.stack(STACK.format(address=store.address, more=""))
    fleet.deploy("--diff").ok()
    first = fleet.containers("shop_web")
    assert len(first) == 2
    assert {seen(fleet, one, "db/host") for one in first} == {"db-1"}
    assert fleet.deploy().ok().changed == 0
    store.ctl("put /cfg/other/web/x 1")
    assert fleet.deploy().ok().changed == 0

    store.put(db_host="db-2")
    run = fleet.play("plan").ok()
    assert "its configuration in the store changed (etcd /cfg/shop/web)" in run.text
    assert {one["id"] for one in fleet.containers("shop_web")} == {one["id"] for one in first}
    fleet.deploy().ok()
    second = fleet.containers("shop_web")
    assert {seen(fleet, one, "db/host") for one in second} == {"db-2"}
    assert not {one["id"] for one in first} & {one["id"] for one in second}

    # Between deploys a container that starts again takes what is there then.
    store.put(motd="later")
    fleet.shell(second[0]["node"], f"docker restart -t 0 {second[0]['id']}")
    wait(lambda: seen(fleet, second[0], "motd") == "later")
    assert seen(fleet, second[1], "motd") == "hello"
    fleet.deploy().ok()
    assert {seen(fleet, one, "motd") for one in fleet.containers("shop_web")} == {"later"}

    store.ctl("del /cfg/shop/web/motd")
    run = fleet.deploy()
    assert run.rc != 0
    assert "STW-CONFIGSOURCE" in run.text
    assert "the store has no motd, which require names" in run.text
    fleet.stack(None)
    fleet.deploy("-e", "stowage_prune_stacks=shop").ok()
    for node in fleet.nodes:
        assert fleet.shell(node, "ls /run/stowage/config; ls /var/lib/stowage/config/*.json", check=False).strip() == ""


def test_a_store_that_is_down(fleet, store):
    store.put(db_host="db-1", motd="hello")
    fleet.stack(STACK.format(address=store.address, more=""))
    fleet.deploy().ok()
    (one, other) = fleet.containers("shop_web")
    store.stop()
    run = fleet.deploy().ok()
    assert run.changed == 0
    assert "what runs counts as the newest" in run.text
    fleet.shell(one["node"], f"docker restart -t 0 {one['id']}")
    wait(lambda: "after 2 tries" in logs(fleet, one))
    status = f"docker ps -a --filter id={one['id']} --format '{{{{.Status}}}}'"
    wait(lambda: "(75)" in fleet.shell(one["node"], status))
    assert seen(fleet, other, "motd") == "hello"
    store.start()
    wait(lambda: seen(fleet, one, "motd") == "hello", 60)

    fleet.stack(STACK.format(address=store.address, more="stale: last-good"))
    fleet.deploy().ok()
    store.stop()
    (one, other) = fleet.containers("shop_web")
    fleet.shell(one["node"], f"docker restart -t 0 {one['id']}")
    wait(lambda: "going on with what was pulled last" in logs(fleet, one), 40)
    assert seen(fleet, one, "motd") == "hello"
    # A whole host: its memory is empty after that.
    subprocess.run(["docker", "restart", "-t", "10", fleet.outer(other["node"])], check=True, capture_output=True)
    fleet.wait_for(other["node"])
    wait(lambda: seen(fleet, other, "motd") == "hello", 90)
    assert "going on with what was pulled last" in logs(fleet, other)

    fleet.stack(STACK.format(address=store.address, more="").replace("web:", "new:", 1))
    run = fleet.deploy("-e", "stowage_prune_stacks=shop")
    assert run.rc != 0
    assert "so what it would start with is not known" in run.text
    assert fleet.containers("shop_new") == []


def test_a_store_with_tls_and_a_login(fleet, store, tmp_path):
    store.stop()
    subprocess.run(CERTIFICATE.format(address=store.address), shell=True, cwd=tmp_path, check=True, capture_output=True)
    for name, target in (("ca.pem", "ca.pem"), ("etcd.pem", "pem"), ("etcd.key", "key")):
        text = (tmp_path / name).read_text()
        fleet.shell(store.node, f"cat > /tmp/etcd-{target} <<'END'\n{text}END")
    store.scheme, store.options = "https", "--cert-file /tmp/etcd-pem --key-file /tmp/etcd-key"
    store.start()
    store.put(a="1")
    for words in (
        "user add root:rootword",
        "user grant-role root root",
        "user add shop:pass:word",
        "role add shop",
        "role grant-permission shop --prefix=true read /cfg/shop/",
        "user grant-role shop shop",
        "auth enable",
    ):
        store.ctl(words)
    (fleet.directory / "stacks/ca.pem").write_text((tmp_path / "ca.pem").read_text())
    (fleet.directory / "stacks/login.txt").write_text("shop:wrong\n")
    fleet.stack(SECURE.format(address=store.address))
    run = fleet.deploy()
    assert run.rc != 0
    assert "STW-CONFIGSOURCE" in run.text
    assert "authentication failed" in run.text
    (fleet.directory / "stacks/login.txt").write_text("shop:pass:word\n")
    run = fleet.deploy("-vvv", "--diff").ok()
    assert "pass:word" not in run.text
    (one,) = fleet.containers("shop_web")
    assert seen(fleet, one, "a") == "1"
    told = fleet.shell(one["node"], f"docker inspect {one['id']}; docker exec {one['id']} env")
    assert "pass:word" not in told
    assert fleet.deploy().ok().changed == 0


def test_a_document(fleet):
    node = fleet.nodes[-1]
    address = fleet.address(node)

    def write(**entries):
        text = json.dumps(entries)
        fleet.shell(node, f"mkdir -p /tmp/page/shop && cat > /tmp/page/shop/web.json <<'END'\n{text}\nEND")

    write(**{"app.conf": "a\n", "sub/x": "1"})
    server = f"python3 -m http.server --directory /tmp/page --bind {address} 8077"
    fleet.shell(node, f"systemd-run -q --collect --unit=test-page {server}")
    try:
        fleet.stack(PAGE.format(address=address))
        fleet.deploy().ok()
        (one,) = fleet.containers("shop_web")
        assert (seen(fleet, one, "app.conf"), seen(fleet, one, "sub/x")) == ("a", "1")
        write(**{"app.conf": "b\n"})
        assert "its configuration in the store changed (http shop/web.json)" in fleet.play("plan").ok().text
        fleet.deploy().ok()
        (one,) = fleet.containers("shop_web")
        assert seen(fleet, one, "app.conf") == "b"
        assert fleet.shell(one["node"], f"docker exec {one['id']} ls /run/config").split() == ["app.conf"]
    finally:
        fleet.shell(node, "systemctl stop test-page; rm -rf /tmp/page")


PUBLISHED = """
stowage_config:
  shop_web:
    values: {db/host: db-9, motd: "it's {{ 'me' }}", limits: {rate: 20}, word: s3cret-word}
    files: {feature.yml: feature.yml}
    sensitive: [word]
    prune: PRUNE
"""


def test_the_inventory_s_values_are_published(fleet, store):
    stated = fleet.directory / "group_vars/all/config.yml"
    stated.write_text(PUBLISHED.replace("PRUNE", "false"))
    (fleet.directory / "feature.yml").write_text("on: true\n")
    store.put(db_host="db-1", motd="hello", other="x")
    fleet.stack(STACK.format(address=store.address, more=""))
    try:
        run = fleet.play("publish_config", "--check", "--diff").ok()
        assert run.changed == 1
        assert "db/host: 'db-9'" in run.text
        assert "word: (11 bytes, not shown)" in run.text
        assert "s3cret-word" not in run.text
        assert store.ctl("get /cfg/shop/web/db/host --print-value-only") == "db-1"
        run = fleet.play("publish_config", "-vvv").ok()
        assert "3 new, 2 changed, 0 removed" in run.text
        assert "s3cret-word" not in run.text
        assert fleet.play("publish_config").ok().changed == 0
        assert store.ctl("get /cfg/shop/web/other --print-value-only") == "x"
        fleet.deploy().ok()
        one = fleet.containers("shop_web")[0]
        found = {name: seen(fleet, one, name) for name in ("db/host", "motd", "limits", "feature.yml")}
        assert found == {"db/host": "db-9", "motd": "it's me", "limits": '{"rate": 20}', "feature.yml": "on: true"}
        stated.write_text(PUBLISHED.replace("PRUNE", "true").replace("limits: {rate: 20}, ", ""))
        fleet.play("publish_config").ok()
        assert store.ctl("get --prefix /cfg/shop/web/ --keys-only").split() == [
            f"/cfg/shop/web/{name}" for name in ("db/host", "feature.yml", "motd", "word")
        ]
        store.stop()
        run = fleet.play("publish_config")
        assert run.rc != 0
        assert "STW-PUBLISH" in run.text
        assert "does not answer" in run.text
    finally:
        stated.unlink()


def logs(fleet, container):
    return fleet.shell(container["node"], f"docker logs {container['id']} 2>&1")


def wait(true, seconds=20):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.5)
