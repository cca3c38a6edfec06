# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stores of configuration: limits, errors, and the protocols against small servers that answer as documented."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import config_stores
from ansible_collections.stowage.fleet.plugins.module_utils.config_stores import base, etcd


class Server:
    """Answers of (method, path) or of a path: (status, JSON); what was asked is in .asked."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or "null")
                outer.asked.append((self.path, body, dict(self.headers)))
                status, found = outer.answers.get(self.path, (404, {"errors": []}))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.server.shutdown()
    made.server.server_close()


def read(server, kind, prefix="cfg/web", credential=None, more=()):
    source = {"type": kind, "endpoints": [*more, server.url], "prefix": prefix}
    return config_stores.read(config_stores.Access(source, credential, None, 2.0))


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_etcd(server):
    server.answers = {
        "/v3/auth/authenticate": (200, {"token": "t1"}),
        "/v3/kv/range": (200, {"kvs": [{"key": b64("/cfg/web/a/b"), "value": b64("1"), "mod_revision": "7"}]}),
    }
    found = read(server, "etcd", "/cfg/web", "me:pass:word")
    assert found.files == {"a/b": b"1"}
    (_path, login, _none), (_range, asked, headers) = server.asked
    assert login == {"name": "me", "password": "pass:word"}
    assert base64.b64decode(asked["key"]) == b"/cfg/web/"
    assert base64.b64decode(asked["range_end"]) == b"/cfg/web0"
    assert headers["Authorization"] == "t1"
    with pytest.raises(config_stores.StoreError, match="user:password"):
        read(server, "etcd", credential="word")


def test_consul(server):
    listed = [
        {"Key": "cfg/web/", "Value": None, "ModifyIndex": 1},
        {"Key": "cfg/web/a", "Value": b64("1"), "ModifyIndex": 2},
        {"Key": "cfg/web/e", "Value": None, "ModifyIndex": 3},
    ]
    server.answers = {"/v1/kv/cfg/web/?recurse=true": (200, listed)}
    assert read(server, "consul", credential="tok").files == {"a": b"1", "e": b""}
    assert server.asked[0][2]["X-Consul-Token"] == "tok"
    with pytest.raises(config_stores.StoreError, match="nothing below the prefix"):
        read(server, "consul", "cfg/none")


def test_vault_by_a_role_and_by_metadata_alone(server):
    told = {"version": 3, "created_time": "2026-01-01"}
    server.answers = {
        "/v1/auth/approle/login": (200, {"auth": {"client_token": "t2"}}),
        "/v1/secret/data/shop/web": (200, {"data": {"data": {"a": "1", "n": {"x": 1}}, "metadata": told}}),
        "/v1/secret/metadata/shop/web": (
            200,
            {"data": {"current_version": 3, "versions": {"3": {"created_time": "2026-01-01"}}}},
        ),
    }
    found = read(server, "vault", "secret/shop/web", "role:id")
    assert found.files == {"a": b"1", "n": b'{"x": 1}'}
    assert server.asked[1][2]["X-Vault-Token"] == "t2"
    server.asked.clear()
    source = {"type": "vault", "endpoints": [server.url], "prefix": "secret/shop/web"}
    assert config_stores.peek(config_stores.Access(source, "token", None, 2.0)) == (found.revision, None)
    assert [path for path, *_rest in server.asked] == ["/v1/secret/metadata/shop/web"]


def test_a_document(server):
    server.answers = {"/web.json": (200, {"a": "1"}), "/list.json": (200, [1]), "/text": (200, b"no"), "/go": (302, {})}
    assert read(server, "http", "web.json", "token").files == {"a": b"1"}
    assert server.asked[0][2]["Authorization"] == "Bearer token"
    for path in ("list.json", "text", "go", "none"):
        with pytest.raises(config_stores.StoreError) as caught:
            read(server, "http", path)
        assert not caught.value.retry
    assert "/elsewhere" not in [path for path, *_rest in server.asked]


def test_the_next_endpoint_is_asked_when_one_is_silent(server):
    server.answers = {"/web.json": (200, {"a": "1"})}
    assert read(server, "http", "web.json", more=["http://127.0.0.1:9"]).files == {"a": b"1"}
    server.answers = {"/web.json": (503, {})}
    with pytest.raises(config_stores.StoreError) as caught:
        read(server, "http", "web.json", more=["http://127.0.0.1:9"])
    assert caught.value.retry
    assert caught.value.reason.startswith(f"{server.url} answers 503")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "nothing below"),
        ({"../x": b""}, "cannot be the name"),
        ({"a\x00": b""}, "cannot be the name"),
        ({"a//b": b""}, "cannot be the name"),
        ({"a": b"", "a/b": b""}, "is below another key"),
        ({"a": b"x" * (base.LARGEST + 1)}, "bytes"),
        ({str(n): b"x" * base.LARGEST for n in range(9)}, "below the prefix"),
        ({str(n): b"" for n in range(base.MOST + 1)}, "keys below"),
    ],
)
def test_limits(files, told):
    with pytest.raises(config_stores.StoreError, match=told) as caught:
        base.checked(files)
    assert not caught.value.retry


def test_a_revision_is_of_names_and_contents_alone():
    one = config_stores.revision_of({"a": b"1", "b": b"2"})
    assert one == config_stores.revision_of({"b": b"2", "a": b"1"})
    assert one != config_stores.revision_of({"a": b"12", "b": b""})
    assert one != config_stores.revision_of({"a1": b"", "b": b"2"})


def test_an_error_tells_no_credential(server):
    server.answers = {"/v3/auth/authenticate": (400, {"error": "authentication failed"})}
    with pytest.raises(config_stores.StoreError) as caught:
        read(server, "etcd", credential="me:s3cret")
    assert "s3cret" not in caught.value.reason
    assert etcd.span("/a")[1] == b"/a0"
