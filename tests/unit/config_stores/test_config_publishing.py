# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What publishing would change, its transactions, and every mistake in stowage_config at once."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.config_stores import base, etcd, publishing, stated
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from test_config_stores import Server, b64

NOW = {"a": (b"1", 5), "b": (b"2", 6), "c": (b"3", 7)}
CONFIG = {"type": "etcd", "endpoints": ["http://cfg"], "prefix": "/cfg/web", "require": ["a"]}
SERVICES = {
    "shop_web": {"name": "shop_web", "template": {"config": CONFIG}},
    "shop_page": {"name": "shop_page", "template": {"config": {**CONFIG, "type": "http"}}},
    "shop_safe": {"name": "shop_safe", "template": {"config": {**CONFIG, "type": "vault", "prefix": "secret/web"}}},
    "shop_plain": {"name": "shop_plain", "template": {}},
}


@pytest.fixture
def server():
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def access(kind, server, prefix="cfg/web"):
    return base.Access({"type": kind, "endpoints": [server.url], "prefix": prefix}, None, None, 2.0)


def test_difference():
    wanted = {"a": b"1", "b": b"x", "d": b"4"}
    changes = publishing.difference(NOW, wanted, prune=False)
    assert changes == ({"b": b"x", "d": b"4"}, ["d"], ["b"], [])
    assert publishing.difference(NOW, wanted, prune=True).removed == ["c"]
    assert not publishing.difference(NOW, {"a": b"1"}, prune=False)


def test_hidden_names_are_never_shown():
    changes = publishing.difference(NOW, {"b": b"secret!", "d": b"\xff", "e": b"text"}, prune=True)
    before, after = publishing.lines(changes, NOW, ["b", "c"])
    assert before == "a: '1'\nb: (1 bytes, not shown)\nc: (1 bytes, not shown)\n"
    assert after == "b: (7 bytes, not shown)\nd: (1 bytes)\ne: 'text'\n"


def test_etcd_writes_only_what_nobody_else_changed():
    body = etcd.transaction(b"/p/", ["a", "d", "c"], NOW, {"a": b"x", "d": b"4"})
    assert [one["mod_revision"] for one in body["compare"]] == ["5", "0", "7"]
    assert body["success"][0] == {"request_put": {"key": etcd.encoded(b"/p/a"), "value": etcd.encoded(b"x")}}
    assert body["success"][2] == {"request_delete_range": {"key": etcd.encoded(b"/p/c")}}


def test_etcd_says_when_somebody_else_was_there(server):
    server.answers = {"/v3/kv/txn": (200, {"succeeded": True})}
    many = {f"k{n:03}": b"1" for n in range(150)}
    publishing.write(access("etcd", server), {}, publishing.difference({}, many, False))
    assert [len(body["success"]) for _path, body, _headers in server.asked] == [100, 50]
    server.answers = {"/v3/kv/txn": (200, {})}
    with pytest.raises(base.StoreError, match="somebody else changed it"):
        publishing.write(access("etcd", server), NOW, publishing.difference(NOW, {"a": b"x"}, False))


def test_consul(server):
    server.answers = {"/v1/txn": (200, {})}
    publishing.write(access("consul", server), NOW, publishing.difference(NOW, {"a": b"x", "d": b"4"}, True))
    told = [one["KV"] for one in server.asked[0][1]]
    assert told[0] == {"Verb": "cas", "Key": "cfg/web/a", "Index": 5, "Value": b64("x")}
    assert told[1]["Index"] == 0
    assert [one["Verb"] for one in told] == ["cas", "cas", "delete-cas", "delete-cas"]
    server.answers = {"/v1/txn": (409, {"Errors": []})}
    with pytest.raises(base.StoreError, match="somebody else changed it"):
        publishing.write(access("consul", server), NOW, publishing.difference(NOW, {"a": b"x"}, False))


def test_vault_keeps_other_keys_and_checks_the_version(server):
    told = {"data": {"data": {"a": "1", "z": "9"}, "metadata": {"version": 4, "created_time": "t"}}}
    server.answers = {"/v1/secret/data/web": (200, told)}
    where = access("vault", server, "secret/web")
    now = publishing.read(where)
    publishing.write(where, now, publishing.difference(now, {"a": b"2"}, False))
    assert server.asked[-1][1] == {"options": {"cas": 4}, "data": {"a": "2", "z": "9"}}
    server.answers = {"/v1/secret/data/web": (400, {"errors": ["check-and-set parameter did not match"]})}
    with pytest.raises(base.StoreError, match="somebody else changed it"):
        publishing.write(where, now, publishing.difference(now, {"a": b"2"}, False))


def read(stated_config, login=""):
    return stated.read(stated_config, SERVICES, {"f.yml": b"file"}.__getitem__, login)


def test_what_is_stated():
    entry = {"values": {"n": 1, "m": {"b": 1, "a": 2}, "t": "x"}, "files": {"f": "f.yml"}, "sensitive": ["t"]}
    (found,) = read({"shop_web": entry}, "me:word")
    assert found.content == {"n": b"1", "m": b'{"a": 2, "b": 1}', "t": b"x", "f": b"file"}
    assert (found.sensitive, found.prune, found.login) == (["t"], False, "me:word")
    (found,) = read({"shop_safe": {"values": {"x": "1"}, "login": "token"}})
    assert (found.sensitive, found.login) == (["x"], "token")


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"shop_web": {"value": {}}}, "key 'value' is unknown"),
        ({"shop_web": {"values": []}}, ""),
        ({"shop_web": {"values": ["a"]}}, "is no mapping"),
        ({"shop_web": {"values": {"../a": "1"}}}, "cannot be the name"),
        ({"shop_web": {"values": {"a": None}}}, "has no value"),
        ({"shop_web": {"values": {"a": "1"}, "files": {"a": "f.yml"}}}, "is in values as well"),
        ({"shop_web": {"values": {"b": "1"}, "prune": True}}, "prune would remove a"),
        ({"shop_web": {"values": {"a": "1"}, "prune": "yes"}}, "is no truth"),
        ({"shop_web": {"values": {"a": "1"}, "sensitive": ["b"]}}, "is not published"),
        ({"shop_web": {"values": {"a": "x" * (base.LARGEST + 1)}}}, "at most"),
        ({"shop_page": {"values": {"a": "1"}}}, "read only"),
        ({"shop_plain": {"values": {"a": "1"}}}, "no x-stowage.config_source"),
        ({"shop_wbe": {"values": {"a": "1"}}}, "no such service"),
        ({}, "says nothing"),
        (None, "says nothing"),
    ],
)
def test_mistakes(entry, told):
    if not told:
        assert read(entry)[0].content == {}
        return
    with pytest.raises(StowageError, match=told) as caught:
        read(entry)
    assert {problem.code for problem in caught.value.problems} == {"STW-PUBLISH"}


def test_all_mistakes_at_once():
    with pytest.raises(StowageError) as caught:
        read({"shop_plain": {}, "shop_web": {"values": {"/x": "1"}}, "nobody": {}})
    assert len(caught.value.problems) == 3
