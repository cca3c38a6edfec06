# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a host's firewall manager has to let through, as the commands that say so to it. Nothing of it is changed here.

firewalld and ufw drop in tables of their own what they were not told of: what our table accepts does not count there.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from . import converge
from .kernel import NetworkError

BGP_PORTS = ("179/tcp", "3784/udp", "4784/udp")
Run = Callable[..., str]


def advice(state: Mapping[str, Any]) -> list[str]:
    """The commands that are lacking on this host; [] if no such manager runs, or all was said to it."""
    devices = sorted({converge.BRIDGE, *converge.tunnels(state), *converge.LOOP, *converge.devices()})
    if not state.get("vips"):
        devices = [device for device in devices if device not in converge.LOOP]
    return [*_firewalld(state, devices), *_ufw(state, devices)]


def sentence(commands: list[str]) -> str:
    """The commands as one warning; "" if there are none."""
    if not commands:
        return ""
    name = commands[0].split(" ", 1)[0].replace("firewall-cmd", "firewalld")
    return f"{name} runs on this host and drops traffic of the fleet until it is told: {'; '.join(commands)}"


def ports(state: Mapping[str, Any]) -> list[str]:
    """What other hosts send to this one, as port/protocol."""
    routed = state["mode"] in ("bgp", "evpn")
    if state.get("encryption"):
        return [f"{state['wireguard']['port']}/udp"]
    tunnel = state["wireguard"]["port"] if state.get("encryption") else state["port"]
    return [f"{tunnel}/udp", *(BGP_PORTS if routed else ())]


def _firewalld(state: Mapping[str, Any], devices: list[str]) -> list[str]:
    """Our devices in the zone trusted; ports of the hosts among themselves; native packets by their source."""
    if not _says("firewall-cmd", "--state"):
        return []
    wanted = [("--zone=trusted", "interface", device) for device in devices]
    if state.get("native"):
        wanted.append(("--zone=trusted", "source", str(state["cidr"])))
    lacking = [
        f"firewall-cmd --permanent {zone} --add-{kind}={value}"
        for zone, kind, value in wanted
        if not _says("firewall-cmd", zone, f"--query-{kind}={value}")
    ]
    lacking += [
        f"firewall-cmd --permanent --add-port={port}"
        for port in ports(state)
        if not _says("firewall-cmd", f"--query-port={port}")
    ]
    return [*lacking, "firewall-cmd --reload", "systemctl restart docker"] if lacking else []


def _ufw(state: Mapping[str, Any], devices: list[str]) -> list[str]:
    """Ports of the hosts among themselves, names for containers, and forwarding on our devices."""
    if "Status: active" not in _output("ufw", "status"):
        return []
    wanted = [f"ufw allow {port}" for port in ports(state)] + [f"ufw allow in on {converge.BRIDGE}"]
    wanted += [f"ufw route allow {way} on {device}" for device in devices for way in ("in", "out")]
    if state.get("native"):
        wanted.append(f"ufw route allow from {state['cidr']} to {state['cidr']}")
    said = {line.strip() for line in _output("ufw", "show", "added").splitlines()}
    return [line for line in wanted if line not in said]


def _says(*command: str) -> bool:
    """True if the command is there and says yes."""
    if shutil.which(command[0]) is None:
        return False
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _output(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        return converge.run(*command)
    except NetworkError:
        return ""
