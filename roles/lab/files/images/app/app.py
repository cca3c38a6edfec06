# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small web server that says who it is and misbehaves on demand.

GET /        one line of JSON: name, slot, host, version, container; /?seconds=2 takes that long
POST /       the same, and the number of bytes that came
GET /health  200 or, when told to be unhealthy, 500

Environment (all optional):
  NAME, SLOT, NODE    what it says about itself, e.g. from {{.Service.Name}}, {{.Task.Slot}}, {{.Node.Hostname}}
  VERSION             comes with the image; "broken" ends at once with an error
  PORT                where it listens (8080)
  START_DELAY         seconds before it listens
  SLOW                seconds that every answer to / takes
  UNHEALTHY           1: /health is 500 from the start; any greater number: from that many seconds on
  EXIT_AFTER          seconds until it exits abruptly with code 1
  ABRUPT              1: SIGTERM ends it at once; otherwise running requests are finished first
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

BEGAN = time.monotonic()


def seconds(name: str) -> float:
    """A number of seconds from the environment; 0 when unset."""
    return float(os.environ.get(name) or 0)


def asked_seconds(query: str) -> float:
    """`seconds` of a query string: at most ten, 0 if it is none."""
    try:
        return min(max(float(parse_qs(query).get("seconds", ["0"])[0]), 0.0), 10.0)
    except ValueError:
        return 0.0


def healthy() -> bool:
    """Whether /health says yes now."""
    unhealthy = seconds("UNHEALTHY")
    return not unhealthy or (unhealthy != 1 and time.monotonic() - BEGAN < unhealthy)


def identity() -> dict[str, str]:
    """What GET / answers."""
    container = socket.gethostname()
    return {
        "name": os.environ.get("NAME", "app"),
        "slot": os.environ.get("SLOT", ""),
        "host": os.environ.get("NODE", ""),
        "version": os.environ.get("VERSION", ""),
        "container": container,
    }


class Server(ThreadingHTTPServer):
    """Threads that are waited for when the server closes; a backlog that a burst of new connections fits in."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """Answers / and /health."""

    protocol_version = "HTTP/1.1"
    # An answer goes out in one write: a balancer may ask another server only while nothing of an answer has come.
    wbufsize = 65536
    timeout = 5  # idle kept-alive connections do not hold up a graceful end
    stopping = False

    def do_GET(self) -> None:
        """Answer one request."""
        path, _mark, query = self.path.partition("?")
        if path == "/health":
            self.answer(200, {"healthy": True}) if healthy() else self.answer(500, {"healthy": False})
        elif path == "/":
            time.sleep(seconds("SLOW") + asked_seconds(query))
            self.answer(200, identity())
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """Take the body, then answer as to GET."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _mark, query = self.path.partition("?")
        if path != "/":
            self.answer(404, {"error": "no such page"})
            return
        time.sleep(seconds("SLOW") + asked_seconds(query))
        self.answer(200, {**identity(), "bytes": len(body)})

    def answer(self, status: int, body: dict[str, object]) -> None:
        """Send one line of JSON; while stopping, close the connection after it."""
        data = (json.dumps(body) + "\n").encode()
        self.close_connection = self.close_connection or Handler.stopping
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing for /health, which is asked every second; one line for anything else."""
        if not self.path.startswith("/health"):
            print(f"{self.address_string()} {format % args}", flush=True)


def stop(server: Server) -> None:
    """End at once, or after the running requests."""
    print("stopping", flush=True)
    if os.environ.get("ABRUPT") == "1":
        os._exit(0)
    Handler.stopping = True
    threading.Thread(target=server.shutdown).start()


def main() -> int:
    """Serve until told to stop."""
    if os.environ.get("VERSION") == "broken":
        print("error: cannot open /etc/app.json: this version is broken on purpose", file=sys.stderr, flush=True)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if seconds("EXIT_AFTER"):
        threading.Timer(seconds("EXIT_AFTER"), os._exit, [1]).start()
    time.sleep(seconds("START_DELAY"))
    server = Server(("", int(os.environ.get("PORT", "8080"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: stop(server))
    signal.signal(signal.SIGINT, lambda *_: stop(server))
    print(f"version {os.environ.get('VERSION', '')} listens on {server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
