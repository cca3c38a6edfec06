# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On an ingress host: a second Traefik of the same image reads a new file before the one that serves may see it.

One file that Traefik cannot parse would freeze the routes of all stacks, and be no routes at all after a restart. A
trial costs a container start, so only files of another shape get one: other replicas of known services need none.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from typing import Any

from ..errors import Problem, StowageError
from . import files
from .fence import FENCE_HOST, await_generation

NAME = "stowage-ingress-trial"
SERVING = "stowage-ingress"
DIRECTORY = "var/lib/stowage/traefik/trial"
CONFIG = "etc/stowage/traefik"
TIMEOUT = 8.0
LOG_LINES = 40
ADDRESS = re.compile(r"^([^:/]*://)?(\[[^\]]*\]|[^:/]*)")
COLOR = re.compile("\x1b\\[[0-9;]*m")
STAMP = re.compile(r"^\S+ +ERR +")


def is_needed(before: str | None, text: str) -> bool:
    """Whether the new file differs from the old in more than servers' addresses and the fence."""
    return before is None or _shape(before) != _shape(text)


def try_in_container(text: str, generation: str, root: str = "/") -> list[Problem]:
    """Problems of a Traefik that was given this file: none, or one STW-INGRESS-FILE with what it said.

    Uses the image of the container that serves; where there is none, or the Engine fails, there is nothing to try with
    and the fence alone decides.
    """
    from ..engine import system  # noqa: PLC0415 (only where routes change their shape)
    from ..engine.client import EngineError, connect  # noqa: PLC0415

    directory = os.path.join(root, DIRECTORY)
    try:
        engine = connect()
        if not engine.containers(SERVING):
            return []
        port = _free_port()
        _lay_out(directory, text, port)
        system.absent(engine, NAME)
        wish = _wish(str(engine.inspect(SERVING)["Config"]["Image"]), directory, os.path.join(root, CONFIG))
        engine.create(NAME, system.body(wish))
        try:
            engine.start(NAME)
            seen, problems = await_generation(port, generation, TIMEOUT)
            return [] if seen["seen"] or not problems else [_refused(engine.log_tail(NAME, LOG_LINES))]
        finally:
            engine.remove(NAME)
    except (EngineError, StowageError):
        return []
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def static_configuration(directory: str, port: int) -> dict[str, Any]:
    """Traefik's static configuration for a trial: one file, and the fence on a port of its own."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR", "noColor": True},
        "ping": {"manualRouting": True},
        "entryPoints": {"stowage": {"address": f"{FENCE_HOST}:{port}"}},
        "providers": {"file": {"filename": f"{directory}/stowage.yml", "watch": False}},
    }


def _shape(text: str) -> Any:
    """The document without what a roll changes; the text itself if it is no document."""
    try:
        document = json.loads(text)
        for section in document.values():
            (section.get("routers") or {}).pop("stowage-gen", None)
            for service in (section.get("services") or {}).values():
                balancer = service.get("loadBalancer") or {}
                kinds = {json.dumps(_without_address(one), sort_keys=True) for one in balancer.get("servers") or []}
                balancer["servers"] = sorted(kinds)
    except (ValueError, AttributeError, TypeError):
        return text
    return document


def _without_address(server: dict[str, Any]) -> dict[str, Any]:
    return {key: ADDRESS.sub(r"\1", str(part)) if key in ("url", "address") else part for key, part in server.items()}


def _lay_out(directory: str, text: str, port: int) -> None:
    stage = os.path.join(directory, "stage")
    files.replace(os.path.join(directory, "stowage.yml"), text, stage)
    static = json.dumps(static_configuration("/trial", port))
    files.replace(os.path.join(directory, "traefik.yml"), static, stage)


def _wish(image: str, directory: str, config: str) -> dict[str, Any]:
    """The definition of the trial's container, as the module host_container takes it."""
    mounts = [(directory, "/trial"), (config, f"/{CONFIG}")]
    return {
        "name": NAME,
        "image": image,
        "command": ["--configFile=/trial/traefik.yml"],
        "network_mode": "host",
        "restart": "no",
        "env": {},
        "labels": {},
        "mounts": [
            {"type": "bind", "source": source, "target": target, "read_only": True} for source, target in mounts
        ],
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((FENCE_HOST, 0))
        return int(found.getsockname()[1])


def _refused(log: str) -> Problem:
    lines = [COLOR.sub("", line) for line in log.splitlines()]
    errors = [STAMP.sub("", line) for line in lines if " ERR " in line or "error" in line.lower()]
    said = next((line for line in errors if "provider" in line.lower() or "field" in line), (errors or ["nothing"])[0])
    reason = f"Traefik takes these routes for broken, so none were changed. It says: {said[:300]!a}"
    fix = "the field it names is in a label (stowage_ingress.unknown_fields lets them through) or in the settings"
    return Problem("STW-INGRESS-FILE", SERVING, reason, fix)
