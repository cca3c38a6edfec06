# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One look at a container from its host: HTTP, TCP or gRPC. Standard library only."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from typing import Any

from .grpc_health import check

GOOD = range(200, 400)


def probe(spec: Mapping[str, Any], address: str) -> str:
    """Why the container at this address fails the probe; "" if it passes. Ends within the probe's timeout or so.

    spec: {kind: http | tcp | grpc, port, timeout}, and path, host for http, service for grpc.
    """
    port, timeout = int(spec["port"]), float(spec["timeout"])
    try:
        if spec["kind"] == "http":
            return _http(spec, address, port, timeout)
        if spec["kind"] == "grpc":
            return check(address, port, str(spec.get("service") or ""), timeout)
        socket.create_connection((address, port), timeout=timeout).close()
    except socket.timeout:
        return f"no answer within {timeout:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return (str(getattr(error, "strerror", "") or "") or str(error) or type(error).__name__)[:80]
    return ""


def _http(spec: Mapping[str, Any], address: str, port: int, timeout: float) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        headers = {"User-Agent": "stowage", "Connection": "close"}
        host = str(spec.get("host") or "")
        connection.request("GET", str(spec.get("path") or "/"), headers={**headers, **({"Host": host} if host else {})})
        status = connection.getresponse().status
        return "" if status in GOOD else f"status {status}"
    finally:
        connection.close()
