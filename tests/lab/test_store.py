# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet's own etcd on three hosts: users, rights, a member that is away; and containers that pull from it."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")
WEB = """
services:
  web:
    image: stowage/app:1.0
    x-stowage:
      config_source:
        type: etcd
        endpoints: [ENDPOINTS]
        prefix: /cfg/test/web
        dir: /run/config
        tls: {ca: ca}
        auth: {secret: login}
configs: {ca: {file: CA}}
secrets: {login: {file: ./login.txt}}
"""
CURVE = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
AUTHORITY = f"openssl req -x509 {CURVE} -keyout ca.key -out ca.pem -subj /CN=ca -days 2"
CERTIFICATE = f"""
openssl req {CURVE} -keyout NAME.key -out NAME.csr -subj /CN=NAME
echo "subjectAltName=IP:ADDRESS" > san
openssl x509 -req -in NAME.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out NAME.pem
"""
REMOVED = (
    "systemctl disable --now etcd; rm -rf /etc/etcd /var/lib/etcd/stowage /etc/default/etcd"
    " /etc/systemd/system/etcd.service.d; systemctl daemon-reload; systemctl reset-failed etcd"
)


class Kept:
    """An inventory with a group stowage_store."""

    def __init__(self, fleet, directory):
        self.fleet, self.directory = fleet, directory
        self.group = fleet.directory / "store-group.yml"
        self.variables = fleet.directory / "group_vars/all/store.yml"
        self.hosts(fleet.nodes)
        self.run(AUTHORITY)
        self.certify()
        self.say()

    def hosts(self, names):
        members = {"stowage_store": {"hosts": dict.fromkeys(names)}}
        self.group.write_text(yaml.safe_dump({"all": {"children": members}}))

    def run(self, script):
        subprocess.run(script, shell=True, cwd=self.directory, check=True, capture_output=True)

    def certify(self):
        for node in self.fleet.nodes:
            self.run(CERTIFICATE.replace("NAME", node).replace("ADDRESS", self.fleet.address(node)))

    def say(self, **more):
        stated = {
            "stowage_store_ca": f"{self.directory}/ca.pem",
            "stowage_store_certificate": f"{self.directory}/{{{{ inventory_hostname }}}}.pem",
            "stowage_store_key": f"{self.directory}/{{{{ inventory_hostname }}}}.key",
            "stowage_store_password": "of-the-root-user",
            "stowage_store_users": {
                "shop": {"password": "of-the-shop-user", "read": ["/cfg/test/web"]},
                "publisher": {"password": "of-the-publisher", "write": ["/cfg/test"]},
            },
        }
        self.variables.write_text(yaml.safe_dump({**stated, **more}))

    def play(self, playbook, *more):
        return self.fleet.play(playbook, "-i", str(self.group), *more)

    def ctl(self, words, user="root:of-the-root-user", check=True):
        node = self.fleet.nodes[0]
        where = f"--endpoints https://{self.fleet.address(node)}:2379 --cacert /etc/etcd/ca.pem --user {user}"
        return self.fleet.shell(node, f"ETCDCTL_API=3 etcdctl {where} {words} 2>&1", check=check)


@pytest.fixture
def kept(fleet, tmp_path):
    made = Kept(fleet, tmp_path)
    yield made
    made.group.unlink()
    made.variables.unlink()
    for node in fleet.nodes:
        fleet.shell(node, REMOVED, check=False)


def test_mistakes_are_told_before_any_host_is_touched(fleet, kept):
    kept.hosts(fleet.nodes[:2])
    kept.say(stowage_store_key="/nowhere/key", stowage_store_password="short")
    run = kept.play("store")
    assert run.rc != 0
    for told in ("an even one more", "cannot be read", "12 or more characters"):
        assert told in run.text
    assert run.text.count("STW-STORE") >= 4
    assert fleet.shell(fleet.nodes[0], "ls /etc/etcd", check=False) == ""


def test_three_members_serve_containers_and_one_may_be_away(fleet, kept):
    checked = kept.play("store", "--check", "--diff").ok()
    assert "make user shop" in checked.text
    assert fleet.shell(fleet.nodes[0], "ls /etc/etcd", check=False) == ""
    made = kept.play("store", "--diff", "-vvv").ok()
    assert "of-the-shop-user" not in made.text
    assert kept.play("store").ok().changed == 0
    assert kept.ctl("member list").count("started") == 3
    assert "permission denied" in kept.ctl("get /cfg/other", "shop:of-the-shop-user", check=False)

    endpoints = ", ".join(f'"https://{fleet.address(node)}:2379"' for node in fleet.nodes)
    (fleet.directory / "stacks/login.txt").write_text("shop:of-the-shop-user\n")
    fleet.stack(WEB.replace("ENDPOINTS", endpoints).replace("CA}", f"{kept.directory}/ca.pem}}"))
    published = {"shop_web": {"values": {"motd": "hello"}, "login": "publisher:of-the-publisher"}}
    kept.say(stowage_config=published)
    fleet.play("publish_config").ok()
    fleet.deploy().ok()
    (web,) = fleet.containers("shop_web")
    read = f"docker exec {web['id']} cat /run/config/motd"
    assert fleet.shell(web["node"], read) == "hello"

    away = fleet.nodes[-1]
    fleet.shell(away, "systemctl stop etcd")
    published["shop_web"]["values"]["motd"] = "later"
    kept.say(stowage_config=published)
    fleet.play("publish_config").ok()
    fleet.deploy().ok()
    (web,) = fleet.containers("shop_web")
    assert fleet.shell(web["node"], f"docker exec {web['id']} cat /run/config/motd") == "later"

    # What differs is put right, one member after the other, and nothing else changes.
    kept.certify()
    users = {"shop": {"password": "another-password", "read": ["/cfg/test/web", "/cfg/more"]}}
    kept.say(stowage_store_users=users)
    run = kept.play("store", "--diff").ok()
    assert "let shop read /cfg/more/" in run.text
    assert "give shop a new password" in run.text
    assert kept.ctl("member list").count("started") == 3
    assert "authentication failed" in kept.ctl("get /cfg/test/web/motd", "shop:of-the-shop-user", check=False)
    assert "later" in kept.ctl("get /cfg/test/web/motd", "shop:another-password")
    assert kept.play("store").ok().changed == 0
