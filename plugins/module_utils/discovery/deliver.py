# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On the host: put an endpoints share on disk, and see what is really there. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

from .. import canonical
from ..errors import Problem
from . import files, given
from .disk import disk_digest
from .fence import await_generation, generation_of, serves
from .policed import deliver_policy, policy_core, policy_reach
from .trial import is_needed, try_in_container

TRAEFIK_FILE = "var/lib/stowage/traefik/dynamic/stowage.yml"
TRAEFIK_STAGE = "var/lib/stowage/traefik/stage"
ENDPOINTS_FILE = "var/lib/stowage/endpoints.json"
FENCE_TIMEOUT = 12.0
Trial = Callable[[str, str], "list[Problem]"]


class Means(NamedTuple):
    """How a host is reached: the kernel's published ports, and the trial of a file before Traefik may see it.

    apply(text, path) -> changed; applied(text) -> bool; trial(text, generation) -> problems, None = no trial.
    """

    apply: Callable[[str, str], bool]
    applied: Callable[[str], bool]
    trial: Trial | None = None


def deliver(
    share: Mapping[str, Any],
    root: str = "/",
    check: bool = False,
    timeout: float = FENCE_TIMEOUT,
    means: Means | None = None,
) -> dict[str, Any]:
    """Carry out an endpoints share on this host: {changed, changes, problems, fence}.

    If the routes change their shape, a second Traefik tries the new file first (`means.trial`); what it refuses is not
    written, nor is the rest of the share, and the result has STW-INGRESS-FILE.

    Writes only what differs, each file by one rename from a directory nobody watches: Traefik's file, the DNS files
    (files of services that are gone are removed), the nft scripts through the network room, endpoints.json last. Then
    waits up to `timeout` seconds until Traefik serves the generation.
    changes: one line per change, paths from /. problems: [Problem] (STW-FENCE), never raised. The files stay, but for
    Traefik's own: if it goes on serving the generation before, it gets that file back, for a file that it refuses would
    freeze every later change too, and leave no routes at all after a restart.
    fence: {generation, seen, seconds}, {} without Traefik. check: nothing is written and no fence awaited.
    means: default the network room's functions, and on a real host (root "/") a trial in a container.
    """
    _check_names(share["dns"])
    before = files.read(os.path.join(root, TRAEFIK_FILE))
    trial = means.trial if means else try_in_container if root == "/" else None
    refused = [] if check else _tried(share["traefik"], before, trial)
    if refused:
        return {"changed": False, "changes": [], "problems": refused, "fence": {}}
    changes = deliver_policy(share.get("policy"), root, check)
    changes += _write_traefik(share["traefik"], root, before, check)
    with contextlib.nullcontext() if check else given.endpoints_lock(root):
        changes += _write_live(share, root, check, means or _network())
    changes += _write_state(share, root, check)
    fence: dict[str, Any] = {}
    problems: list[Problem] = []
    if share["traefik"] and not check:
        wanted = share["traefik"]
        older = generation_of(before)
        older = older if older != wanted["generation"] else None
        fence, problems = await_generation(int(wanted["port"]), wanted["generation"], timeout, older)
        if problems and older and serves(int(wanted["port"]), older):
            changes += _write_traefik({"text": before}, root, wanted["text"], check)
    return {"changed": bool(changes), "changes": changes, "problems": problems, "fence": fence}


def observe_endpoints(root: str = "/", means: Means | None = None) -> dict[str, Any]:
    """{digest, told, tasks, vips, reach} of the endpoints on this host, from the files really on disk.

    digest equals `share_digest` of the share that was carried out, as long as nobody changed a file. An nft table that
    is not loaded counts as a change. told: the same without the policy, which a run that gave way may have changed.
    tasks: [{service, slot, node, ip}], vips: {service: address}; empty if endpoints.json is absent or broken. reach: as
    `policy_reach` gives it.
    """
    tasks, vips = _read_state(files.read(os.path.join(root, ENDPOINTS_FILE)))
    with given.endpoints_lock(root, looks=True):
        dns, script, was = _as_given(root, means)
    traefik = files.read(os.path.join(root, TRAEFIK_FILE))
    held = {"tasks": tasks, "vips": vips}
    return {
        "digest": disk_digest(held, traefik, dns, script, policy_core(root), was),
        "told": disk_digest(held, traefik, dns, script, was),
        "tasks": tasks or [],
        "reach": policy_reach(root),
        "vips": vips,
    }


def _as_given(root: str, means: Means | None) -> tuple[dict[str, str], str, str]:
    """(DNS files, nft script, digest of who is watched) as they were given, where they are that but for the withheld.

    Whatever is not, is as it is on disk.
    """
    script = files.read(os.path.join(root, given.PORTS_FILE)) or ""
    dns = files.read_all(os.path.join(root, given.DNS_DIRECTORY))
    applied = not script or (means or _network()).applied(script)
    held = given.read_given(root)
    if held:
        withheld = given.local(held, given.read_withheld(root))
        live = given.live_dns(held["dns"], withheld)
        whole = {name: text for name, text in held["dns"].items() if dns.get(name) == live.get(name)}
        dns = {**dns, **whole}
        script = held["ports"] if script == given.live_ports(held, withheld) else script
    watched = {key: held[key] for key in ("node", "services")} if held else {}
    return dns, script if applied else "not loaded", canonical.digest(watched)


def _check_names(dns: Mapping[str, str]) -> None:
    """The share comes from a plan file: a name must not lead out of the directory."""
    for name in dns:
        if not name or os.path.basename(name) != name or name.startswith("."):
            raise ValueError(f"not a file name: {name!a}")


def _tried(wanted: Mapping[str, Any] | None, before: str | None, trial: Trial | None) -> list[Problem]:
    if not wanted or trial is None or not is_needed(before, wanted["text"]):
        return []
    return trial(wanted["text"], wanted["generation"])


def _write_traefik(wanted: Mapping[str, Any] | None, root: str, before: str | None, check: bool) -> list[str]:
    text = wanted["text"] if wanted else None
    if text == before:
        return []
    path = os.path.join(root, TRAEFIK_FILE)
    if not check and text is None:
        files.remove(path)
    elif not check and text is not None:
        files.replace(path, text, os.path.join(root, TRAEFIK_STAGE))
    return [_line(TRAEFIK_FILE, before, text)]


def _write_live(share: Mapping[str, Any], root: str, check: bool, means: Means) -> list[str]:
    """Names, addresses and ports of those who serve, without what is withheld here; given.json first."""
    text = given.given_text(share)
    held = json.loads(text)
    withheld = given.local(held, given.read_withheld(root))
    before = files.read(os.path.join(root, given.GIVEN_FILE))
    changes = []
    if text != before:
        changes.append(_line(given.GIVEN_FILE, before, text))
        if not check:
            given.write_given(text, root)
    changes += _write_dns(given.live_dns(share["dns"], withheld), root, check)
    return changes + _write_ports(given.live_ports(held, withheld), root, check, means)


def _write_dns(wanted: Mapping[str, str], root: str, check: bool) -> list[str]:
    directory = os.path.join(root, given.DNS_DIRECTORY)
    present = files.read_all(directory)
    changes = []
    for name in sorted({*wanted, *present}):
        if wanted.get(name) == present.get(name):
            continue
        changes.append(_line(f"{given.DNS_DIRECTORY}/{name}", present.get(name), wanted.get(name)))
        path = os.path.join(directory, name)
        if not check and name in wanted:
            files.replace(path, wanted[name], os.path.join(root, given.DNS_STAGE))
        elif not check:
            files.remove(path)
    return changes


def _write_ports(text: str, root: str, check: bool, means: Means) -> list[str]:
    path = os.path.join(root, given.PORTS_FILE)
    before = files.read(path) or ""
    if text == before and (not text or means.applied(text)):
        return []
    if not check:
        means.apply(text, path)
    return [_line(given.PORTS_FILE, before or None, text or None)]


def _write_state(share: Mapping[str, Any], root: str, check: bool) -> list[str]:
    path = os.path.join(root, ENDPOINTS_FILE)
    before, text = files.read(path), canonical.dumps(_state(share)) + "\n"
    if text == before:
        return []
    if not check:
        files.replace(path, text, os.path.join(root, given.STAGE))
    return [_line(ENDPOINTS_FILE, before, text)]


def _line(path: str, before: str | None, after: str | None) -> str:
    verb = "removed" if after is None else "created" if before is None else "changed"
    return f"/{path} {verb}"


def _state(share: Mapping[str, Any]) -> dict[str, Any]:
    return {"schema": 1, "tasks": share["tasks"], "vips": share.get("vips") or {}}


def _read_state(text: str | None) -> tuple[Any, dict[str, str]]:
    """The tasks and vips in endpoints.json; (None, {}) if it is absent or broken, which no share's digest equals."""
    try:
        held = json.loads(text or "")
        tasks, vips = held["tasks"], held.get("vips") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None, {}
    whole = isinstance(tasks, list) and all(isinstance(task, dict) for task in tasks) and isinstance(vips, dict)
    return (tasks, {str(name): str(address) for name, address in vips.items()}) if whole else (None, {})


def _network() -> Means:
    from ..network.host import apply_ports, ports_applied  # noqa: PLC0415 (only where ports are published)

    return Means(apply_ports, ports_applied)
