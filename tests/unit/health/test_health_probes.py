"""Probes against servers on loopback: HTTP, TCP, and gRPC's health service as a server frames its answer."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.health.probes import probe


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(self.path.strip("/") or 200) if self.headers["Host"] != "shop.example" else 204
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@contextlib.contextmanager
def http():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def says(*frames):
    """A server that reads what comes first and answers with these frames."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _address = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"".join(frames))
                with contextlib.suppress(ConnectionResetError):
                    connection.recv(65536)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def frame(kind, flags, body, stream=1):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + body


def message(status):
    body = bytes([8, status]) if status else b""
    return frame(0, 0, b"\0" + struct.pack(">I", len(body)) + body)


SETTINGS, HEADERS = frame(4, 0, b"", 0), frame(1, 4, b"\x88")


def spec(kind, port, **more):
    return {"kind": kind, "port": port, "timeout": 1.0, **more}


@pytest.mark.parametrize(
    ("path", "host", "said"),
    [
        ("/", "", ""),
        ("/302", "", ""),
        ("/500", "", "status 500"),
        ("/404", "", "status 404"),
        ("/500", "shop.example", ""),
    ],
)
def test_http(path, host, said):
    with http() as port:
        assert probe(spec("http", port, path=path, host=host), "127.0.0.1") == said


def test_tcp_and_nobody_there():
    with http() as port:
        assert probe(spec("tcp", port), "127.0.0.1") == ""
    assert "refused" in probe(spec("tcp", port), "127.0.0.1")


def test_a_server_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = probe({**spec("http", listener.getsockname()[1], path="/"), "timeout": 0.2}, "127.0.0.1")
    assert found == "no answer within 0.2 s"


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ((SETTINGS, HEADERS, message(1)), ""),
        ((SETTINGS, frame(6, 0, b"12345678", 0), HEADERS, message(1)), ""),
        ((SETTINGS, HEADERS, message(0)), "UNKNOWN"),
        ((SETTINGS, HEADERS, message(2)), "NOT_SERVING"),
        ((SETTINGS, frame(1, 5, b"\x88")), "the server does not know grpc.health.v1.Health or this service"),
        ((SETTINGS, frame(7, 0, b"\0" * 8, 0)), "the server refused the call"),
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), "this is no HTTP/2"),
    ],
)
def test_grpc(frames, said):
    with says(*frames) as port:
        assert probe(spec("grpc", port, service="shop.Cart"), "127.0.0.1") == said
