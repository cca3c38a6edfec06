# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network of the fleet as the hosts tell of it: a value for reports, and the same as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import reach
from .paths import SILENT, UP, judge, widest
from .picture import picture
from .settings import settings

View = dict[str, Any]
Told = Mapping[str, Any]
DRIFT_LINES = 8


def view(fleet: Mapping[str, Any], told: Mapping[str, Told], services: Iterable[Mapping[str, Any]]) -> View:
    """What `stowage.fleet.status -e view=network` shows, JSON-able and sorted.

    told: {host: what `host_network` with state=status returned}, without those that did not answer; services: Service
    values. {schema, fleet, mode, cidr, hosts: {name: {state: ok|unknown|unprepared, address, block, vtep, mtu, drift,
    firewall}}, ways: [{from, to, address, state, wanted, passes, ms}], sessions: [{from, peer, host, state, bfd,
    prefixes}], policy: {networks: {name: [service]}, closed, allowed: [{service, from, ports}], published: [...]},
    picture: SVG}
    """
    network = settings(fleet.get("network"))
    made: View = {
        "schema": 1,
        "fleet": fleet["name"],
        "mode": network["mode"],
        "cidr": network["cidr"],
        "hosts": {node["name"]: _host(node, told.get(node["name"])) for node in fleet["nodes"]},
        "ways": [
            {**_way(way), "from": name}
            for name, one in sorted(told.items())
            for way in sorted(one.get("ways") or (), key=lambda way: str(way["to"]))
        ],
        "sessions": [
            {"from": name, **{key: session[key] for key in ("peer", "host", "state", "bfd", "prefixes")}}
            for name, one in sorted(told.items())
            for session in (one.get("health") or {}).get("sessions") or ()
        ],
        "policy": reach.overview({str(service["name"]): reach.record(service) for service in services}),
    }
    return {**made, "picture": picture(made)}


def _host(node: Mapping[str, Any], told: Told | None) -> dict[str, Any]:
    held = (told or {}).get("claim") or {}
    return {
        "state": "unknown" if told is None else "ok" if held else "unprepared",
        "address": str(held.get("address") or node["address"]),
        "block": str(held.get("block") or ""),
        "vtep": str(held.get("vtep") or ""),
        "mtu": held.get("mtu") or 0,
        "drift": [str(line) for line in (told or {}).get("drift") or ()],
        "firewall": [str(line) for line in (told or {}).get("firewall") or ()],
    }


def _way(way: Told) -> dict[str, Any]:
    state = judge(way)
    return {
        "to": way["to"],
        "address": way["address"],
        "state": state,
        "wanted": way["wanted"],
        "passes": 0 if state == SILENT else widest(way),
        "ms": way["ms"],
    }


def lines(seen: View) -> list[str]:
    """The view for people. What hosts said is escaped."""
    mtus = sorted({host["mtu"] for host in seen["hosts"].values() if host["mtu"]})
    shown = "/".join(str(mtu) for mtu in mtus) or "?"
    made = [f"NETWORK  {seen['fleet']}  |  mode {seen['mode']}  |  {seen['cidr']}  |  MTU {shown}", ""]
    made.append(f"  {'HOST':<14} {'STATE':<11} {'ADDRESS':<16} {'BLOCK':<18} {'WAYS':<9} {'SESSIONS':<9} DRIFT")
    for name, host in sorted(seen["hosts"].items()):
        ways = _tally(way["state"] == UP for way in seen["ways"] if way["from"] == name)
        sessions = _tally(one["state"] == "Established" for one in seen["sessions"] if one["from"] == name)
        drift = str(len(host["drift"])) if host["drift"] else "none" if host["state"] == "ok" else "-"
        where = f"{host['address']:<16} {host['block'] or '-':<18}"
        made.append(f"  {name:<14} {host['state']:<11} {where} {ways:<9} {sessions:<9} {drift}")
    made += [*_troubles(seen), "", *_policy_lines(seen["policy"])]
    return made


def _tally(good: Iterable[bool]) -> str:
    found = list(good)
    return f"{sum(found)}/{len(found)}" if found else "-"


def _troubles(seen: View) -> list[str]:
    made = []
    for way in seen["ways"]:
        if way["state"] != UP:
            size = f", {way['passes']} of {way['wanted']} bytes pass" if way["state"] == "narrow" else ""
            made.append(f"  ! way {way['from']} to {way['to']} ({way['address']}): {way['state']}{size}")
    for one in seen["sessions"]:
        if one["state"] != "Established" or one["bfd"] == "down":
            peer = f"{one['host']} ({one['peer']})" if one["host"] else one["peer"]
            made.append(f"  ! session {one['from']} to {peer}: {one['state']}, BFD {one['bfd']}")
    for name, host in sorted(seen["hosts"].items()):
        made += [f"  ! drift on {name}: {line}" for line in host["drift"][:DRIFT_LINES]]
        more = len(host["drift"]) - DRIFT_LINES
        made += [f"  ! drift on {name}: and {more} more"] if more > 0 else []
        made += [f"  ! firewall on {name} lacks: {line}" for line in host["firewall"]]
    return ["", *(_safe(line) for line in made)] if made else []


def _safe(text: str) -> str:
    """The text in printable ASCII, at most 300 characters."""
    line = "".join(one if " " <= one <= "~" else ascii(one)[1:-1] for one in text)
    return line if len(line) <= 300 else f"{line[:297]}..."


def _policy_lines(policy: Mapping[str, Any]) -> list[str]:
    closed = set(policy["closed"])
    made = ["  WHO MAY REACH WHOM"]
    for network, names in sorted(policy["networks"].items()):
        members = ", ".join(f"{name} (closed)" if name in closed else name for name in names)
        made.append(f"  network {network}: {members}")
    made += [f"  {edge['from']} -> {edge['service']}: {edge['ports']}" for edge in policy["allowed"]]
    made += [f"  {edge['from']} -> {edge['service']}: {edge['ports']} (published)" for edge in policy["published"]]
    return made if len(made) > 1 else ["  no services"]
