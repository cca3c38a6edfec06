# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make this host's kernel what /etc/stowage/network.json says; touch nothing that is not ours.

Standard library only and no relative imports: the module host_network imports this file, and installs it as
/usr/local/lib/stowage/stowage-net, which does the same before Docker starts at boot.

Ours are: the devices stwvx0, stw0, stwlb0 and stwlb1, everything on stwvx0, routes with protocol 83, the nft tables
`inet stowage` and `ip stowage_ports`, two rules in DOCKER-USER. A state is the fleet table (`allocation.allocate`) and
`name`, this host.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import ipaddress
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

STATE = "/etc/stowage/network.json"
BASE = "/etc/stowage/base.nft"
PORTS = "/var/lib/stowage/ports.nft"
POLICY = "/var/lib/stowage/policy.nft"
# Exists once a policy was delivered: without its file no container may then talk to another.
POLICED = "/etc/stowage/policed"
CLOSED = "table inet stowage {\n\tchain judged {\n\t\tgoto refused\n\t}\n}\n"
RUN = "/run/stowage"
VXLAN = "stwvx0"
BRIDGE = "stw0"
EVPN = "stwl3"
# Bridges of subnets with fixed addresses begin as the usual one does: one pattern means all containers of this host.
BRIDGES = f"{BRIDGE}*"
# What goes in at one end comes out at the other: the way of a task to itself by its service's address.
LOOP = ("stwlb0", "stwlb1")
LOOP_MAC = "0a:53:00:00:00:01"
PROTOCOL = 83
# zebra reads the top byte as distance 255: a route of a routing daemon, if there is one, always wins.
METRIC = 4278198272
MARK = "0x5000"
USER_RULE = ["-m", "mark", "--mark", f"{MARK}/{MARK}", "-m", "comment", "--comment", "stowage", "-j", "ACCEPT"]
CLOSED_RULE = ["-o", f"{BRIDGE}+", "-m", "comment", "--comment", "stowage", "-j", "DROP"]
# Where the policy's text says what fixed addresses need on this host.
FIXED = "# fixed "
ABSENT = re.compile(r"does not exist|No such (file|device)|Cannot find device", re.IGNORECASE)

State = dict[str, Any]
Fixed = dict[str, Any]


class NetworkError(Exception):
    """A command of the kernel's tools failed; the text says which and why."""


class Change(NamedTuple):
    """One object to change: `what` for people, and the batch line for `tool` (ip or bridge)."""

    what: str
    tool: str
    line: str


def converge(state: State, base: str, check: bool = False, ports: str = PORTS, policy: str = POLICY) -> list[str]:
    """Repair whatever differs from state; return what it was, one line per object (with check, only say so).

    base: nft script of the table `inet stowage`; policy: path of its second half; ports: path of the script of
    `ip stowage_ports`.
    Reads and writes the network namespace it runs in. Raises NetworkError.
    """
    os.makedirs(RUN, exist_ok=True)
    with open(f"{RUN}/network.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not check:
            filter_bridges()
        script = policy_text(policy)
        done = apply(device_changes(state), check) + apply(address_changes(state), check)
        done += sysctl_changes(state, check)
        addresses = fixed(script)
        done += bridges_of_fixed(state, addresses, check)
        done += apply(neighbour_changes(state) + fdb_changes(state) + route_changes(state, addresses), check)
        done += load_table("inet", "stowage", base + script, check)
        done += load_ports(ports, check)
        return done + docker_user(True, check)


def clear(check: bool = False) -> list[str]:
    """Remove everything that is ours from the kernel; return what was there."""
    done = []
    for family, name in (("ip", "stowage_ports"), ("inet", "stowage")):
        done += load_table(family, name, "", check)
    done += docker_user(False, check)
    routes = _read("ip", "route", "show", "proto", str(PROTOCOL))
    changes = [Change(f"remove route {route['dst']}", "ip", f"route del {_route_key(route)}") for route in routes]
    done += _release(check)
    bridges = [str(link["ifname"]) for link in _read("ip", "link", "show", "type", "bridge")]
    for device in (VXLAN, *(name for name in bridges if name.startswith(BRIDGE)), LOOP[0]):
        if _read("ip", "link", "show", "dev", device):
            changes.append(Change(f"remove device {device}", "ip", f"link del {device}"))
    return done + apply(changes, check)


def run(*argv: str, data: str | None = None) -> str:
    """Standard output of a command; NetworkError with its message if it fails."""
    try:
        result = subprocess.run(argv, input=data, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{argv[0]}: {error}") from error
    if result.returncode:
        raise NetworkError(f"{' '.join(argv[:6])}: {result.stderr.strip() or f'exit {result.returncode}'}")
    return result.stdout


def _read(tool: str, *arguments: str) -> list[dict[str, Any]]:
    """What `ip -j` or `bridge -j` lists; nothing if the device does not exist."""
    try:
        text = run(tool, "-j", *arguments)
    except NetworkError as error:
        if ABSENT.search(str(error)):
            return []
        raise
    # Deleted objects are listed as empty dicts by some versions.
    return [entry for entry in json.loads(text or "[]") if entry]


def apply(changes: list[Change], check: bool) -> list[str]:
    """Carry the changes out in one batch per run of equal tools; return what they are."""
    position = 0
    while position < len(changes) and not check:
        tool = changes[position].tool
        batch = []
        while position < len(changes) and changes[position].tool == tool:
            batch.append(changes[position])
            position += 1
        try:
            run(tool, "-batch", "-", data="".join(f"{change.line}\n" for change in batch))
        except NetworkError as error:
            failed = re.search(r"Command failed -:(\d+)", str(error))
            what = batch[int(failed.group(1)) - 1].what if failed else "batch"
            raise NetworkError(f"{what}: {error}") from error
    return [change.what for change in changes]


def own(state: State) -> dict[str, Any]:
    """This host's entry of the table."""
    entry: dict[str, Any] = state["nodes"][state["name"]]
    return entry


def peers(state: State) -> dict[str, dict[str, Any]]:
    """The entries of all other hosts."""
    return {name: entry for name, entry in sorted(state["nodes"].items()) if name != state["name"]}


def tunnels(state: Mapping[str, Any]) -> list[str]:
    """The devices that packets of other hosts' containers come in by, out of an encapsulation."""
    return [VXLAN, *([EVPN] if state["mode"] == "evpn" else [])]


def device_changes(state: State) -> list[Change]:
    """stwvx0 and stw0. The bridge exists before Docker, which adopts it, so that names are served from the start."""
    me, mtu = own(state), state["mtu"]
    csum = "noudpcsum" if ":" not in me["address"] else ""
    vxlan = f"type vxlan id {state['vni']} local {me['address']} dstport {state['port']} nolearning {csum}"
    wanted = {"id": state["vni"], "port": state["port"], "learning": False, "udp_csum": bool(":" in me["address"])}
    wanted["local6" if ":" in me["address"] else "local"] = me["address"]
    changes = []
    found = next(iter(_read("ip", "-d", "link", "show", "dev", VXLAN)), None)
    if found is not None and _differs(found, "vxlan", wanted):
        changes.append(Change(f"remove device {VXLAN} ({_differs(found, 'vxlan', wanted)})", "ip", f"link del {VXLAN}"))
        found = None
    if found is None:
        line = f"link add {VXLAN} address {me['mac']} mtu {mtu} {vxlan}"
        changes.append(Change(f"add device {VXLAN}", "ip", line))
    elif found.get("address") != me["mac"]:
        changes.append(Change(f"set MAC of {VXLAN}", "ip", f"link set {VXLAN} address {me['mac']}"))
    changes += _level(found, VXLAN, mtu)
    bridge = next(iter(_read("ip", "-d", "link", "show", "dev", BRIDGE)), None)
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
    return changes + _level(bridge, BRIDGE, mtu) + _loop_changes(state)


def _loop_changes(state: State) -> list[Change]:
    """A pair of devices with one MAC and without ARP: what is routed into the first one is received from the second."""
    changes = []
    one, other = LOOP
    found = [next(iter(_read("ip", "-d", "link", "show", "dev", device)), None) for device in LOOP]
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
        changes += _level({**(link or {"flags": []}), "mtu": (link or {}).get("mtu")}, device, state["mtu"])
    return changes


def fixed(script: str) -> Fixed:
    """A policy's fixed addresses: {bridges: {device: gateway/prefix}, routes: {address: node}}; {} if none."""
    head = script.partition("\n")[0]
    return dict(json.loads(head[len(FIXED) :])) if head.startswith(FIXED) else {}


def converge_fixed(state: State, script: str, check: bool) -> list[str]:
    """Have the bridges and routes that a policy needs for fixed addresses; return what was not so."""
    addresses = fixed(script)
    done = bridges_of_fixed(state, addresses, check)
    done += apply(route_changes(state, addresses), check)
    if not check:
        announce([ip for ip in addresses.get("routes", {}) if f"add route {ip}" in done])
    return done


def announce(moved: list[str]) -> None:
    """Tell the neighbours on our bridges that these addresses are behind the host now: their old entries are wrong."""
    # Not `ip -4`: it leaves the device's own address out.
    for link in _read("ip", "addr", "show", "type", "bridge") if moved else []:
        found = [held for held in link.get("addr_info", []) if held["family"] == "inet"]
        for held in found if str(link["ifname"]).startswith(BRIDGE) else []:
            network = ipaddress.IPv4Network(f"{held['local']}/{held['prefixlen']}", strict=False)
            for ip in [ip for ip in moved if ipaddress.IPv4Address(ip) in network]:
                _gratuitous(str(link["ifname"]), str(link["address"]), ip)


def _gratuitous(device: str, mac: str, ip: str) -> None:
    """Broadcast one ARP answer: ip is at mac."""
    source, everybody = bytes.fromhex(mac.replace(":", "")), b"\xff" * 6
    address = ipaddress.IPv4Address(ip).packed
    frame = everybody + source + bytes.fromhex("08060001080006040002") + source + address + everybody + address
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
        link.bind((device, 0))
        link.send(frame)


def bridges_of_fixed(state: State, addresses: Fixed, check: bool) -> list[str]:
    """The bridges of the subnets of which an address is here.

    They answer for the addresses that are elsewhere. A bridge that is not needed any more goes with its Docker network.
    """
    done = []
    for device, gateway in addresses.get("bridges", {}).items():
        found = next(iter(_read("ip", "-d", "addr", "show", "dev", device)), None)
        held = {f"{a['local']}/{a['prefixlen']}" for a in (found or {}).get("addr_info", [])}
        changes = []
        if found is None:
            line = f"link add {device} mtu {state['mtu']} type bridge nf_call_iptables 1"
            changes.append(Change(f"add device {device}", "ip", line))
        elif found.get("linkinfo", {}).get("info_data", {}).get("nf_call_iptables") != 1:
            line = f"link set {device} type bridge nf_call_iptables 1"
            changes.append(Change(f"have traffic inside {device} filtered", "ip", line))
        changes += _level(found, device, state["mtu"])
        if gateway not in held:
            changes.append(Change(f"add address {gateway} on {device}", "ip", f"addr add {gateway} dev {device}"))
        done += apply(changes, check)
        conf, neighbour = f"net/ipv4/conf/{device}", f"net/ipv4/neigh/{device}/proxy_delay"
        wanted = {f"{conf}/rp_filter": "2", f"{conf}/send_redirects": "0", f"{conf}/route_localnet": "1"}
        done += _set_sysctls({**wanted, f"{conf}/proxy_arp": "1", neighbour: "0"}, check)
    return done


def filter_bridges() -> None:
    """Have the kernel's part that shows bridged packets to nft: it may be a module that nobody loaded yet."""
    if not os.path.isdir("/proc/sys/net/bridge"):
        with contextlib.suppress(NetworkError):
            run("modprobe", "br_netfilter")
    if not os.path.isdir("/proc/sys/net/bridge"):
        raise NetworkError("the kernel has no br_netfilter: containers of one host could not be kept apart")


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


def _level(found: dict[str, Any] | None, device: str, mtu: int) -> list[Change]:
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
    places += [(LOOP[1], f"{state['vips'].split('/')[0]}/32", True)] if state.get("vips") else []
    for device, wanted, alone in places:
        links = _read("ip", "-4", "addr", "show", "dev", device)
        found = {f"{a['local']}/{a['prefixlen']}" for link in links for a in link.get("addr_info", [])}
        if wanted not in found:
            changes.append(Change(f"add address {wanted} on {device}", "ip", f"addr add {wanted} dev {device}"))
        for stranger in sorted(found - {wanted}) if alone else []:
            changes.append(Change(f"remove address {stranger} on {device}", "ip", f"addr del {stranger} dev {device}"))
    return changes


def neighbour_changes(state: State) -> list[Change]:
    """A permanent neighbour per peer: its VTEP address is at its VTEP MAC."""
    found = {n["dst"]: n.get("lladdr") for n in _read("ip", "-4", "neigh", "show", "dev", VXLAN, "nud", "permanent")}
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
        for entry in _read("bridge", "fdb", "show", "dev", VXLAN)
        if entry.get("state") == "permanent"
    }
    wanted = {(peer["mac"], peer["address"]) for peer in peers(state).values()}
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
    ours = _read("ip", "-4", "route", "show", "proto", str(PROTOCOL))
    found = {_route_key(route): (str(route["dst"]), route.get("metric")) for route in ours}
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
    if state.get("vips"):
        me = own(state)
        source = {_route_key(route): route.get("prefsrc") for route in ours}
        key = f"{state['vips']} dev {LOOP[0]}"
        kept.add(key)
        if source.get(key) != me["vtep"]:
            line = f"route replace {key} proto {PROTOCOL} scope link src {me['vtep']}"
            changes.append(Change(f"add route {state['vips']}", "ip", line))
    for key in sorted(key for key in found if key not in kept and found[key] not in replaced):
        changes.append(Change(f"remove route {found[key][0]}", "ip", f"route del {key} proto {PROTOCOL}"))
    return changes


def _route_key(route: dict[str, Any]) -> str:
    """The part of an `ip route` line that identifies a route."""
    words = [str(route["dst"])]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("metric", "metric")):
        if route.get(key):
            words += [word, str(route[key])]
    return " ".join(words)


def sysctl_changes(state: State, check: bool) -> list[str]:
    """Forwarding on; our devices loose on the return path; what localhost sends to a published port may leave."""
    wanted = {"net/ipv4/ip_forward": "1", f"net/ipv6/conf/{VXLAN}/disable_ipv6": "1"}
    for device in (VXLAN, BRIDGE):
        conf = f"net/ipv4/conf/{device}"
        wanted.update({f"{conf}/rp_filter": "2", f"{conf}/send_redirects": "0", f"{conf}/route_localnet": "1"})
    for device in LOOP if state.get("vips") else ():
        wanted[f"net/ipv4/conf/{device}/rp_filter"] = "2"
        wanted[f"net/ipv6/conf/{device}/disable_ipv6"] = "1"
    for device in state.get("native", ()):
        wanted[f"net/ipv4/conf/{device}/route_localnet"] = "1"
        if "1" in (_sysctl(f"net/ipv4/conf/{name}/rp_filter") for name in ("all", device)):
            wanted[f"net/ipv4/conf/{device}/rp_filter"] = "2"  # a way back may be another than the way there
    return _set_sysctls(wanted, check)


def _set_sysctls(wanted: dict[str, str], check: bool) -> list[str]:
    done = []
    for key, value in wanted.items():
        path = f"/proc/sys/{key}"
        try:
            with open(path, encoding="ascii") as file:
                found = file.read().strip()
            if found != value and not check:
                with open(path, "w", encoding="ascii") as file:
                    file.write(value)
        except FileNotFoundError:
            found = "" if check and "ipv4" in key else value  # a device to come; IPv6 may be off
        except OSError as error:
            raise NetworkError(f"sysctl {key}: {error}") from error
        if found != value:
            done.append(f"set sysctl {key.replace('/', '.')} {found} -> {value}")
    return done


def _release(check: bool) -> list[str]:
    """Nothing from localhost leaves by the host's own devices any more: our table no longer guards that."""
    try:
        devices = (load_state() or {}).get("native", [])
    except NetworkError:
        return []
    keys = [f"net/ipv4/conf/{device}/route_localnet" for device in devices]
    wrong = [key for key in keys if _sysctl(key) == "1"]
    for key in [] if check else wrong:
        with open(f"/proc/sys/{key}", "w", encoding="ascii") as file:
            file.write("0")
    return [f"set sysctl {key.replace('/', '.')} 1 -> 0" for key in wrong]


def _sysctl(key: str) -> str:
    try:
        with open(f"/proc/sys/{key}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def load_table(family: str, name: str, script: str, check: bool) -> list[str]:
    """Make a table what the script says (empty: no table); says what it did if the table was not that already.

    Drift inside the table is seen too: what the kernel lists is compared with what it listed after our last load.
    """
    table, record = f"{family} {name}", f"{RUN}/nft-{name}.json"
    before = _listing(family, name)
    if not script:
        if before and not check:
            run("nft", "delete", "table", family, name)
        return [f"remove table {table}"] if before else []
    digest = hashlib.sha256(script.encode()).hexdigest()
    known = _record(record)
    listed = hashlib.sha256(before.encode()).hexdigest()
    if before and known == {"script": digest, "listing": listed}:
        return []
    verb = "add" if not before else "replace" if known.get("script") != digest else "repair"
    if check:
        return [f"{verb} table {table}"]
    os.makedirs(RUN, exist_ok=True)
    run("nft", "-f", "-", data=script)
    after = _listing(family, name)
    with open(f"{record}.new", "w", encoding="ascii") as file:
        json.dump({"script": digest, "listing": hashlib.sha256(after.encode()).hexdigest()}, file)
    os.replace(f"{record}.new", record)
    return [f"{verb} table {table}"] if before != after else []


def _listing(family: str, name: str) -> str:
    try:
        return run("nft", "-s", "list", "table", family, name)
    except NetworkError as error:
        if ABSENT.search(str(error)):
            return ""
        raise


def _record(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="ascii") as file:
            known = json.load(file)
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def load_ports(path: str, check: bool) -> list[str]:
    """Load the published ports that were last delivered to this host, if any."""
    script = _text(path) if os.path.exists(path) else ""
    return load_table("ip", "stowage_ports", script, check)


def policy_text(path: str) -> str:
    """The policy that was last delivered to this host, without its head; closed if it was lost, "" if none ever was."""
    if not os.path.exists(path):
        return CLOSED if os.path.exists(POLICED) else ""
    return _text(path).partition("\n")[2]


def _text(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def docker_user(wanted: bool, check: bool) -> list[str]:
    """Two rules in DOCKER-USER (engines that use iptables): what our table marked passes, nothing else gets in.

    Without our table nothing is marked: containers are then cut off, not open to everybody.
    """
    if shutil.which("iptables") is None:
        return []
    tool = ["iptables", "-w", "10"]
    done = []
    for place, rule in (("1", USER_RULE), ("2", CLOSED_RULE)):
        try:
            run(*tool, "-C", "DOCKER-USER", *rule)
            found = True
        except NetworkError:
            found = False
        if found != wanted and not check:
            if wanted:
                with contextlib.suppress(NetworkError):  # it may exist; and Docker keeps a chain that is already there
                    run(*tool, "-N", "DOCKER-USER")
                run(*tool, "-I", "DOCKER-USER", place, *rule)
            else:
                run(*tool, "-D", "DOCKER-USER", *rule)
        if found != wanted:
            done.append("add rule in DOCKER-USER" if wanted else "remove rule in DOCKER-USER")
    return list(dict.fromkeys(done))


def load_state(path: str = STATE) -> State | None:
    """The state this host holds; None if it has none. Raises NetworkError if it is damaged.

    The file is {schema, node: this host's name, table: the fleet table}, and in mode bgp native: the devices that carry
    containers' packets as they are; the state is the table with `name` and `native`.
    """
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
        state = {**held["table"], "name": held["node"]}
        if held.get("native"):
            state["native"] = list(held["native"])
        own(state)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{path}: damaged ({error})") from error
    return state


def main() -> int:
    """`stowage-net [--check]`: converge to the saved state, print each object that differed."""
    parser = argparse.ArgumentParser(prog="stowage-net", description="Converge this host's container network.")
    parser.add_argument("--check", action="store_true", help="say what differs, change nothing")
    options = parser.parse_args()
    try:
        state = load_state()
        for line in [] if state is None else converge(state, _text(BASE), options.check):
            sys.stdout.write(f"{line}\n")
    except (NetworkError, OSError) as error:
        sys.stderr.write(f"stowage-net: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
