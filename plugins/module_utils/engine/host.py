# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Facts of the host itself: capacity, listening ports, the Engine's labels, files of state. Standard library only."""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from ..network.names import DEVICES

TCP_LISTEN, UDP_UNCONNECTED = "0A", "07"
Port = tuple[str, int, str]


class Paths:
    """Where things are on a host, below a root that tests move."""

    def __init__(self, root: str = "/") -> None:
        """Take the root directory."""
        self.root = root
        self.daemon = os.path.join(root, "etc/docker/daemon.json")
        self.network = os.path.join(root, "etc/stowage/network.json")
        self.configs = os.path.join(root, "var/lib/stowage/configs")
        self.volumes = os.path.join(root, "var/lib/stowage/volumes.json")
        self.adopted = os.path.join(root, "var/lib/stowage/adopted.json")
        self.releases = os.path.join(root, "var/lib/stowage/releases")
        self.run = os.path.join(root, "run/stowage")
        self.secrets = os.path.join(self.run, "secrets")
        self.bundles = os.path.join(root, "var/lib/stowage/secrets")
        self.lease = os.path.join(self.run, "lock.json")
        self.flock = os.path.join(self.run, "apply.lock")
        self.proc = os.path.join(root, "proc")


def read_json(path: str) -> dict[str, Any]:
    """The JSON object in a file; {} if the file is absent or holds something else."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def capacity(proc: str = "/proc") -> dict[str, int]:
    """{cpus, memory in bytes} of the host."""
    memory = 0
    for line in _lines(os.path.join(proc, "meminfo")):
        if line.startswith("MemTotal:"):
            memory = int(line.split()[1]) * 1024
    return {"cpus": os.cpu_count() or 1, "memory": memory}


def engine_labels(path: str) -> dict[str, str]:
    """The Engine's own labels (`labels` in daemon.json)."""
    stated = read_json(path).get("labels") or []
    pairs = (str(label).partition("=") for label in stated)
    return {key: value for key, _equals, value in sorted(pairs)}


def network(path: str) -> dict[str, Any]:
    """{node, claim, address, table}: this host's part of the fleet's network and everybody's, as last written here.

    claim is this host's entry of the table and the table's `vips`; None (and node "") before it was bootstrapped.
    """
    state = read_json(path)
    table = state.get("table") if isinstance(state.get("table"), dict) else {}
    nodes = table.get("nodes") if isinstance(table, dict) else {}
    nodes = nodes if isinstance(nodes, dict) else {}
    node = str(state.get("node") or "")
    entry = nodes.get(node)
    vips = str((table or {}).get("vips") or "")
    claim = {**entry, "vips": vips} if isinstance(entry, dict) else None
    return {
        "node": node,
        "claim": claim,
        "address": str((claim or {}).get("address", "")),
        "table": {name: nodes[name] for name in sorted(nodes)},
    }


def networks(proc: str = "/proc") -> list[dict[str, str]]:
    """[{cidr, device, what}] of the IPv4 networks that the host has devices in, without the fleet's own, sorted."""
    found = []
    for line in _lines(os.path.join(proc, "net/route"))[1:]:
        fields = line.split()
        if len(fields) < 8 or fields[0].startswith(DEVICES) or fields[2] != "00000000" or fields[7] == "00000000":
            continue
        base, mask = _address(fields[1]), _address(fields[7])
        cidr = str(ipaddress.IPv4Network(f"{base}/{mask}", strict=False))
        found.append({"cidr": cidr, "device": fields[0], "what": f"a network of device {fields[0]}"})
    return sorted(found, key=lambda entry: (entry["cidr"], entry["device"]))


def listening(proc: str = "/proc") -> set[Port]:
    """(address, port, protocol) of listening TCP and bound UDP sockets; clients' passing UDP ports are left out."""
    first, last = _passing_ports(proc)
    found: set[Port] = set()
    for protocol, state in (("tcp", TCP_LISTEN), ("udp", UDP_UNCONNECTED)):
        for suffix in ("", "6"):
            for address, port in _sockets(os.path.join(proc, "net", protocol + suffix), state):
                if protocol == "tcp" or not first <= port <= last:
                    found.add((address, port, protocol))
    return found


def foreign_ports(open_ports: Iterable[Port], own: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """[{ip, port, protocol}] of sockets that are not behind a port that our containers publish, sorted.

    own: entries of GET /containers/json of this fleet.
    """
    published = {
        (int(port["PublicPort"]), str(port.get("Type", "tcp")))
        for entry in own
        for port in entry.get("Ports") or []
        if port.get("PublicPort")
    }
    return [
        {"ip": address, "port": port, "protocol": protocol}
        for address, port, protocol in sorted(open_ports, key=lambda p: (p[1], p[2], p[0]))
        if (port, protocol) not in published
    ]


def _sockets(path: str, state: str) -> Iterable[tuple[str, int]]:
    for line in _lines(path)[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == state:
            address, _colon, port = fields[1].partition(":")
            yield _address(address), int(port, 16)


def _address(text: str) -> str:
    """The kernel prints addresses as 32-bit words in host byte order."""
    raw = b"".join(bytes.fromhex(text[at : at + 8])[::-1] for at in range(0, len(text), 8))
    return str(ipaddress.ip_address(raw))


def _passing_ports(proc: str) -> tuple[int, int]:
    words = " ".join(_lines(os.path.join(proc, "sys/net/ipv4/ip_local_port_range"))).split()
    return (int(words[0]), int(words[1])) if len(words) == 2 else (32768, 60999)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
