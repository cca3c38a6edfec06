# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Routes of containers that were taken over while they ran: a program, /usr/local/lib/stowage/stowage-adopted.

Such a container keeps its first network, whose gateway stays its way out. What comes to its address on the fleet's
network must be answered through that network: one rule and two routes in the container's network namespace. They end
with each restart of the container, so this waits for starts and puts them again. Standard library only.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from typing import Any

ADOPTED = "/var/lib/stowage/adopted.json"
STATE = "/etc/stowage/network.json"
SOCKET = "/var/run/docker.sock"
EVENTS = '/events?filters={"type":["container"],"event":["start","rename"]}'
TABLE = "5377"
LOOK_SECONDS = 30.0  # a start that was missed, while Docker Engine itself started, is made good by then


class Connection(http.client.HTTPConnection):
    """HTTP over Docker's socket."""

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LOOK_SECONDS)
        self.sock.connect(SOCKET)


def read(path: str) -> dict[str, Any]:
    """A JSON object from a file; {} if there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def wanted() -> dict[str, str]:
    """{full id: address} of the containers that were taken over."""
    entries = read(ADOPTED).get("containers") or {}
    return {key: entry["labels"]["stowage.ip"] for key, entry in entries.items()}


def own() -> dict[str, str]:
    """{cidr, block, gateway} of this host; {} without a network."""
    table = read(STATE).get("table") or {}
    node = (table.get("nodes") or {}).get(read(STATE).get("node")) or {}
    return {"cidr": table["cidr"], "block": node["block"], "gateway": node["gateway"]} if node else {}


def missing(network: dict[str, str], ip: str, seen: dict[str, Any]) -> list[str]:
    """Arguments of the `ip` commands that are still to be run; [] if all is there, or the address is not.

    seen: what `ip -j` says of addr, rule, table (the routes of ours) and main (the usual ones).
    """
    names = [link["ifname"] for link in seen["addr"] if any(a.get("local") == ip for a in link.get("addr_info", []))]
    if not names:
        return []
    device, block = names[0], network["block"]
    found = []
    if not any(rule.get("src") == ip and str(rule.get("table")) == TABLE for rule in seen["rule"]):
        found.append(f"rule add from {ip} lookup {TABLE} priority {TABLE}")
    held = {(route.get("dst"), route.get("dev")) for route in seen["table"]}
    if (block, device) not in held:
        found.append(f"route replace {block} dev {device} src {ip} scope link table {TABLE}")
    if ("default", device) not in held:
        found.append(f"route replace default via {network['gateway']} dev {device} src {ip} table {TABLE}")
    if (network["cidr"], device) not in {(route.get("dst"), route.get("dev")) for route in seen["main"]}:
        found.append(f"route replace {network['cidr']} via {network['gateway']} dev {device} src {ip}")
    return found


def inside(pid: int, *arguments: str) -> str:
    """Output of `ip` in a process's network namespace; "" if it fails (an empty table is a failure to some)."""
    done = subprocess.run(
        ["nsenter", f"--net=/proc/{pid}/ns/net", "ip", *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout if done.returncode == 0 else ""


def put(pid: int, ip: str, network: dict[str, str]) -> None:
    """Have the rule and the routes in the namespace of a container's process."""
    asked = {"addr": ("addr",), "rule": ("rule",), "table": ("route", "show", "table", TABLE), "main": ("route",)}
    seen = {key: json.loads(inside(pid, "-4", "-j", *words) or "[]") for key, words in asked.items()}
    for command in missing(network, ip, seen):
        inside(pid, *command.split())


def ask(path: str) -> dict[str, Any]:
    """A JSON object from the Engine; {} if it says no."""
    connection = Connection("localhost")
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read()
        return dict(json.loads(text)) if answer.status == 200 else {}
    finally:
        connection.close()


def put_all() -> bool:
    """Put the routes of every adopted container that runs; False if there is none any more."""
    network, containers = own(), wanted()
    for identity, ip in containers.items() if network else ():
        state = ask(f"/containers/{identity}/json").get("State") or {}
        if state.get("Running") and state.get("Pid"):
            put(int(state["Pid"]), ip, network)
    return bool(containers)


def watch() -> None:
    """Put routes after every start of a container, for as long as any is adopted."""
    while True:
        connection = Connection("localhost")
        try:
            connection.request("GET", EVENTS)
            stream = connection.getresponse()
            while put_all():
                if not stream.readline():
                    break
            else:
                return
        except socket.timeout:
            continue
        except (OSError, ValueError, http.client.HTTPException):
            time.sleep(1)
        finally:
            connection.close()


if __name__ == "__main__":
    put_all() if "--once" in sys.argv else watch()
