# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stack's normal form written back as a stack file that Docker's command line takes: the way out of Stowage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from ..canonical import plain
from .document import resolve
from .keys import REFUSES, children
from .merge import SECTIONS
from .ports import is_range

try:
    import yaml

    HAS_YAML = True
except ImportError:  # on hosts, where no stack file is written
    HAS_YAML = False

VERSION = "3.13"
_NESTED = ("section", "sections", "names", "references")
# Forms of lists whose items have keys of their own, by the table's path of an item.
_ITEMS = {
    "ports": "services.*.ports[]",
    "mounts": "services.*.volumes[]",
    "service_networks": "services.*.networks.*",
}
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]|^\.")
_GONE = ("env_file",)  # its variables are in environment


def stack_file(normal: Mapping[str, Any], title: str = "") -> dict[str, Any]:
    """{"text": YAML, "files": {relative path: content}, "notes": [str]} of a stack in normal form.

    `docker stack config` accepts the text; load of it, beside the files, gives the same normal form, save that content
    of configs is in files, the version is 3.13, and `name`, `env_file` and ports stated twice are gone. What Swarm's
    schema does not know stands under x-stowage.compose of its service, where Docker passes it over; the notes name it.
    """
    made: dict[str, Any] = {"version": VERSION}
    files: dict[str, str] = {}
    notes: list[str] = []
    for section in SECTIONS:
        stated = plain(normal.get(section) or {})
        if section == "services":
            stated = {name: _service(name, item, notes) for name, item in stated.items()}
        if section == "networks":
            stated = {name: _network(name, item, notes) for name, item in stated.items()}
        if section == "configs":
            stated = {name: _config(name, item, files) for name, item in stated.items()}
        made.update({section: _escaped(stated)} if section in normal else {})
    made.update({name: _escaped(plain(value)) for name, value in normal.items() if name.startswith("x-")})
    head = f"# {title}\n" if title else ""
    return {"text": head + dump(made), "files": files, "notes": notes}


def _service(name: str, service: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The service as Docker takes it, and under x-stowage.compose what it would refuse or take otherwise."""
    rows = children("services.*")
    made: dict[str, Any] = {}
    compose: dict[str, Any] = {}
    for key, stated in sorted(service.items()):
        if key in _GONE or key == "x-stowage":
            continue
        value = _once(stated) if key == "ports" else stated
        taken = value if key not in rows else _taken(key, value)
        if taken is not None:
            made[key] = taken
        if taken != value:
            compose[key] = value
    own = {**(service.get("x-stowage") or {}), **({"compose": compose} if compose else {})}
    if compose:
        notes.append(f"{name}: Swarm does not know all of {', '.join(sorted(compose))}; see x-stowage.compose")
    return {**made, "x-stowage": own} if own else made


def _network(name: str, stated: Any, notes: list[str]) -> Any:
    """The network without what Swarm's schema refuses of its addresses."""
    if not isinstance(stated, dict) or "ipam" not in stated:
        return stated
    known = _known("section:networks.*.ipam", stated["ipam"])
    if known != stated["ipam"]:
        notes.append(f"networks.{name}: Swarm knows only subnets, no gateway or ranges: they are left out")
    return {**stated, "ipam": known}


def _once(items: list[Any]) -> list[Any]:
    return [item for index, item in enumerate(items) if item not in items[:index]]


def _taken(key: str, value: Any) -> Any:
    """The part of a service's key that Docker's schema takes; None if it takes nothing of it."""
    row = children("services.*")[key]
    if row.swarm.startswith(REFUSES) or key == "build":
        return None
    if key == "depends_on":
        return list(value)
    if key == "ports":
        # A port of one address would be open on all of them: not published is safer. Swarm knows no choice of a range.
        value = [port for port in value if "host_ip" not in port and not is_range(port)]
    return _known(row.form, value) or None if value != {} else value


def _known(form: str, value: Any) -> Any:
    """The value without the keys that Docker's schema refuses."""
    kind, _colon, prefix = form.partition(":")
    prefix = prefix if kind in _NESTED else _ITEMS.get(kind, "")
    if not prefix or value is None:
        return value
    if isinstance(value, list):
        return [_known(f"section:{prefix}", item) for item in value]
    if kind in ("names", "service_networks"):
        return {name: _known(f"section:{prefix}", item) for name, item in value.items()}
    rows = children(prefix)
    known = {name: item for name, item in value.items() if name in rows and not _refused(prefix, name)}
    found = {name: _known(rows[name].form, item) if item else item for name, item in known.items()}
    return {name: item for name, item in found.items() if item not in ({}, []) or known[name] == item}


@cache
def _refused(prefix: str, name: str) -> bool:
    return children(prefix)[name].swarm.startswith(REFUSES)


def _config(name: str, stated: Any, files: dict[str, str]) -> Any:
    """A config whose content stands in the stack file gets a file."""
    if not isinstance(stated, dict) or "content" not in stated:
        return stated
    safe = _UNSAFE.sub("_", name)
    path = f"configs/{safe}" if f"configs/{safe}" not in files else f"configs/{len(files)}_{safe}"
    files[path] = stated["content"]
    return {**{key: value for key, value in stated.items() if key != "content"}, "file": f"./{path}"}


def _escaped(value: Any) -> Any:
    """The value with its dollars doubled: nothing is left to replace."""
    if isinstance(value, dict):
        return {name: _escaped(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def dump(value: Any) -> str:
    """YAML text that Go and this room read as just this value."""
    text = yaml.dump(value, Dumper=_dumper(), default_flow_style=False, sort_keys=False, allow_unicode=True, width=120)
    return str(text)


@cache
def _dumper() -> Any:
    """A dumper without aliases that quotes what Go would not read as text, and keeps lines as lines."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = None
        if any(line and not line.isprintable() for line in value.split("\n")):
            style = '"'
        elif not isinstance(resolve(value), str) or value[:1] in ("!", "&", "*", "@", "%", "`"):
            style = "'"
        elif "\n" in value and value[:1].strip() and _plain_lines(value):
            style = "|"
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper


def _plain_lines(value: str) -> bool:
    """True if every line can stand in a block as it is."""
    return all(line.isprintable() and line == line.rstrip() for line in value.split("\n"))
