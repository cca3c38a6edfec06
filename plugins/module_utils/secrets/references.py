# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets by reference: `vault:<path>#<key>` or `sops:<file>#<key>`, and the digest that stands for a version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest, dumps
from . import sops

PREFIX = "vault:"
LABEL = "stowage.secrets"
_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}"
_REFERENCE = re.compile(rf"vault:({_SEGMENT}(?:/{_SEGMENT}){{0,15}})#({_SEGMENT})")
Digests = Mapping[str, str]


class Reference(NamedTuple):
    """A key of a secret in the store, by its path below the mount."""

    path: str
    key: str


class Version(NamedTuple):
    """One version of a path in the store (KV version 2): a number, and when it was made."""

    number: int
    created: str


def refers(text: str) -> bool:
    """True if the text is meant as a reference, right or wrong."""
    return text.startswith(PREFIX) or sops.refers(text)


def usable(text: str) -> bool:
    """True if the text is a reference to a store's or an encrypted file's value."""
    return bool(sops.parse(text) if sops.refers(text) else parse(text))


def parse(text: str) -> Reference | None:
    """The reference to a store; None if the text is none: no path, no key, or a segment that begins with a dot."""
    found = _REFERENCE.fullmatch(text)
    return Reference(found[1], found[2]) if found else None


def placeholder(stack: str, name: str, text: str) -> str:
    """What stands for the digest of a referenced secret until its version is known, 64 hex digits."""
    return digest(["secret of a store", stack, name, text])


def version_digest(stack: str, name: str, text: str, version: Version) -> str:
    """The digest of one version: nothing of the value is in it, 64 hex digits."""
    return digest(["version of a secret", stack, name, text, version.number, version.created])


def known(containers: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """{(service, secret): digest} that containers run with, as far as all of a service agree."""
    found: dict[tuple[str, str], set[str]] = {}
    for container in containers:
        for name, value in (container.get("secrets") or {}).items():
            found.setdefault((container["service"], name), set()).add(value)
    return {key: next(iter(values)) for key, values in found.items() if len(values) == 1}


def filled(
    whole: Mapping[str, Any], digests: Digests, entries: Mapping[str, Mapping[str, Any]], running: Mapping[Any, str]
) -> dict[str, Any]:
    """{services, files} with the real digests in place of placeholders.

    digests: {placeholder: digest}, of those whose version is known. entries: {placeholder: more for the plan's entry}.
    running: known(), for those that are not; what nobody runs with keeps its placeholder.
    """
    waiting = {key for key, entry in whole["files"].items() if "reference" in entry}
    files = {key: entry for key, entry in whole["files"].items() if key not in waiting}
    services = []
    for service in whole["services"]:
        made, used = _service(service, waiting, digests, running)
        services.append(made)
        for key, value in used.items():
            files[value] = {**whole["files"][key], **entries.get(key, {})}
    return {"services": services, "files": files}


def _service(
    service: Mapping[str, Any], waiting: set[str], digests: Digests, running: Mapping[Any, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """A Service with its digests, and {placeholder: digest} of those it uses."""
    template, used = service["template"], {}
    files, labels = [], {}
    live = (service.get("live") or {}).get("files", {})
    for one in template.get("files", ()):
        key = live.get(one["target"], "") if one.get("live") else one["digest"]
        if key not in waiting:
            files.append(one)
            continue
        used[key] = digests.get(key) or running.get((service["name"], one["name"])) or key
        files.append(one if one.get("live") else {**one, "digest": used[key]})
        if not one.get("live"):
            labels[one["name"]] = used[key]
    if not used:
        return dict(service), used
    made = {**service, "template": {**template, "files": files}}
    if labels:
        made["template"]["labels"] = {**template.get("labels", {}), LABEL: dumps(labels)}
    if live:
        made["live"] = {**service["live"], "files": {at: used.get(key, key) for at, key in live.items()}}
    return made, used


def needed(plan: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """{digest: entry} of the stored secrets that the plan's starts hand out."""
    found = {}
    for step in plan["steps"]:
        for share in step["hosts"].values() if step["phase"] == "start" else ():
            for task in share["tasks"]:
                live = (task.get("live") or {}).get("files", {})
                for one in (share["services"].get(task["spec"]) or {}).get("files", ()):
                    key = live.get(one["target"], "") if one.get("live") else one["digest"]
                    if "reference" in plan["files"].get(key, {}):
                        found[key] = plan["files"][key]
    return found
