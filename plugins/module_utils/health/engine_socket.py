# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Docker Engine over its socket, as far as the host's own watch needs it: list, events, restart.

The docker SDK takes 30 MB and half a second to import; this program runs on every host, always.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from .judge import Container

SOCKET = "/var/run/docker.sock"
TIMEOUT = 10.0
EVENTS = "/events?filters=" + json.dumps({"type": ["container"]}, separators=(",", ":")).replace('"', "%22")
STARTED = ("start", "unpause")
WORTH = ("start", "unpause", "die", "kill", "oom", "pause", "destroy", "health_status")
HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")
WORDS = 80


class EngineDown(OSError):
    """The Engine does not answer, or says no."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost")
        self._path, self._patience = path, timeout

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._patience)
        self.sock.connect(self._path)


class EngineSocket:
    """The calls that the watch makes. Every failure is an EngineDown."""

    def __init__(self, path: str = SOCKET) -> None:
        """Take the socket's path."""
        self.path = path

    def containers(self) -> list[dict[str, Any]]:
        """All containers, as `GET /containers/json` lists them."""
        return list(json.loads(self._ask("GET", "/containers/json?all=1", TIMEOUT)))

    def restart(self, container: str, grace: int, timeout: float) -> None:
        """Stop a container within `grace` seconds, and start it."""
        self._ask("POST", f"/containers/{container}/restart?t={grace}", timeout)

    def grace(self, container: str) -> int:
        """The seconds that a container states for its end."""
        config = json.loads(self._ask("GET", f"/containers/{container}/json", TIMEOUT))["Config"]
        return int(config.get("StopTimeout") or 10)

    def events(self) -> Iterator[tuple[str, str]]:
        """(what, container id) of each event that may change who serves, as it happens. Ends with an EngineDown."""
        connection = _Connection(self.path, None)
        try:
            connection.request("GET", EVENTS)
            stream = connection.getresponse()
            while True:
                line = stream.readline()
                if not line:
                    raise EngineDown("the stream of events ended")
                event = json.loads(line)
                what = str(event.get("Action") or event.get("status") or "").partition(":")[0]
                if what in WORTH:
                    yield what, str((event.get("Actor") or {}).get("ID") or event.get("id") or "")
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise EngineDown(str(error)) from error
        finally:
            connection.close()

    def _ask(self, method: str, path: str, timeout: float) -> bytes:
        connection = _Connection(self.path, timeout)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise EngineDown(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise EngineDown(f"status {answer.status}")
        return body


def read_adopted(path: str) -> dict[str, Mapping[str, str]]:
    """{full id: labels} of containers that were taken over while they ran; {} if there are none."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file).get("containers") or {}
        return {str(key): dict(entry["labels"]) for key, entry in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def tasks_of(entries: list[dict[str, Any]], adopted: Mapping[str, Mapping[str, str]]) -> list[Container]:
    """The containers that carry a task's labels; others are not ours to watch."""
    found = []
    for entry in entries:
        labels = {**(entry.get("Labels") or {}), **adopted.get(str(entry["Id"]), {})}
        if "stowage.service" not in labels:
            continue
        status = str(entry.get("Status") or "")
        health = HEALTH.search(status)
        own = (str(labels.get(f"stowage.{key}") or "") for key in ("service", "slot", "ip"))
        words = "".join(c for c in status[:WORDS] if " " <= c <= "~")
        state = str(entry.get("State") or "")
        found.append(Container(str(entry["Id"]), state, health.group(1) if health else "none", words, *own))
    return found


def adopted_path(root: str = "/") -> str:
    """Where the labels of containers that were taken over are."""
    return os.path.join(root, "var/lib/stowage/adopted.json")
