"""What the client makes of a store's answers: times of deletion, redirects."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("hvac")

from ansible_collections.stowage.fleet.plugins.module_utils.secrets import settings, vault


class Server:
    """A server on loopback that gives one answer and keeps the headers it saw."""

    def __init__(self, address, status, body=b"", location=""):
        self.seen = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.seen.append(str(self.headers))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                return

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error):
        self.server.shutdown()
        self.server.server_close()


def metadata(deletion, destroyed=False):
    one = {"created_time": "2026-11-01T00:00:00.1Z", "deletion_time": deletion, "destroyed": destroyed}
    return json.dumps({"data": {"current_version": 3, "versions": {"3": one}}}).encode()


def version(url):
    store = vault.Store(settings.read({"address": url, "auth": {"method": "token", "token": "canary-token"}}), {})
    return store.versions(["shop/web"])["shop/web"]


@pytest.mark.parametrize("deletion", ["", "2099-01-01T00:00:00.123456789Z"])
def test_a_version_that_is_to_be_deleted_later_still_counts(deletion):
    with Server("127.0.0.1", 200, metadata(deletion)) as server:
        assert version(server.url) == (3, "2026-11-01T00:00:00.1Z")


@pytest.mark.parametrize(("deletion", "destroyed"), [("2026-01-01T00:00:00.1Z", False), ("", True)])
def test_a_deleted_version_is_told(deletion, destroyed):
    with Server("127.0.0.1", 200, metadata(deletion, destroyed)) as server:
        assert version(server.url).kind == vault.MISSING


def test_no_token_follows_a_redirect():
    with Server("127.0.0.2", 200, metadata("")) as other:
        with Server("127.0.0.1", 307, location=f"{other.url}/v1/secret/metadata/shop/web") as server:
            found = version(server.url)
        assert found.kind == vault.WRONG
        assert "another address" in found.reason
        assert other.seen == []
