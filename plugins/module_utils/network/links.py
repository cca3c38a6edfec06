# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The devices that are ours, their addresses and sysctls."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
from collections.abc import Collection
from typing import Any

from .kernel import Change, NetworkError, read, run, set_sysctls, sysctl
from .names import BRIDGE, EVPN, EVPN_PORT, LOOP, LOOP_MAC, SYSCTLS, VXLAN
from .state import State, endpoint, own


def device_changes(state: State) -> list[Change]:
    """stwvx0, stw0, those of the mode. The bridge is there before Docker, which adopts it: names are served at once."""
    me, mtu = own(state), state["mtu"]
    changes, found = _vxlan_changes(state, VXLAN, state["vni"])
    changes += level(found, VXLAN, mtu)
    bridge = next(iter(read("ip", "-d", "link", "show", "dev", BRIDGE)), None)
    if bridge is None:
        packed = ipaddress.IPv4Address(me["gateway"]).packed
        mac = "02:42:" + ":".join(f"{octet:02x}" for octet in packed)
        line = f"link add {BRIDGE} address {mac} type bridge nf_call_iptables 1"
        changes.append(Change(f"add device {BRIDGE}", "ip", line))
        # Set, not given at birth: a bridge falls back to 1500 when its last port leaves, unless somebody set it.
        changes.append(Change(f"set MTU of {BRIDGE}", "ip", f"link set {BRIDGE} mtu {mtu}"))
    elif bridge.get("linkinfo", {}).get("info_kind") != "bridge":
        raise NetworkError(f"device {BRIDGE} exists and is not a bridge")
    elif bridge["linkinfo"].get("info_data", {}).get("nf_call_iptables") != 1:
        line = f"link set {BRIDGE} type bridge nf_call_iptables 1"
        changes.append(Change(f"have traffic inside {BRIDGE} filtered", "ip", line))
    return changes + level(bridge, BRIDGE, mtu) + _loop_changes(state) + _evpn_changes(state)


def _vxlan_changes(state: State, device: str, vni: int) -> tuple[list[Change], dict[str, Any] | None]:
    """What a VXLAN device lacks but for MTU and up, and the device as it is if it stays."""
    me, local = own(state), endpoint(state, own(state))
    csum = "noudpcsum" if ":" not in local else ""
    kind = f"type vxlan id {vni} local {local} dstport {state['port']} nolearning {csum}"
    wanted = {"id": vni, "port": state["port"], "learning": False, "udp_csum": bool(":" in local)}
    wanted["local6" if ":" in local else "local"] = local
    changes = []
    found = next(iter(read("ip", "-d", "link", "show", "dev", device)), None)
    if found is not None and _differs(found, "vxlan", wanted):
        reason = _differs(found, "vxlan", wanted)
        changes.append(Change(f"remove device {device} ({reason})", "ip", f"link del {device}"))
        found = None
    if found is None:
        line = f"link add {device} address {me['mac']} mtu {state['mtu']} {kind}"
        changes.append(Change(f"add device {device}", "ip", line))
    elif found.get("address") != me["mac"]:
        changes.append(Change(f"set MAC of {device}", "ip", f"link set {device} address {me['mac']}"))
    return changes, found


def _evpn_changes(state: State) -> list[Change]:
    """In mode evpn a bridge that FRR's routes go through, its only port a VXLAN device; in others neither."""
    bridge, port = (next(iter(read("ip", "-d", "link", "show", "dev", name)), None) for name in (EVPN, EVPN_PORT))
    if state["mode"] != "evpn":
        there = [name for name, link in ((EVPN_PORT, port), (EVPN, bridge)) if link]
        return [Change(f"remove device {name}", "ip", f"link del {name}") for name in there]
    me, mtu = own(state), state["mtu"]
    changes = []
    if bridge is not None and bridge.get("linkinfo", {}).get("info_kind") != "bridge":
        changes.append(Change(f"remove device {EVPN}", "ip", f"link del {EVPN}"))
        bridge = None
    if bridge is None:
        changes.append(Change(f"add device {EVPN}", "ip", f"link add {EVPN} address {me['mac']} type bridge"))
        changes.append(Change(f"set MTU of {EVPN}", "ip", f"link set {EVPN} mtu {mtu}"))
    elif bridge.get("address") != me["mac"]:
        changes.append(Change(f"set MAC of {EVPN}", "ip", f"link set {EVPN} address {me['mac']}"))
    changes += level(bridge, EVPN, mtu)
    made, port = _vxlan_changes(state, EVPN_PORT, state["evpn"]["vni"])
    changes += made
    if port is None or port.get("master") != EVPN:
        changes.append(Change(f"make {EVPN_PORT} a port of {EVPN}", "ip", f"link set {EVPN_PORT} master {EVPN}"))
    held = (port or {}).get("linkinfo", {}).get("info_slave_data", {})
    if port is None or held.get("learning") is not False or held.get("neigh_suppress") is not True:
        line = f"link set {EVPN_PORT} type bridge_slave neigh_suppress on learning off"
        changes.append(Change(f"have {EVPN_PORT} learn nothing by itself", "ip", line))
    return changes + level(port, EVPN_PORT, mtu)


def _loop_changes(state: State) -> list[Change]:
    """A pair of devices with one MAC and without ARP: what is routed into the first one is received from the second."""
    changes = []
    one, other = LOOP
    found = [next(iter(read("ip", "-d", "link", "show", "dev", device)), None) for device in LOOP]
    kinds = [link.get("linkinfo", {}).get("info_kind") for link in found if link]
    if not state.get("vips") or kinds != ["veth", "veth"]:
        gone = [Change(f"remove device {name}", "ip", f"link del {name}") for name, link in zip(LOOP, found) if link]
        changes += gone[:1] if kinds == ["veth", "veth"] else gone
        found = [None, None]
    if not state.get("vips"):
        return changes
    if found[0] is None:
        ends = f"{one} address {LOOP_MAC} type veth peer name {other} address {LOOP_MAC}"
        changes.append(Change(f"add devices {one} and {other}", "ip", f"link add {ends}"))
    for device, link in zip(LOOP, found):
        if link is None or "NOARP" not in link.get("flags", []):
            changes.append(Change(f"set {device} arp off", "ip", f"link set {device} arp off"))
        if link is not None and link.get("address") != LOOP_MAC:
            changes.append(Change(f"set MAC of {device}", "ip", f"link set {device} address {LOOP_MAC}"))
        changes += level({**(link or {"flags": []}), "mtu": (link or {}).get("mtu")}, device, state["mtu"])
    return changes


def _differs(found: dict[str, Any], kind: str, wanted: dict[str, Any]) -> str:
    """The first immutable thing that differs, or nothing."""
    info = found.get("linkinfo", {})
    if info.get("info_kind") != kind:
        return f"kind {info.get('info_kind')}"
    data = info.get("info_data", {})
    for key, value in wanted.items():
        if data.get(key) != value:
            return f"{key} {data.get(key)}, not {value}"
    return ""


def level(found: dict[str, Any] | None, device: str, mtu: int) -> list[Change]:
    """MTU and up, each only where it differs: setting an attribute again has side effects."""
    changes = []
    if found is not None and found.get("mtu") != mtu:
        changes.append(Change(f"set MTU of {device} {found.get('mtu')} -> {mtu}", "ip", f"link set {device} mtu {mtu}"))
    if found is None or "UP" not in found.get("flags", []):
        changes.append(Change(f"set {device} up", "ip", f"link set {device} up"))
    return changes


def address_changes(state: State) -> list[Change]:
    """The VTEP address on stwvx0 (and no other), the gateway on stw0, and on stwlb1 the one that no service gets.

    The kernel takes nothing from a device without an address where it checks the way back.
    """
    me = own(state)
    gateway = f"{me['gateway']}/{me['block'].split('/')[1]}"
    changes = []
    places = [(VXLAN, f"{me['vtep']}/32", True), (BRIDGE, gateway, False)]
    places += [(EVPN, f"{me['vtep']}/32", True)] if state["mode"] == "evpn" else []
    places += [(LOOP[1], f"{state['vips'].split('/')[0]}/32", True)] if state.get("vips") else []
    for device, wanted, alone in places:
        links = read("ip", "-4", "addr", "show", "dev", device)
        found = {f"{a['local']}/{a['prefixlen']}" for link in links for a in link.get("addr_info", [])}
        if wanted not in found:
            changes.append(Change(f"add address {wanted} on {device}", "ip", f"addr add {wanted} dev {device}"))
        for stranger in sorted(found - {wanted}) if alone else []:
            changes.append(Change(f"remove address {stranger} on {device}", "ip", f"addr del {stranger} dev {device}"))
    return changes


def sysctl_changes(state: State, check: bool) -> list[str]:
    """Forwarding on; our devices loose on the return path; what localhost sends to a published port may leave."""
    wanted = {"net/ipv4/ip_forward": "1", f"net/ipv6/conf/{VXLAN}/disable_ipv6": "1"}
    tunnels = [VXLAN, *([EVPN] if state["mode"] == "evpn" else [])]
    for device in [EVPN, EVPN_PORT] if EVPN in tunnels else []:
        wanted[f"net/ipv6/conf/{device}/disable_ipv6"] = "1"
    for device in [*tunnels, BRIDGE]:
        conf = f"net/ipv4/conf/{device}"
        wanted.update({f"{conf}/rp_filter": "2", f"{conf}/send_redirects": "0", f"{conf}/route_localnet": "1"})
    for device in LOOP if state.get("vips") else ():
        wanted[f"net/ipv4/conf/{device}/rp_filter"] = "2"
        wanted[f"net/ipv6/conf/{device}/disable_ipv6"] = "1"
    foreign = _foreign_sysctls(state)
    done = release(check, set(foreign))
    if not check:
        _remember(foreign)
    return done + set_sysctls({**wanted, **foreign}, check)


def _foreign_sysctls(state: State) -> dict[str, str]:
    """What devices that are not ours need where containers' packets travel on them."""
    before, wanted = _remembered(), {}
    for device in state.get("native", ()):
        wanted[f"net/ipv4/conf/{device}/route_localnet"] = "1"
        key = f"net/ipv4/conf/{device}/rp_filter"
        if key in before or "1" in (sysctl("net/ipv4/conf/all/rp_filter"), sysctl(key)):
            wanted[key] = "2"  # a way back may be another than the way there
    return wanted


def _remembered() -> dict[str, str]:
    try:
        with open(SYSCTLS, encoding="ascii") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _remember(wanted: dict[str, str]) -> None:
    """Keep what these sysctls were before the first time."""
    before = _remembered()
    new = {key: sysctl(key) for key in wanted if key not in before and sysctl(key)}
    if new:
        _write_sysctls({**before, **new})


def _write_sysctls(values: dict[str, str]) -> None:
    os.makedirs(os.path.dirname(SYSCTLS), exist_ok=True)
    with open(f"{SYSCTLS}.new", "w", encoding="ascii") as file:
        json.dump(values, file, sort_keys=True)
    os.replace(f"{SYSCTLS}.new", SYSCTLS)


def release(check: bool, but: Collection[str] = ()) -> list[str]:
    """Give sysctls of devices that are not ours back what they were, but for those that are needed."""
    before = _remembered()
    gone = {key: value for key, value in before.items() if key not in but}
    done = set_sysctls({key: value for key, value in gone.items() if sysctl(key)}, check)
    if gone and not check:
        _write_sysctls({key: value for key, value in before.items() if key in but})
    return done


def filter_bridges() -> None:
    """Have the kernel's part that shows bridged packets to nft: it may be a module that nobody loaded yet."""
    if not os.path.isdir("/proc/sys/net/bridge"):
        with contextlib.suppress(NetworkError):
            run("modprobe", "br_netfilter")
    if not os.path.isdir("/proc/sys/net/bridge"):
        raise NetworkError("the kernel has no br_netfilter: containers of one host could not be kept apart")
