# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Delivery of sets of secrets on this host: written to memory, kept encrypted for a reboot, removed when unused."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem
from . import boot_secrets
from .boot_secrets import SecretsError
from .files import write_atomic
from .host import Paths
from .secret_sets import LIVE, ROOT, SETS

KEYS = ("auto", "host", "tpm2", "host+tpm2", "none")
MAX_SET = 1000 * 1024  # bytes; systemd-creds takes 1 MiB at once
PROGRAM = "usr/local/lib/stowage/stowage-secrets"
UNIT = "stowage-secrets.service"
UNIT_PATH = f"etc/systemd/system/{UNIT}"
UNIT_TEXT = f"""[Unit]
Description=Secrets of the Stowage fleet's containers, back in memory before Docker starts
RequiresMountsFor=/var/lib/stowage
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/{PROGRAM}

[Install]
WantedBy=docker.service
"""
FIX = "look at the host's /run and /proc/mounts"
Wanted = Iterable[Mapping[str, Any]]


def deliver(
    paths: Paths, wanted: Wanted, values: Mapping[str, str], key: str = "auto", check: bool = False
) -> tuple[bool, dict[str, Problem]]:
    """Have the sets there. Returns (changed, {digest: why a secret is not there}).

    wanted: sets of secret_sets.secret_set. values: {digest: base64}; what is there already needs none. key: how they
    are kept for a reboot (KEYS). Problems are STW-SECRET and never tell a value.
    """
    changed, missing = False, {}
    for one in sorted({one["path"]: one for one in wanted}.values(), key=lambda one: str(one["path"])):
        filled = [{**file, "content": _value(paths, one, file, values)} for file in one["files"]]
        absent = {file["digest"]: _absent(file["name"]) for file in filled if file["content"] is None}
        problem = None if absent else _too_large(one, filled)
        stale = not absent and any(boot_secrets.read(_place(paths, one, file)) != file["content"] for file in filled)
        changed = changed or stale
        if not (absent or problem or check):
            problem = _put(paths, {**one, "files": filled}, key, stale)
        missing.update(absent)
        missing.update({file["digest"]: problem for file in filled} if problem else {})
    return changed, missing


def prune(paths: Paths, mounted: Iterable[str], names: Iterable[str], check: bool = False) -> bool:
    """Remove the sets that no container mounts, and their encrypted copies. names: of the containers that are there."""
    used = {source.partition(f"{ROOT[1:]}/")[2] for source in mounted}
    kept = {"/".join(part.split("/")[:3]) for part in used if part.startswith(f"{SETS}/")}
    kept |= {f"{LIVE}/{name}" for name in names}
    surplus = [path for path in _present(paths) if path not in kept]
    copies = {boot_secrets.bundle_name(path) + boot_secrets.SUFFIX for path in kept}
    idle = [name for name in _listed(paths.bundles) if name not in copies]
    if check:
        return bool(surplus or idle)
    for path in surplus:
        shutil.rmtree(os.path.join(paths.secrets, path), ignore_errors=True)
    for name in _listed(os.path.join(paths.secrets, SETS)):
        if not _listed(os.path.join(paths.secrets, SETS, name)):
            shutil.rmtree(os.path.join(paths.secrets, SETS, name), ignore_errors=True)
    for name in idle:
        os.unlink(os.path.join(paths.bundles, name))
    return bool(surplus or idle)


def lacks(paths: Paths, entry: Mapping[str, Any]) -> str:
    """What a listed container lacks to start: "" nothing, "secrets" that are not on this host now, or "place".

    "place": it mounts them from where no delivery puts any (a container of an older version), so it can never start.
    """
    sources = [str(mount.get("Source") or "") for mount in entry.get("Mounts") or []]
    own = [source for source in sources if source.startswith(f"{ROOT}/")]
    absent = [source for source in own if not os.path.exists(os.path.join(paths.root, source.lstrip("/")))]
    if any(source[len(ROOT) + 1 :].split("/")[0] not in (SETS, LIVE) for source in absent):
        return "place"
    return "secrets" if absent else ""


def _put(paths: Paths, one: Mapping[str, Any], key: str, stale: bool) -> Problem | None:
    """Write what differs, then its encrypted copy; why it cannot be, in words that tell no value."""
    place = f"secrets of {one['path'].split('/')[1]}"
    try:
        boot_secrets.ensure_memory(paths.secrets, paths.proc)
        if stale:
            boot_secrets.write_set(paths.secrets, one)
    except (SecretsError, OSError) as error:
        reason = f"{getattr(error, 'strerror', None) or error}: {paths.secrets} cannot hold them"
        return Problem("STW-SECRET", place, reason, FIX)
    copy = os.path.join(paths.bundles, boot_secrets.bundle_name(one["path"]) + boot_secrets.SUFFIX)
    try:
        if key == "none" or not _restorable(paths):
            if os.path.exists(copy):
                os.unlink(copy)
        elif stale or not os.path.exists(copy):
            _ensure_unit(paths)
            boot_secrets.keep(paths.bundles, one, key)
    except (SecretsError, OSError) as error:
        reason = f"cannot be kept for a reboot: {getattr(error, 'strerror', None) or error}"
        return Problem(
            "STW-SECRET", place, reason, "set stowage_secrets_persist to a key that the host has, or to none"
        )
    return None


def _restorable(paths: Paths) -> bool:
    """Whether this host has a service manager, and a program that encrypts for it."""
    return os.path.isdir(os.path.join(paths.root, "run/systemd/system")) and bool(shutil.which(boot_secrets.CREDS))


def _ensure_unit(paths: Paths) -> None:
    loader: Any = boot_secrets.__spec__.loader if boot_secrets.__spec__ else None
    source = loader.get_source(boot_secrets.__name__)
    text = source.decode("utf-8") if isinstance(source, bytes) else str(source)
    program = f"#!{sys.executable}\n{text}".encode()
    wanted = {PROGRAM: (program, 0o755), UNIT_PATH: (UNIT_TEXT.encode(), 0o644)}
    changed = [
        path for path, (data, _mode) in wanted.items() if boot_secrets.read(os.path.join(paths.root, path)) != data
    ]
    for path in changed:
        os.makedirs(os.path.dirname(os.path.join(paths.root, path)), mode=0o755, exist_ok=True)
        write_atomic(os.path.join(paths.root, path), *wanted[path])
    for command in (("daemon-reload",), ("enable", UNIT)) if changed else ():
        done = subprocess.run(("systemctl", *command), capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise SecretsError(f"systemctl {command[0]}: {done.stderr.strip()[:200]!a}")


def _value(paths: Paths, one: Mapping[str, Any], file: Mapping[str, Any], values: Mapping[str, str]) -> bytes | None:
    """What was sent; what is there already if nothing was."""
    text = values.get(file["digest"])
    if text is not None:
        return base64.b64decode(text)
    return None if one["path"].startswith(f"{LIVE}/") else boot_secrets.read(_place(paths, one, file))


def _place(paths: Paths, one: Mapping[str, Any], file: Mapping[str, Any]) -> str:
    return os.path.join(paths.secrets, one["path"], file["at"])


def _absent(name: str) -> Problem:
    return Problem("STW-SECRET", f"secret {name}", "is not on the host and was not sent", "make a new plan")


def _too_large(one: Mapping[str, Any], filled: list[dict[str, Any]]) -> Problem | None:
    size = sum(len(file["content"]) for file in filled)
    if size <= MAX_SET:
        return None
    reason = f"have {size} bytes together, at most {MAX_SET} are allowed"
    return Problem("STW-SECRET", f"secrets of {one['path'].split('/')[1]}", reason, "put large files into a volume")


def _present(paths: Paths) -> list[str]:
    """Paths of all sets there, below the root of all secrets; what a killed run left half-done is among them."""
    found = [f"{LIVE}/{name}" for name in _listed(os.path.join(paths.secrets, LIVE))]
    for service in _listed(os.path.join(paths.secrets, SETS)):
        found += [f"{SETS}/{service}/{name}" for name in _listed(os.path.join(paths.secrets, SETS, service))]
    return found


def _listed(folder: str) -> list[str]:
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []
