# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.config_source: configuration that a service's containers pull from a store when they start."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from .. import config_stores
from ..errors import show
from ..pulled.tasks import CREDENTIAL, LAST_GOOD, patience
from .check_container import file_target
from .findings import Findings
from .keys import nearest

CODE = "STW-CONFIGSOURCE"
TRIES, MOST_TRIES = 5, 20
MOST_NAMES = 200


def longest(stated: Mapping[str, Any]) -> int:
    """Seconds that a container waits for its configuration."""
    return patience(int(stated.get("tries", TRIES)), len(stated.get("endpoints") or ()))


def compile_config_source(service: Mapping[str, Any], text: Callable[[str], str]) -> dict[str, Any]:
    """{config: {...}} for the template, its revision still ""; {} if nothing is asked. text: content of a config."""
    stated = (service.get("x-stowage") or {}).get("config_source")
    if not stated:
        return {}
    ca = (stated.get("tls") or {}).get("ca")
    made = {
        "type": stated["type"],
        "endpoints": [endpoint.rstrip("/") for endpoint in stated["endpoints"]],
        "prefix": stated.get("prefix", ""),
        "dir": posixpath.normpath(stated["dir"]),
        "tries": int(stated.get("tries", TRIES)),
        "revision": "",
        **({"require": sorted(set(stated["require"]))} if stated.get("require") else {}),
        **({"stale": True} if stated.get("stale") else {}),
        **({"ca": text(ca)} if ca else {}),
    }
    return {"config": made}


def used_by_host(kind: str, service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Configs or secrets that a service's host uses for it, as items of its list; no container sees them."""
    stated = (service.get("x-stowage") or {}).get("config_source") or {}
    if kind == "configs":
        found = (stated.get("tls") or {}).get("ca")
        return [{"source": found, "host": True}] if found else []
    found = (stated.get("auth") or {}).get("secret")
    return [{"source": found, "target": CREDENTIAL, "mode": 0o400, "host": True}] if found else []


def check_config_source(findings: Findings, name: str, normal: Mapping[str, Any]) -> None:
    """Note the mistakes in x-stowage.config_source of one service."""
    service = normal["services"][name]
    stated = (service.get("x-stowage") or {}).get("config_source")
    if stated is None:
        return
    path = ("services", name, "x-stowage", "config_source")
    for key, reason, fix in config_stores.mistakes(stated):
        findings.add((*path, key), CODE, reason, fix)
    _directory(findings, path, service, stated)
    _choices(findings, path, stated)
    for kind, keys in (("configs", ("tls", "ca")), ("secrets", ("auth", "secret"))):
        _known(findings, (*path, *keys), normal, kind, (stated.get(keys[0]) or {}).get(keys[1]))


def _directory(
    findings: Findings, path: tuple[str, ...], service: Mapping[str, Any], stated: Mapping[str, Any]
) -> None:
    """dir is a directory of its own."""
    where = str(stated.get("dir") or "")
    clean = posixpath.normpath(where)
    if not where.startswith("/") or clean in ("/", "//") or ".." in where.split("/"):
        reason = f"{show(where)} is no absolute path of a directory"
        findings.add((*path, "dir"), CODE, reason, "write dir: /run/config")
        return
    targets = [str(mount.get("target", "")) for mount in service.get("volumes", ())]
    targets += [str(text).partition(":")[0] for text in service.get("tmpfs", ())]
    targets += [file_target(kind, item) for kind in ("configs", "secrets") for item in service.get(kind, ())]
    for target in sorted({posixpath.normpath(target) for target in targets if target}):
        if _overlap(clean, target):
            findings.add((*path, "dir"), CODE, f"{clean} and the mount {show(target)} overlap", "choose another dir")


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _choices(findings: Findings, path: tuple[str, ...], stated: Mapping[str, Any]) -> None:
    """tries, stale and require."""
    tries, stale, required = stated.get("tries", TRIES), stated.get("stale"), stated.get("require") or ()
    if not 1 <= tries <= MOST_TRIES:
        findings.add((*path, "tries"), CODE, f"{tries} is not within 1 and {MOST_TRIES}", "write tries: 5")
    if stale is not None and stale != LAST_GOOD:
        findings.add((*path, "stale"), CODE, f"{show(stale)} is unknown", f"write stale: {LAST_GOOD}, or remove it")
    elif stale is not None and stated.get("type") == "vault":
        reason = "would keep values of a store of secrets on the host's disk"
        findings.add((*path, "stale"), CODE, reason, "remove stale")
    if len(required) > MOST_NAMES:
        findings.add((*path, "require"), CODE, f"{len(required)} names", f"name {MOST_NAMES} at most")
    for key in required:
        if not config_stores.usable(key):
            findings.add((*path, "require"), CODE, f"{show(key)} is no name of a key", "write it as below the prefix")


def _known(findings: Findings, path: tuple[str, ...], normal: Mapping[str, Any], kind: str, source: Any) -> None:
    """A config or secret of the stack that is used by name, and whose content is at hand."""
    if source is None:
        return
    known = normal.get(kind) or {}
    if source not in known:
        fix = nearest(source, known) or f"add {show(source)} to the stack's {kind}"
        findings.add(path, "STW-REFERENCE", f"{show(source)} is none of the stack's {kind}", fix)
    elif kind == "configs" and (known[source] or {}).get("template_driver"):
        findings.add(path, CODE, f"{show(source)} is a template", "name a config without template_driver")
    elif not ({"file", "content", "environment", "x-stowage"} & set(known[source] or {})):
        reason = f"{show(source)} is external, and the inventory supplies none"
        findings.add(path, CODE, reason, "supply it in stowage_stacks")
