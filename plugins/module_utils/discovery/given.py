# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On the host: what the plan gave, and what of it is withheld between runs because a local container does not serve.

Files and tables on the host are what was given without what is withheld. Nothing else is ever in them: what is
withheld comes back as it was given. Standard library only; also part of the program stowage-health.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import canonical
from . import files

GIVEN_FILE = "var/lib/stowage/given.json"
WITHHELD_FILE = "var/lib/stowage/withheld.json"
STAGE = "var/lib/stowage/stage"
DNS_DIRECTORY = "var/lib/stowage/dns"
DNS_STAGE = "var/lib/stowage/dns.stage"
PORTS_FILE = "var/lib/stowage/ports.nft"
LOCK_FILE = "run/stowage/endpoints.lock"
BEAT_FILE = "run/stowage/health.beat"
BEAT_SECONDS = 60.0  # a program that was not seen for so long withholds nothing any more
Given = Mapping[str, Any]


@contextmanager
def endpoints_lock(root: str = "/", looks: bool = False) -> Iterator[None]:
    """Whoever writes the host's endpoints holds this; taken for moments only.

    looks: who only looks makes no file; without one nobody has written since the host was booted.
    """
    path = os.path.join(root, LOCK_FILE)
    if looks and not os.path.exists(path):
        yield
        return
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def given_text(share: Mapping[str, Any]) -> str:
    """given.json of an endpoints share: {schema, node, services [{name, ports, vip, health}], tasks, dns, ports}."""
    parts = {key: share[key] for key in ("tasks", "dns", "ports")}
    return canonical.dumps({"schema": 1, **share["watch"], **parts}) + "\n"


def read_given(root: str = "/") -> dict[str, Any]:
    """What was given; {} if nothing was, or if the file is broken."""
    found = _read_json(os.path.join(root, GIVEN_FILE))
    whole = {"node", "services", "tasks", "dns", "ports"} <= set(found) and found.get("schema") == 1
    return found if whole else {}


def write_given(text: str, root: str = "/") -> None:
    """Keep what was given."""
    files.replace(os.path.join(root, GIVEN_FILE), text, os.path.join(root, STAGE))


def read_withheld(root: str = "/", always: bool = False) -> dict[str, dict[str, Any]]:
    """{address: {service, slot, reason}} of what is withheld; {} if the program is gone, unless `always`."""
    if not always and seconds_since_beat(root) > BEAT_SECONDS:
        return {}
    found = _read_json(os.path.join(root, WITHHELD_FILE)).get("withheld")
    return found if isinstance(found, dict) else {}


def seconds_since_beat(root: str = "/") -> float:
    """How long ago the program was last seen; infinity if never since the host was booted."""
    try:
        return abs(time.time() - os.stat(os.path.join(root, BEAT_FILE)).st_mtime)
    except OSError:
        return float("inf")


def beat(root: str = "/") -> None:
    """The program is here."""
    with open(os.path.join(root, BEAT_FILE), "a", encoding="ascii") as file:
        os.utime(file.fileno())


def write_withheld(withheld: Mapping[str, Any], root: str = "/") -> None:
    """Keep what is withheld."""
    text = canonical.dumps({"schema": 1, "withheld": dict(withheld)}) + "\n"
    files.replace(os.path.join(root, WITHHELD_FILE), text, os.path.join(root, STAGE))


def local(given: Given, withheld: Collection[str]) -> set[str]:
    """The withheld addresses that are this host's to withhold: those of its own tasks."""
    return {str(task["ip"]) for task in given["tasks"] if task["node"] == given["node"]} & set(withheld)


def live_dns(dns: Mapping[str, str], withheld: Collection[str]) -> dict[str, str]:
    """The DNS files without the lines of withheld addresses; a file without lines is no file."""
    if not withheld:
        return dict(dns)
    found = {}
    for name, text in dns.items():
        left = "".join(line for line in text.splitlines(True) if line.partition(" ")[0] not in withheld)
        if left:
            found[name] = left
    return found


def live_ports(given: Given, withheld: Collection[str]) -> str:
    """The nft script without withheld addresses; as it was given if it cannot be made again from what was given."""
    if not withheld or not given["ports"]:
        return str(given["ports"])
    from ..network.services import service_table  # noqa: PLC0415 (rarely needed)

    services, node = given["services"], {"name": given["node"]}
    if service_table(services, given["tasks"], node) != given["ports"]:
        return str(given["ports"])
    return service_table(services, [task for task in given["tasks"] if task["ip"] not in withheld], node)


def enforce(
    given: Given,
    before: Collection[str],
    after: Collection[str],
    apply: Callable[[str, str], bool],
    root: str = "/",
) -> list[str]:
    """Go from one set of withheld addresses to another; what was done, one line per object. Call it with the lock.

    A file that is neither what was given nor that without `before` is somebody else's and stays: the next plan shows
    it. apply(text, path): load an nft script and keep it at path.
    """
    changes = []
    directory = os.path.join(root, DNS_DIRECTORY)
    old, new = live_dns(given["dns"], before), live_dns(given["dns"], after)
    for name in sorted(given["dns"]):
        path = os.path.join(directory, name)
        found = files.read(path)
        if found == new.get(name) or found not in (old.get(name), given["dns"][name]):
            continue
        if name in new:
            files.replace(path, new[name], os.path.join(root, DNS_STAGE))
        else:
            files.remove(path)
        changes.append(f"names of {name}")
    path = os.path.join(root, PORTS_FILE)
    shall, found = live_ports(given, after), files.read(path) or ""
    if found != shall and found in (given["ports"], live_ports(given, before)):
        apply(shall, path)
        changes.append("addresses and ports of services")
    return changes


def _read_json(path: str) -> dict[str, Any]:
    try:
        value = json.loads(files.read(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
