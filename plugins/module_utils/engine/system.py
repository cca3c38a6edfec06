# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One container that serves the host itself (such as Traefik), not a stack: made, kept or removed by name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..canonical import digest
from ..errors import Problem, StowageError
from .client import Engine, EngineError, printable

SYSTEM = "stowage.system"
SPEC = "stowage.spec"
STEADY_SECONDS = 1.0  # a container with a wrong argument ends at once: that long we look
Wanted = Mapping[str, Any]


def body(wanted: Wanted) -> dict[str, Any]:
    """The body of POST /containers/create for the wanted container (keys: see module host_container)."""
    host: dict[str, Any] = {
        "NetworkMode": wanted["network_mode"],
        "RestartPolicy": {"Name": wanted["restart"]},
        "Mounts": [_mount(mount) for mount in wanted["mounts"]],
    }
    result: dict[str, Any] = {
        "Image": wanted["image"],
        "Env": [f"{key}={value}" for key, value in sorted(wanted["env"].items())],
        "Labels": {**wanted["labels"], SYSTEM: wanted["name"]},
        "HostConfig": host,
    }
    if wanted["command"] is not None:
        result["Cmd"] = list(wanted["command"])
    result["Labels"][SPEC] = digest(result)
    return result


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    result = {"Type": mount["type"], "Target": mount["target"], "ReadOnly": bool(mount["read_only"])}
    if mount.get("source"):
        result["Source"] = mount["source"]
    return result


def ensure(engine: Engine, wanted: Wanted, check: bool = False) -> tuple[list[str], dict[str, str]]:
    """Bring the container about. Returns (what was done, {"before", "after"} as text); under check it only says so.

    Raises StowageError: STW-NAME (a stranger has the name), STW-PULL, STW-START.
    """
    entry = _own_entry(engine, wanted["name"])
    wish = body(wanted)
    done = _needed(engine, wanted, entry, wish)
    diff = {"before": _text(_spec(entry), entry), "after": _text(wish["Labels"][SPEC], None)}
    if not check:
        for action in done:
            _carry_out(engine, wanted, wish, action)
        if "start" in done:
            _steady(engine, wanted["name"])
    return done, diff if done else {"before": diff["after"], "after": diff["after"]}


def absent(engine: Engine, name: str, check: bool = False) -> tuple[list[str], dict[str, str]]:
    """Remove the container if it is ours. Returns as `ensure` does."""
    entry = _own_entry(engine, name)
    if entry is None:
        return [], {"before": "absent\n", "after": "absent\n"}
    if not check:
        engine.remove(name)
    return ["remove"], {"before": _text(_spec(entry), entry), "after": "absent\n"}


def _own_entry(engine: Engine, name: str) -> dict[str, Any] | None:
    found = engine.containers(name)
    if not found:
        return None
    if (found[0].get("Labels") or {}).get(SYSTEM) != name:
        reason = f"container {found[0]['Id'][:12]} has this name and is not ours"
        raise StowageError(Problem("STW-NAME", f"container {name}", reason, f"rename or remove it: docker rm {name}"))
    return found[0]


def _spec(entry: Mapping[str, Any] | None) -> str | None:
    return entry["Labels"].get(SPEC) if entry else None


def _needed(engine: Engine, wanted: Wanted, entry: dict[str, Any] | None, wish: Mapping[str, Any]) -> list[str]:
    if entry is not None and entry["Labels"].get(SPEC) == wish["Labels"][SPEC] and entry["State"] != "dead":
        running = {"running": [], "restarting": [], "paused": ["unpause"]}
        return list(running.get(entry["State"], ["start"]))
    pull = [] if engine.has_image(wanted["image"]) else ["pull"]
    return pull + (["remove"] if entry is not None else []) + ["create", "start"]


def _carry_out(engine: Engine, wanted: Wanted, wish: dict[str, Any], action: str) -> None:
    name = wanted["name"]
    try:
        if action == "pull":
            engine.pull(wanted["image"])
        elif action == "create":
            engine.create(name, wish)
        else:
            if action == "remove" and wanted.get("stop_timeout"):
                engine.stop(name, float(wanted["stop_timeout"]))
            {"remove": engine.remove, "start": engine.start, "unpause": engine.unpause}[action](name)
    except EngineError as error:
        code = "STW-PULL" if action == "pull" else "STW-START"
        place = f"image {wanted['image']}" if action == "pull" else f"container {name}"
        fix = "check the image name and the registry" if action == "pull" else ""
        raise StowageError(Problem(code, place, f"{action} failed: {error}", fix)) from error


def _steady(engine: Engine, name: str) -> None:
    """Refuse a container that does not stay up for a moment."""
    end = time.monotonic() + STEADY_SECONDS
    while time.monotonic() < end:
        time.sleep(0.2)
        entry = engine.containers(name)
        if not entry or entry[0]["State"] != "running":
            seen = entry[0]["Status"] if entry else "gone"
            tail = printable(engine.log_tail(name, 10), 600)
            reason = f"did not stay up ({seen}); last output: {tail or 'none'}"
            raise StowageError(Problem("STW-START", f"container {name}", reason, "see its command and mounts"))


def _text(spec: str | None, entry: Mapping[str, Any] | None) -> str:
    if entry is None and spec is None:
        return "absent\n"
    return f"spec: {spec}\nstate: {entry['State'] if entry else 'running'}\n"
