# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Neighbours, forwarding entries and routes: all that VXLAN needs, without learning or flooding."""

from __future__ import annotations

from typing import Any

from .kernel import Change, read
from .names import LOOP, METRIC, PROTOCOL, VXLAN, WIREGUARD
from .state import State, endpoint, own, peers

Fixed = dict[str, Any]


def neighbour_changes(state: State) -> list[Change]:
    """A permanent neighbour per peer: its VTEP address is at its VTEP MAC."""
    found = {n["dst"]: n.get("lladdr") for n in read("ip", "-4", "neigh", "show", "dev", VXLAN, "nud", "permanent")}
    wanted = {peer["vtep"]: peer["mac"] for peer in peers(state).values()}
    changes = []
    for vtep, mac in wanted.items():
        if found.get(vtep) != mac:
            line = f"neigh replace {vtep} lladdr {mac} dev {VXLAN} nud permanent"
            changes.append(Change(f"add neighbour {vtep} on {VXLAN}", "ip", line))
    for vtep in sorted(set(found) - set(wanted)):
        changes.append(Change(f"remove neighbour {vtep} on {VXLAN}", "ip", f"neigh del {vtep} dev {VXLAN}"))
    return changes


def fdb_changes(state: State) -> list[Change]:
    """A forwarding entry per peer: its VTEP MAC is behind its underlay address. No flooding entry, ever."""
    found = {
        (entry["mac"], entry.get("dst", ""))
        for entry in read("bridge", "fdb", "show", "dev", VXLAN)
        if entry.get("state") == "permanent"
    }
    wanted = {(peer["mac"], endpoint(state, peer)) for peer in peers(state).values()}
    changes = []
    # Removals first: a replace would take the place of the old entry, and its removal would then fail.
    for mac, address in sorted(found - wanted):
        where = f"dst {address} " if address else ""
        line = f"fdb del {mac} dev {VXLAN} {where}self"
        changes.append(Change(f"remove fdb {mac} on {VXLAN}", "bridge", line))
    for mac, address in sorted(wanted - found):
        line = f"fdb replace {mac} dev {VXLAN} dst {address} self permanent"
        changes.append(Change(f"add fdb {mac} to {address} on {VXLAN}", "bridge", line))
    return changes


def route_changes(state: State, addresses: Fixed | None = None) -> list[Change]:
    """A route per peer's block, per fixed address elsewhere, and one for services' addresses.

    Every other route with our protocol goes.
    """
    changes, kept, replaced = [], set(), set()
    ours = read("ip", "-4", "route", "show", "proto", str(PROTOCOL))
    found = {route_key(route): (str(route["dst"]), route.get("metric")) for route in ours}
    others = peers(state)
    elsewhere = [
        (ip, others[node]["vtep"]) for ip, node in (addresses or {}).get("routes", {}).items() if node in others
    ]
    for target, vtep in [*((peer["block"], peer["vtep"]) for peer in others.values()), *elsewhere]:
        key = f"{target} via {vtep} dev {VXLAN} metric {METRIC}"
        kept.add(key)
        if key not in found:
            line = f"route replace {target} via {vtep} dev {VXLAN} onlink proto {PROTOCOL} metric {METRIC}"
            changes.append(Change(f"add route {target}", "ip", line))
            replaced.add((target, METRIC))  # whose old way, of the same metric, `replace` takes away
    for inner in [peer["inner"] for peer in others.values()] if state.get("encryption") else []:
        key = f"{inner} dev {WIREGUARD}"
        kept.add(key)
        if key not in found:
            line = f"route replace {inner} dev {WIREGUARD} proto {PROTOCOL} scope link src {own(state)['inner']}"
            changes.append(Change(f"add route {inner}", "ip", line))
    if state.get("vips"):
        me = own(state)
        source = {route_key(route): route.get("prefsrc") for route in ours}
        key = f"{state['vips']} dev {LOOP[0]}"
        kept.add(key)
        if source.get(key) != me["vtep"]:
            line = f"route replace {key} proto {PROTOCOL} scope link src {me['vtep']}"
            changes.append(Change(f"add route {state['vips']}", "ip", line))
    for key in sorted(key for key in found if key not in kept and found[key] not in replaced):
        changes.append(Change(f"remove route {found[key][0]}", "ip", f"route del {key} proto {PROTOCOL}"))
    return changes


def route_key(route: dict[str, Any]) -> str:
    """The part of an `ip route` line that identifies a route."""
    words = [str(route["dst"])]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("metric", "metric")):
        if route.get(key):
            words += [word, str(route[key])]
    return " ".join(words)
