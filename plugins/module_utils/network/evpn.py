# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The controller's side of EVPN: mistakes of stowage_network.evpn, and what the fleet table says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, show

MODE = "evpn"
PLACE = "stowage_network.evpn"
LAST_VNI = 2**24 - 1


def options(network: Mapping[str, Any]) -> dict[str, Any]:
    """stowage_network.evpn with its defaults: {vni}; network: `settings.settings`. One more than network's own."""
    stated = network.get("evpn")
    own = network.get("vni")
    vni = own % LAST_VNI + 1 if isinstance(own, int) else 1
    return {"vni": vni, **(dict(stated) if isinstance(stated, Mapping) else {})}


def check(network: Mapping[str, Any], nodes: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Every mistake of stowage_network.evpn: STW-EVPN. network: `settings.settings`; nodes: the Fleet's."""
    problems = _option_problems(network)
    if network["mode"] != MODE:
        return problems
    for node in nodes:
        if ":" in str(node["address"]):
            reason = f"{show(node['address'])} is IPv6: FRR's EVPN has tunnels over IPv4 only"
            place = f"host {node['name']}: stowage_address"
            problems.append(Problem("STW-EVPN", place, reason, "set an IPv4 address, or use mode vxlan"))
    return problems


def extend(table: dict[str, Any], network: Mapping[str, Any]) -> None:
    """Add `evpn: {vni}` to the fleet table in mode evpn; a table of another mode stays as it is."""
    if network["mode"] == MODE:
        table["evpn"] = {"vni": options(network)["vni"]}


def _option_problems(network: Mapping[str, Any]) -> list[Problem]:
    stated = network.get("evpn")
    if stated is None:
        return []
    if not isinstance(stated, Mapping):
        return [Problem("STW-EVPN", PLACE, f"{show(stated)} is not a mapping", "write {vni: 5461080}")]
    problems = []
    if network["mode"] != MODE:
        reason = f"mode {show(network['mode'])} has no EVPN"
        problems.append(Problem("STW-EVPN", PLACE, reason, "set mode: evpn, or remove evpn"))
    for key in stated:
        if key == "l2":
            reason = "segments of layer 2 are not offered: containers of all hosts reach each other by routes"
            problems.append(
                Problem("STW-EVPN", f"{PLACE}.l2", reason, "remove it; for an address that moves see ipv4_address")
            )
        elif key != "vni":
            problems.append(Problem("STW-EVPN", f"{PLACE}.{show(key)}", "unknown key", "known keys: vni"))
    vni = options(network)["vni"]
    if isinstance(vni, bool) or not isinstance(vni, int) or not 1 <= vni <= LAST_VNI:
        reason = f"{show(vni)} is not a number from 1 to {LAST_VNI}"
        problems.append(
            Problem("STW-EVPN", f"{PLACE}.vni", reason, "remove it: the default follows stowage_network.vni")
        )
    elif vni == network["vni"]:
        reason = f"{vni} is stowage_network.vni, which stays in use underneath"
        problems.append(Problem("STW-EVPN", f"{PLACE}.vni", reason, "use another number"))
    return problems
