# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The few calls of the Docker API that Traefik's Swarm provider makes, answered on a unix socket."""

from __future__ import annotations

import json
import socketserver
import tempfile
import threading
from http.server import BaseHTTPRequestHandler


class FakeSwarm:
    """A Swarm of one node and one overlay network `net`, in which every service has one running task per address."""

    def __init__(self, services, addresses):
        """Take services: {name: labels}; addresses: one task each."""
        network = {"Id": "net1", "Name": "net", "Scope": "swarm", "Driver": "overlay"}
        self.answers = {
            "/_ping": "OK",
            "/version": {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "28.0"},
            "/info": {"Swarm": {"LocalNodeState": "active", "ControlAvailable": True}},
            "/networks": [network],
            "/nodes/node1": {"ID": "node1", "Status": {"Addr": "127.0.0.1"}},
            "/services": [_service(name, labels) for name, labels in services.items()],
        }
        self.tasks = {name: [_task(name, slot, ip) for slot, ip in enumerate(addresses, 1)] for name in services}

    def answer(self, path, query):
        """The JSON-able answer, text as it is, or None."""
        if path == "/tasks":
            return next((tasks for name, tasks in self.tasks.items() if f"%22{name}%22" in query), [])
        return self.answers.get(path)

    def __enter__(self):
        """Start serving; `endpoint` is what Traefik is given."""
        self.directory = tempfile.TemporaryDirectory(prefix="swarm")  # short: a socket's path has 107 bytes
        path = f"{self.directory.name}/docker.sock"
        self.server = _Server(path, _Handler)
        self.server.swarm = self
        self.endpoint = f"unix://{path}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_details):
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()
        self.directory.cleanup()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def handle_error(self, _request, _client_address):
        """A client that left is no error."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        """Answer by path, without version and query."""
        path, _mark, query = self.path.partition("?")
        path = path[path.index("/", 1) :] if path.startswith("/v1.") else path
        answer = self.server.swarm.answer(path, query)
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(200 if answer is not None else 404)
        self.send_header("Api-Version", "1.44")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_arguments):
        """Stay silent."""


def _service(name, labels):
    spec = {
        "Name": name,
        "Labels": labels,
        "Mode": {"Replicated": {}},
        "TaskTemplate": {"ContainerSpec": {"Image": "x"}},
        "EndpointSpec": {"Mode": "vip"},
    }
    address = {"NetworkID": "net1", "Addr": "127.9.0.1/24"}
    return {"ID": name, "Spec": spec, "Endpoint": {"Spec": {"Mode": "vip"}, "VirtualIPs": [address]}}


def _task(name, slot, address):
    network = {"ID": "net1", "Spec": {"Name": "net"}}
    return {
        "ID": f"{name}-{slot}",
        "ServiceID": name,
        "NodeID": "node1",
        "Slot": slot,
        "Status": {"State": "running"},
        "Spec": {"ContainerSpec": {"Image": "x"}},
        "NetworksAttachments": [{"Network": network, "Addresses": [f"{address}/24"]}],
    }
