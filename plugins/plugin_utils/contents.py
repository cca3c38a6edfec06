# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Contents of configs and values of secrets that one host's tasks mount, read on the controller, checked by digest."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils import secrets, spec
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import text_digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine.payload import fill
from ansible_collections.stowage.fleet.plugins.module_utils.engine.sets import KEYS
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, show
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, stored
from ansible_collections.stowage.fleet.plugins.plugin_utils.vaulted import Opener

Value = Callable[[str, Mapping[str, Any]], bytes]


def of_share(
    plan: Mapping[str, Any], share: Mapping[str, Any], key: str, labels: Mapping[str, Any], value: Value
) -> dict[str, Any]:
    """{files, secrets: {digest: base64}, tasks}: what a start share's tasks mount.

    A config that is a template is filled in for each task, which then says under `rendered` which file stands for it.
    key: stowage_secrets_key; labels: the host's own, of the inventory; value(digest, entry) gives a secret's value.
    Raises StowageError (STW-STALE, STW-FILE, STW-SECRET, STW-VAULT, STW-TEMPLATE).
    """
    given: dict[str, Any] = {"files": {}, "secrets": {}, "tasks": []}
    for task in share["tasks"]:
        template, rendered = share["services"].get(task["spec"]) or {}, {}
        for stated in template.get("files", ()):
            wanted = {**stated, "digest": task["live"]["files"][stated["target"]]} if stated.get("live") else stated
            entry = plan["files"][wanted["digest"]]
            content = value(wanted["digest"], entry) if wanted["kind"] == "secret" else _read(entry)
            _check(plan["fleet"]["name"], {**wanted, "stack": task["stack"]}, entry, key, content)
            if wanted["kind"] == "secret":
                given["secrets"][wanted["digest"]] = _text(content)
                continue
            if entry.get("template"):
                content = _filled(entry, content, _context(template, task, labels))
                rendered[wanted["digest"]] = text_digest(content)
            given["files"][rendered.get(wanted["digest"], wanted["digest"])] = _text(content)
        given["tasks"].append({**task, "rendered": rendered} if rendered else task)
    return given


def values(opened: Opener, held: str) -> Value:
    """A function (digest, entry of the plan's files) -> value of a secret: of its file, or of what the run holds."""

    def value(digest: str, entry: Mapping[str, Any]) -> bytes:
        if "reference" in entry:
            return stored.held(held)(digest)
        return opened(entry["name"], _read(entry))

    return value


def persist(stated: Any) -> str:
    """How sets of secrets are kept for a reboot (stowage_secrets_persist). Raises StowageError (STW-SECRET)."""
    if stated in KEYS:
        return str(stated)
    raise StowageError(
        Problem(
            "STW-SECRET", "stowage_secrets_persist", f"{show(stated)} is unknown", f"write one of {', '.join(KEYS)}"
        )
    )


def _check(fleet: str, wanted: Mapping[str, Any], entry: Mapping[str, Any], key: str, content: bytes) -> None:
    """Refuse (STW-STALE) a content that is not what was planned."""
    if "reference" in entry:
        return  # what the store gave for this digest when the run began
    if wanted["kind"] == "secret":
        found = secrets.digest(fleet, wanted["stack"], entry["name"], content, key)
    else:
        found = spec.identity(entry, content)
    if found != wanted["digest"]:
        place = f"{wanted['kind']} {entry['name']}"
        raise StowageError(Problem("STW-STALE", place, "changed since the plan was made", "make the plan again"))


def _context(template: Mapping[str, Any], task: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    """What a template may say of the task it is filled in for."""
    return {
        "service": {"name": task["service"], "stack": task["stack"]},
        "task": {"slot": str(task["slot"]), "name": task["name"], "id": str(task["name"]).rpartition(".")[2]},
        "node": {"hostname": task["node"], "labels": dict(labels)},
        "environment": {
            name: fill(str(text or ""), task) for name, text in (template.get("environment") or {}).items()
        },
    }


def _filled(entry: Mapping[str, Any], content: bytes, context: Mapping[str, Any]) -> bytes:
    try:
        return spec.filled(entry, content, context)
    except spec.TemplateMistake as mistake:
        line = f" in line {mistake.line}" if mistake.line else ""
        place = f"config {entry['name']} for {context['task']['name']}"
        raise StowageError(Problem("STW-TEMPLATE", place, f"{mistake.reason[:200]}{line}", mistake.fix)) from None


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _read(entry: Mapping[str, Any]) -> bytes:
    try:
        return controller.content_of(entry)
    except OSError as error:
        place = f"{entry['kind']} {entry['name']}"
        problem = Problem("STW-FILE", place, f"cannot be read ({error.strerror})", "put the file back")
        raise StowageError(problem) from error
