# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's FRR: make it run the text of `frr.config`, without ending sessions, and read how its sessions are."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from typing import Any

from . import converge
from .frr import HEAD, config, neighbors

CONF = "/etc/frr/frr.conf"
DAEMONS = "/etc/frr/daemons"
RELOAD = "/usr/lib/frr/frr-reload.py"
RECORD = "/var/lib/stowage/frr.json"
UNIT = "frr.service"
WANTED = ("bgpd", "bfdd")
EMPTY = "log syslog informational\n"
START_SECONDS = 30
LEAVE_SECONDS = 5
# What a configuration of somebody else has, and the one that comes with the package has not.
FOREIGN = re.compile(r"^(router|interface|ip route|ipv6 route|vrf|route-map|vni|bfd)\b", re.MULTILINE)


def text() -> str:
    """The configuration FRR starts with; "" if there is none."""
    return _text(CONF)


def ours() -> bool:
    """True if that was written here."""
    return text().startswith(HEAD)


def wanted(state: Mapping[str, Any]) -> str:
    """frr.conf of this host: the table's, with what only the host itself knows of its links."""
    return config(state, _subnets(state), _loopbacks())


def apply(state: Mapping[str, Any], check: bool) -> list[str]:
    """Have FRR run `wanted`; return what differed, one line each. Sessions that stay in it are not ended.

    Raises converge.NetworkError: FRR is not installed, refuses the text, or runs what somebody else configured.
    """
    missing = [path for path in (DAEMONS, RELOAD) if not os.path.exists(path)]
    new = wanted(state)
    if missing and check:  # a host where this run would install FRR
        return [f"write {CONF}"]
    if missing:
        raise converge.NetworkError(f"{missing[0]} is not there: install the packages frr and frr-pythontools")
    _refuse_foreign()
    changes = _write_daemons("yes", check)
    if text() != new:
        changes.append(f"write {CONF}")
        if not check:
            _write_conf(new)
    return changes + _run_it(new, bool(changes), check)


def _run_it(new: str, written: bool, check: bool) -> list[str]:
    """Start FRR if a daemon is missing, else have the running one reload; only if it does not run the text already."""
    down = [name for name in ("zebra", "staticd", *WANTED) if not _alive(name)]
    changes = [f"start {UNIT} for {', '.join(down)}"] if down else []
    enabled = "UnitFileState=enabled" in converge.run("systemctl", "show", "-p", "UnitFileState", UNIT)
    changes += [] if enabled else [f"enable {UNIT}"]
    if not enabled and not check:
        converge.run("systemctl", "enable", UNIT)
    if down and not check:
        converge.run("systemctl", "restart", UNIT)
        _until_running()
    before = "" if down else _digest(_running())
    if not down and not written and _record() == {"text": _digest(new), "running": before}:
        return changes
    if check:
        return changes if down or written else [*changes, "reload FRR's configuration"]
    if not down:
        converge.run(RELOAD, "--reload", CONF)
    after = _digest(_running())
    _write(RECORD, json.dumps({"text": _digest(new), "running": after}))
    return [*changes, "reload FRR's configuration"] if before != after and not down else changes


def remove(check: bool) -> list[str]:
    """End our sessions, wait until the kernel has no route of theirs, and stop FRR; return what was there."""
    if not ours():
        return []
    changes = [f"remove {CONF}", f"stop {UNIT}"]
    if check:
        return changes
    _write_conf(EMPTY)
    if _alive("zebra"):
        converge.run(RELOAD, "--reload", CONF)
        end = time.monotonic() + LEAVE_SECONDS
        while json.loads(converge.run("ip", "-j", "route", "show", "proto", "bgp") or "[]") and time.monotonic() < end:
            time.sleep(0.1)
    converge.run("systemctl", "disable", "--now", UNIT)
    _write_daemons("no", check=False)
    if os.path.exists(RECORD):
        os.unlink(RECORD)
    return changes


def bgp_health(state: Mapping[str, Any] | None) -> dict[str, Any]:
    """This host's sessions: {sessions: [{peer, host, state, prefixes, up_seconds, bfd}], down: [peer], routes: n}.

    state: what `converge.load_state` gives. bfd is up, down or none; routes: routes of BGP in the kernel. Empty where
    the mode has no BGP; a session that FRR does not know is `state: missing`. Never raises: a dead FRR is all missing.
    """
    if not state or "bgp" not in state:
        return {}
    summary, paths = _asked("show bgp summary json"), _asked("show bfd peers json")
    afi = "l2VpnEvpn" if state["mode"] == "evpn" else "ipv4Unicast"
    known = (summary.get(afi) or {}).get("peers") or {} if isinstance(summary, dict) else {}
    # Of a session without numbers only its device is known here.
    bfd = {
        str(path.get(key)): str(path.get("status"))
        for key in ("interface", "peer")
        for path in (paths if isinstance(paths, list) else [])
    }
    ends = neighbors(state)
    sessions = [_session(end, ends.get(end, ""), known.get(end) or {}, bfd) for end in [*ends, *_others(known, ends)]]
    try:
        routes = len(json.loads(converge.run("ip", "-j", "route", "show", "proto", "bgp") or "[]"))
    except (converge.NetworkError, ValueError):
        routes = 0
    down = [session["peer"] for session in sessions if session["state"] != "Established"]
    return {"sessions": sessions, "down": down, "routes": routes}


def _others(known: Mapping[str, Any], ends: Mapping[str, str]) -> list[str]:
    """Clients of a reflector: nobody configured them."""
    return sorted(set(known) - set(ends))


def _session(end: str, host: str, found: Mapping[str, Any], bfd: Mapping[str, str]) -> dict[str, Any]:
    received, age = found.get("pfxRcd"), found.get("peerUptimeMsec")
    return {
        "peer": end,
        "host": host,
        "state": str(found.get("state", "missing")),
        "prefixes": received if isinstance(received, int) else 0,
        "up_seconds": age // 1000 if isinstance(age, int) else 0,
        "bfd": bfd.get(end, "none"),
    }


def _asked(question: str) -> Any:
    try:
        return json.loads(converge.run("vtysh", "-c", question) or "null")
    except (converge.NetworkError, ValueError):
        return None


def _running() -> str:
    return converge.run("vtysh", "-c", "show running-config")


def _subnets(state: Mapping[str, Any]) -> dict[str, str]:
    """{fabric: the network of this host's address in it}."""
    mine = converge.own(dict(state)).get("fabrics") or {}
    found = {}
    for _device, address, prefix in _addresses():
        for fabric, wanted_address in mine.items():
            if address == wanted_address:
                found[fabric] = str(ipaddress.ip_interface(f"{address}/{prefix}").network)
    return found


def _loopbacks() -> list[str]:
    """The host's IPv4 addresses on its loopback device that others could use."""
    return [
        address
        for device, address, prefix in _addresses()
        if device == "lo" and prefix == "32" and not ipaddress.ip_address(address).is_loopback and ":" not in address
    ]


def _addresses() -> list[tuple[str, str, str]]:
    """[(device, address, prefix length)] of this host."""
    return [
        (str(link["ifname"]), str(entry["local"]), str(entry["prefixlen"]))
        for link in json.loads(converge.run("ip", "-j", "addr", "show"))
        for entry in link.get("addr_info", [])
        if "local" in entry
    ]


def _refuse_foreign() -> None:
    if not ours() and FOREIGN.search(text()):
        raise converge.NetworkError(f"{CONF} is somebody else's: Stowage's BGP needs the host's FRR for itself")


def _write_daemons(word: str, check: bool) -> list[str]:
    """Have /etc/frr/daemons say word for our daemons; the other lines stay."""
    old = _text(DAEMONS)
    new = re.sub(rf"^({'|'.join(WANTED)})=\w*", rf"\g<1>={word}", old, flags=re.MULTILINE)
    for name in WANTED:
        new += "" if re.search(rf"^{name}=", new, re.MULTILINE) else f"{name}={word}\n"
    if new == old:
        return []
    if not check:
        _write(DAEMONS, new)
    return [f"write {DAEMONS}"]


def _write_conf(new: str) -> None:
    """Write frr.conf if FRR itself accepts it."""
    draft = f"{CONF}.stowage-new"
    _write(draft, new)
    try:
        converge.run("vtysh", "-C", "-f", draft)
    except converge.NetworkError as error:
        os.unlink(draft)
        raise converge.NetworkError(f"FRR refuses its configuration: {error}") from error
    os.replace(draft, CONF)


def _write(path: str, content: str) -> None:
    """Write a file whole or not at all; under /etc/frr it belongs to FRR, as everything there."""
    draft = f"{path}.draft"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(draft, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(draft, 0o640)
    if path.startswith("/etc/frr/"):
        shutil.chown(draft, "frr", "frr")
    os.replace(draft, path)


def _until_running() -> None:
    end = time.monotonic() + START_SECONDS
    while not all(_alive(name) for name in ("zebra", *WANTED)) or not _answers():
        if time.monotonic() > end:
            raise converge.NetworkError(f"{UNIT} did not start: see `journalctl -u frr`")
        time.sleep(0.2)


def _answers() -> bool:
    try:
        return "router bgp" in _running()
    except converge.NetworkError:
        return False


def _alive(name: str) -> bool:
    """True if one of FRR's daemons runs."""
    try:
        with open(f"/run/frr/{name}.pid", encoding="ascii") as file:
            os.kill(int(file.read()), 0)
    except (OSError, ValueError):
        return False
    return True


def _record() -> Any:
    try:
        return json.loads(_text(RECORD))
    except ValueError:
        return None


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
