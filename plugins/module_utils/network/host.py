# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's side of the network: what it has, and the files and units that bring it back after a reboot."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any, Union

from ..programs import program
from . import converge
from .hairpin import reflect
from .names import DEVICES, KEY, NEXT_KEY, SYSCTLS
from .tables import base_table

SCRIPT = "/usr/local/lib/stowage/stowage-net"
UNIT = "stowage-net.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
SYSTEMD = "/run/systemd/system"
DROP_IN = "/etc/systemd/system/docker.service.d/10-stowage-net.conf"
UNIT_TEXT = f"""[Unit]
Description=Container network of the Stowage fleet
After=network.target systemd-sysctl.service nftables.service
Before=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={SCRIPT}
ExecReload={SCRIPT}

[Install]
WantedBy=multi-user.target
"""
# Without the guard containers must not run: their addresses could be reached from outside.
DROP_IN_TEXT = f"[Unit]\nRequires={UNIT}\nAfter={UNIT}\n"
# Managers of other links take down what they do not know.
UNMANAGED = {
    "/etc/systemd/network/05-stowage.network": "[Match]\nName=stw*\n\n[Link]\nUnmanaged=yes\n",
    "/etc/NetworkManager/conf.d/05-stowage.conf": "[keyfile]\nunmanaged-devices=interface-name:stw*\n",
}
# What a policy may need of the base table; hosts that were prepared before there was such a thing lack it.
NEWER = ("set inside", "chain sourced")
OLDER = "the host's network is of an older version: run stowage.fleet.bootstrap"
File = tuple[Union[str, bytes], int]


def claim(path: str = converge.STATE) -> dict[str, Any] | None:
    """What this host holds of the fleet's table, for observations; None if it holds nothing.

    {fleet, name, mode, cidr, mtu, vips, index, block, gateway, vtep, address, mac}.
    Raises converge.NetworkError if damaged.
    """
    state = converge.load_state(path)
    if state is None:
        return None
    common = {key: state.get(key) for key in ("fleet", "name", "mode", "cidr", "mtu", "vips")}
    return {**common, **converge.own(state)}


def underlay(address: str) -> dict[str, Any]:
    """What the plan needs to know of the host's own links.

    {addresses: [all of this host], mtu: of the device that has address, or None, links: {address: {network, mtu}},
    devices: {name: mtu}}.
    """
    links, devices = {}, {}
    for link in json.loads(converge.run("ip", "-j", "addr", "show")):
        if ours(link.get("ifname")):
            continue
        devices[str(link["ifname"])] = int(link["mtu"])
        for entry in link.get("addr_info", []):
            if "local" in entry:
                network = ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}").network
                links[str(entry["local"])] = {"network": str(network), "mtu": int(link["mtu"])}
    mtu = links[address]["mtu"] if address in links else None
    return {"addresses": sorted(links), "mtu": mtu, "links": links, "devices": devices}


def native(state: Mapping[str, Any]) -> list[str]:
    """The devices on which containers' packets travel as they are: none but in mode bgp."""
    if state["mode"] != "bgp":
        return []
    me = converge.own(dict(state))
    if "uplinks" in me:
        return sorted(me["uplinks"])
    wanted = set(me["fabrics"].values())
    return sorted(
        link["ifname"]
        for link in json.loads(converge.run("ip", "-j", "addr", "show"))
        if wanted & {entry.get("local") for entry in link.get("addr_info", [])}
    )


def host_networks(docker: Mapping[str, list[str]]) -> list[dict[str, str]]:
    """Every IPv4 network this host knows that is not ours: [{cidr, kind: docker|address|route, what}], sorted.

    docker: {Docker network name: [subnets]}, without ours.
    """
    found: dict[str, dict[str, str]] = {}
    for name, subnets in docker.items():
        for subnet in subnets:
            _add(found, subnet, "docker", f"Docker network {name}")
    for link in json.loads(converge.run("ip", "-j", "-4", "addr", "show")):
        for entry in link.get("addr_info", []):
            if not ours(link.get("ifname")) and "local" in entry:
                cidr = f"{entry['local']}/{entry['prefixlen']}"
                _add(found, cidr, "address", f"address {cidr} on {link['ifname']}")
    held = converge.load_state()
    me = converge.own(held) if held else {}
    for route in json.loads(converge.run("ip", "-j", "-4", "route", "show", "table", "main") or "[]"):
        if not _our_route(route, me):
            where = f"via {route['gateway']} " if "gateway" in route else ""
            what = f"route {where}dev {route.get('dev', '?')}"
            _add(found, str(route["dst"]), "route" if where else "address", what)
    return [found[cidr] for cidr in sorted(found)]


def _our_route(route: Mapping[str, Any], me: Mapping[str, Any]) -> bool:
    """True for what we or our FRR installed: it speaks from our VTEP, or keeps our block."""
    if ours(route.get("dev")) or str(route.get("protocol")) == str(converge.PROTOCOL):
        return True
    return bool(me) and (route.get("prefsrc") == me["vtep"] or route["dst"] == me["block"])


def ours(device: Any) -> bool:
    """True for devices that this product made."""
    return str(device).startswith(DEVICES)


def _add(found: dict[str, dict[str, str]], text: str, kind: str, what: str) -> None:
    if text == "default":
        return
    try:
        cidr = str(ipaddress.IPv4Interface(text).network)
    except ValueError:  # IPv6, or a kind of route that is no network
        return
    found.setdefault(cidr, {"cidr": cidr, "kind": kind, "what": what})


def files(state: Mapping[str, Any]) -> dict[str, File]:
    """{path: (content, mode)} of everything that is installed, in the order it must be written."""
    table = {key: value for key, value in state.items() if key not in ("name", "native")}
    held = {"schema": 1, "node": state["name"], "table": table}
    if state.get("native"):
        held["native"] = state["native"]
    wanted: dict[str, File] = {
        converge.STATE: (json.dumps(held, sort_keys=True, indent=1) + "\n", 0o644),
        converge.BASE: (base_table(state), 0o644),
        SCRIPT: (program(converge.__name__, b"#!/usr/bin/python3\n"), 0o755),
    }
    if os.path.isdir(SYSTEMD):
        wanted[UNIT_PATH] = (UNIT_TEXT, 0o644)
        wanted[DROP_IN] = (DROP_IN_TEXT, 0o644)
    for path, text in UNMANAGED.items():
        if os.path.isdir(os.path.dirname(path)):
            wanted[path] = (text, 0o644)
    return wanted


def write(wanted: Mapping[str, File], check: bool) -> list[str]:
    """Write the files that differ, each whole or not at all; return their paths."""
    changed = []
    for path, (content, mode) in wanted.items():
        data = content.encode("utf-8") if isinstance(content, str) else content
        if _read(path) == (data, mode):
            continue
        changed.append(path)
        if not check:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            draft = f"{path}.stowage-new"
            with open(draft, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(draft, mode)
            os.replace(draft, path)
    return changed


def _read(path: str) -> tuple[bytes, int] | None:
    try:
        with open(path, "rb") as file:
            return file.read(), os.stat(path).st_mode & 0o7777
    except OSError:
        return None


def remove(check: bool) -> list[str]:
    """Remove every file that the network room may have written, the state last; return the paths that were there."""
    paths = [UNIT_PATH, DROP_IN, *UNMANAGED, SCRIPT, converge.PORTS, converge.POLICY, converge.POLICED, SYSCTLS]
    paths += [KEY, NEXT_KEY]
    paths += [converge.BASE, converge.STATE]
    there = [path for path in paths if os.path.exists(path)]
    for path in [] if check else there:
        os.unlink(path)
    return there


def enable_unit(reload: bool, check: bool) -> list[str]:
    """Have the unit enabled and active where systemd runs; return what it was not."""
    if not os.path.isdir(SYSTEMD):
        return []
    if reload and not check:
        _systemctl("daemon-reload")
    state = _systemctl("show", "-p", "ActiveState,UnitFileState", UNIT)
    lacking = [] if "UnitFileState=enabled" in state else [f"enable {UNIT}"]
    lacking += [] if "ActiveState=active" in state else [f"start {UNIT}"]
    if lacking and not check:
        _systemctl("enable", "--now", UNIT)
    return lacking


def disable_unit(check: bool) -> list[str]:
    """Have the unit gone; return whether it was there. The drop-in goes first: Docker must not stop with it."""
    if not os.path.isdir(SYSTEMD) or not os.path.exists(UNIT_PATH):
        return []
    if not check:
        if os.path.exists(DROP_IN):
            os.unlink(DROP_IN)
        _systemctl("daemon-reload")
        _systemctl("disable", "--now", UNIT)
    return [f"disable {UNIT}"]


def _systemctl(*arguments: str) -> str:
    result = subprocess.run(("systemctl", *arguments), capture_output=True, text=True, check=False)
    if result.returncode:
        raise converge.NetworkError(f"systemctl {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def apply_ports(text: str, path: str = converge.PORTS) -> bool:
    """Make `ip stowage_ports` what the script says (empty: no table), now and after a reboot; True if it was not.

    Raises converge.NetworkError; a script that nft refuses leaves the old table and the old file.
    """
    changed = bool(converge.load_table("ip", "stowage_ports", text, check=False))
    reflect(text)  # a port that is new since: what a container's start undoes is no drift
    if text:
        return bool(write({path: (text, 0o644)}, check=False)) or changed
    if os.path.exists(path):
        os.unlink(path)
        return True
    return changed


def ports_applied(text: str) -> bool:
    """True if the kernel's `ip stowage_ports` is what apply_ports made of this script."""
    return not converge.load_table("ip", "stowage_ports", text, check=True)


def apply_policy(text: str, path: str = converge.POLICY) -> bool:
    """Make the second half of `inet stowage` what the text says, now and after a reboot; True if it was not.

    text: a line of its own, then the nft script. One transaction replaces both halves. Raises NetworkError: what nft
    refuses leaves the old table and the old file; a base table that knows no policy is of an older version.
    """
    base, script = _base(), text.partition("\n")[2]
    if base and any(mark in script and mark not in base for mark in NEWER):
        raise converge.NetworkError(OLDER)
    changed = False
    if base:
        changed = bool(_fixed(script, _read(path), check=False))
        changed = bool(converge.load_table("inet", "stowage", base + script, check=False)) or changed
        changed = bool(write({converge.POLICED: ("", 0o644)}, check=False)) or changed
    return bool(write({path: (text, 0o644)}, check=False)) or changed


def policy_applied(text: str) -> bool:
    """True if the kernel's `inet stowage` is the base table with this policy. Nothing is where there is no network."""
    base, script = _base(), text.partition("\n")[2]
    if not base:
        return True
    return not (_fixed(script, None, check=True) or converge.load_table("inet", "stowage", base + script, check=True))


def _fixed(script: str, before: tuple[bytes, int] | None, check: bool) -> list[str]:
    """Bridges and routes of fixed addresses, where there are any or were before: most fleets have none."""
    had = before is not None and f"\n{converge.FIXED}".encode() in before[0]
    state = converge.load_state() if had or converge.fixed(script) else None
    return converge.converge_fixed(state, script, check) if state else []


def _base() -> str:
    found = _read(converge.BASE)
    text = found[0].decode("utf-8", "surrogateescape") if found else ""
    if text and "chain judged" not in text:
        raise converge.NetworkError(OLDER)
    return text
