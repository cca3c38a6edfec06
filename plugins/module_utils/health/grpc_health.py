# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The gRPC health protocol (grpc.health.v1.Health/Check), as far as one question needs HTTP/2. Standard library only.

One request on a fresh connection: preface, settings, headers without compression, one message. Of the answer only
the message counts: SERVING is the two bytes 08 01.
"""

from __future__ import annotations

import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
ACK = END_STREAM = 1
END_HEADERS = 4
PATH = "/grpc.health.v1.Health/Check"
SERVING = 1
STATES = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
MAX_FRAME = 1 << 16


def check(address: str, port: int, service: str, timeout: float) -> str:
    """Why this server does not serve; "" if it says SERVING. Raises OSError if it cannot be asked."""
    end = time.monotonic() + timeout
    with socket.create_connection((address, port), timeout=timeout) as connection:
        connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + _request(f"{address}:{port}", service))
        return _answer(connection, end)


def _request(authority: str, service: str) -> bytes:
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ]
    head = b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)
    name = service.encode()
    message = b"\x0a" + _number(len(name)) + name if name else b""
    body = b"\x00" + struct.pack(">I", len(message)) + message
    return _frame(HEADERS, END_HEADERS, 1, head) + _frame(DATA, END_STREAM, 1, body)


def _answer(connection: socket.socket, end: float) -> str:
    data = b""
    while True:
        connection.settimeout(max(end - time.monotonic(), 0.001))
        kind, flags, body = _read_frame(connection)
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(_frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            connection.sendall(_frame(PING, ACK, 0, body))
        elif kind in (RESET, GOAWAY):
            return "the server refused the call"
        elif kind == DATA:
            data += body
            if len(data) >= 5 and len(data) >= 5 + struct.unpack(">I", data[1:5])[0]:
                return _state(data[5:])
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            return "the server does not know grpc.health.v1.Health or this service"


def _state(message: bytes) -> str:
    value = message[1] if len(message) > 1 and message[0] == 8 else 0
    return "" if value == SERVING else STATES.get(value, "UNKNOWN")


def _read_frame(connection: socket.socket) -> tuple[int, int, bytes]:
    head = _exactly(connection, 9)
    length = int.from_bytes(head[:3], "big")
    if length > MAX_FRAME:
        raise OSError("this is no HTTP/2")
    return head[3], head[4], _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = connection.recv(length - len(data))
        if not more:
            raise OSError("the connection was closed")
        data += more
    return data


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return _prefixed(len(raw)) + raw


def _prefixed(value: int) -> bytes:
    """An integer with a prefix of 7 bits, as header compression writes it."""
    if value < 127:
        return bytes([value])
    return b"\x7f" + _number(value - 127)


def _number(value: int) -> bytes:
    """An integer in groups of 7 bits, the lowest first."""
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])
