# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the fleet's own OpenBao shall hold, what differs, and where its keys go."""

from __future__ import annotations

import json
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("hvac")

from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import server
from ansible_collections.stowage.fleet.plugins.plugin_utils import keeping, vaulted

STORE = {"address": "https://127.0.0.1:1", "timeout": 1}


def test_policies_of_an_environment_and_of_each_service():
    made = server.policies("secret", "prod", [("shop", "web"), ("shop", "db")])
    assert sorted(made) == ["prod-deploy", "prod-plan", "prod-shop-db", "prod-shop-web", "prod-write"]
    assert "/data/" not in made["prod-plan"]
    assert 'path "secret/data/prod/*" { capabilities = ["read"] }' in made["prod-deploy"]
    assert "read" not in made["prod-write"].splitlines()[1]
    assert made["prod-shop-web"] == 'path "secret/data/prod/shop/web" { capabilities = ["read"] }\n'
    roles = server.roles("prod")
    assert {name: role["token_policies"] for name, role in roles.items()} == {
        "prod": ["prod-deploy"],
        "prod-plan": ["prod-plan"],
    }
    assert {role["secret_id_num_uses"] for role in roles.values()} == {1}


def test_only_what_differs_is_a_change():
    wanted = {"policy": {"a": "x\n", "b": "y\n"}, "role": {"r": {"token_ttl": 900}}, "login": {"approle": "approle"}}
    have = {"policy": {"a": "x", "b": "z"}, "role": {"r": {"token_ttl": 900, "more": 1}}, "login": {}}
    changes = server.changes(have, wanted)
    assert [(one.kind, one.name) for one in changes] == [("policy", "b"), ("login", "approle")]
    assert server.diff(changes) == {"before": "policy b\nz\n", "after": "policy b\ny\nlogin approle\napprole\n"}
    assert server.changes(wanted, wanted) == []


@pytest.mark.parametrize(
    ("made", "needed", "count"), [(5, 3, 0), ("5", "3", 0), (1, 1, 0), (3, 1, 1), (2, 3, 1), (0, "x", 2), (5, 21, 1)]
)
def test_shares(made, needed, count):
    if not count:
        assert server.shares(made, needed) == (int(made), int(needed))
        return
    with pytest.raises(StowageError) as caught:
        server.shares(made, needed)
    assert [problem.code for problem in caught.value.problems] == ["STW-VAULT"] * count


class Sys:
    """A store's system calls."""

    def __init__(self):
        self.given = []

    def initialize(self, made, needed):
        assert (made, needed) == (3, 2)
        return {"keys_base64": ["k1", "k2", "k3"], "root_token": "root"}

    def submit_unseal_key(self, key):
        self.given.append(key)
        return {"sealed": len(self.given) < 2, "progress": len(self.given), "t": 2}


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    monkeypatch.setattr(vaulted, "passwords", lambda _templar: [("default", VaultSecret(b"right"))])
    made = keeping.Keeper(STORE, tmp_path / "new/keys.json", None)
    made._client = types.SimpleNamespace(sys=Sys(), token="")
    monkeypatch.setattr(made, "patient", lambda: made._client)
    return made


class Slow(BaseHTTPRequestHandler):
    """A store that takes its time, and counts how often it is asked."""

    asked = 0

    def do_PUT(self):
        Slow.asked += 1
        time.sleep(2 if Slow.asked == 1 else 0)
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"keys_base64": ["k"], "root_token": "r"}' if Slow.asked == 1 else b'{"errors": ["already"]}'
        self.send_response(200 if Slow.asked == 1 else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT

    def log_message(self, *_arguments):
        return


def test_a_slow_store_is_asked_for_its_keys_once(tmp_path):
    server_ = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server_.serve_forever, daemon=True).start()
    stated = {"address": f"http://127.0.0.1:{server_.server_port}", "timeout": 1}
    keeper = keeping.Keeper(stated, tmp_path / "keys.json", types.SimpleNamespace())
    keeper._sealed_text = lambda text: text
    keeper.initialize(1, 1)
    server_.shutdown()
    server_.server_close()
    assert Slow.asked == 1
    assert json.loads(keeper.path.read_text())["shares"] == ["k"]


def test_keys_are_kept_once_and_encrypted(keeper):
    keeper.initialize(3, 2)
    assert keeper.path.stat().st_mode & 0o777 == 0o600
    text = keeper.path.read_bytes()
    kept = json.loads(VaultLib([("default", VaultSecret(b"right"))]).decrypt(text))
    assert kept == {"threshold": 2, "shares": ["k1", "k2", "k3"], "root_token": "root"}
    with pytest.raises(StowageError, match="of another store"):
        keeper.initialize(3, 2)
    assert keeper.path.read_bytes() == text
    keeper.unseal()
    assert keeper._client.sys.given == ["k1", "k2"]
    keeper.log_in({})
    assert keeper._client.token == "root"
    keeper.log_in({"BAO_TOKEN": "mine"})
    assert keeper._client.token == "mine"


def test_too_few_shares_and_no_keys_are_told(keeper):
    with pytest.raises(StowageError, match="no file with the store's keys"):
        keeper.unseal()
    keeper.path.parent.mkdir()
    keeper.path.write_text('{"shares": ["k1"]}')
    with pytest.raises(StowageError, match="it has 1 of 2 key shares"):
        keeper.unseal()
    with pytest.raises(StowageError, match="set BAO_TOKEN"):
        keeper.log_in({})


def test_a_store_that_is_away_leaves_no_empty_keys_file(tmp_path):
    keeper = keeping.Keeper(STORE, tmp_path / "keys.json", None)
    with pytest.raises(StowageError, match="does not answer"):
        keeper.initialize(3, 2)
    assert not keeper.path.exists()
    with pytest.raises(StowageError, match="does not answer"):
        keeper.state(patience=0)


def test_what_the_role_cannot_do_is_told_at_once(tmp_path):
    with pytest.raises(StowageError) as caught:
        keeping.check({"stowage_vault_key": tmp_path / "no", "stowage_vault_program": tmp_path / "none"}, ["a", "b"])
    assert len(caught.value.problems) == 3


def test_a_way_in_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "wrapped"
    keeping.put(path, "s.x")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("s.x\n", 0o600)
    with pytest.raises(StowageError, match="cannot be written"):
        keeping.put(Path("/proc/none/wrapped"), "x")
