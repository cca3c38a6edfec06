# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The generation fence: proof that this host's Traefik serves the routes it was given."""

from __future__ import annotations

import http.client
import re
import time
from typing import Any, Callable

from ..errors import Problem, show

FENCE_PREFIX = "/.stowage/gen/"
READY_PATH = "/.stowage/ready"
FENCE_HOST = "127.0.0.1"
GENERATION = re.compile(re.escape(FENCE_PREFIX) + r"([0-9a-f]{16})")
REQUEST_TIMEOUT = 1.0
FIRST_PAUSE, LAST_PAUSE, GROWTH = 0.05, 0.5, 1.4

Get = Callable[[int, str], Any]


def generation_of(text: str | None) -> str | None:
    """The generation that a Traefik file names in its fence, or None."""
    found = GENERATION.search(text or "")
    return found.group(1) if found else None


def get(port: int, path: str) -> Any:
    """HTTP status of GET http://127.0.0.1:<port><path> as int, or why there is none as text."""
    connection = http.client.HTTPConnection(FENCE_HOST, port, timeout=REQUEST_TIMEOUT)
    try:
        connection.request("GET", path, headers={"Host": FENCE_HOST, "Connection": "close"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__ if not str(error) else str(error)
    finally:
        connection.close()


def serves(port: int, generation: str) -> bool:
    """Whether this host's Traefik serves the generation now."""
    return bool(get(port, FENCE_PREFIX + generation) == 200)


def await_generation(
    port: int, generation: str, timeout: float, older: str | None = None, fetch: Get = get
) -> tuple[dict[str, Any], list[Problem]]:
    """Poll until Traefik serves the generation: (fence, problems).

    fence: {generation, seen: bool, seconds: float}. problems is empty, or one STW-FENCE that says what is served
    instead. older: the generation that was on disk before, to recognise a Traefik that kept it.
    """
    start = time.monotonic()
    pause = FIRST_PAUSE
    while True:
        answer = fetch(port, FENCE_PREFIX + generation)
        spent = time.monotonic() - start
        if answer == 200:
            return {"generation": generation, "seen": True, "seconds": round(spent, 3)}, []
        if spent + pause > timeout:
            break
        time.sleep(pause)
        pause = min(pause * GROWTH, LAST_PAUSE)
    fence = {"generation": generation, "seen": False, "seconds": round(spent, 3)}
    return fence, [_not_seen(port, generation, spent, _served(port, answer, older, fetch))]


def _served(port: int, answer: Any, older: str | None, fetch: Get) -> str:
    """What Traefik does instead, in words."""
    if not isinstance(answer, int):
        return f"port {port} does not answer ({show(answer)})"
    if older and fetch(port, FENCE_PREFIX + older) == 200:
        return f"it still serves generation {older}"
    if fetch(port, READY_PATH) == 200:
        return "it serves another generation"
    return f"it serves no configuration of Stowage (status {answer})"


def _not_seen(port: int, generation: str, spent: float, served: str) -> Problem:
    reason = f"Traefik does not serve generation {generation} after {spent:.1f} s: {served}"
    fix = "read `docker logs stowage-ingress`; a file that Traefik refuses is put back by the one it still serves"
    return Problem("STW-FENCE", f"{FENCE_HOST}:{port}", reason, fix)
