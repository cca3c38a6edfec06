# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make this host's kernel what /etc/stowage/network.json says; touch nothing that is not ours.

The module host_network calls it, and installs it as one file, /usr/local/lib/stowage/stowage-net, which does the same
before Docker starts at boot. Standard library only.

Ours are: devices whose names begin as `names.DEVICES` says, everything on them, routes with protocol 83, the nft tables
`inet stowage`, `inet stowage_closed` and `ip stowage_ports`, two rules in DOCKER-USER.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys

from .bridges import announce, bridges_of_fixed, converge_fixed, fixed
from .firewall import docker_user, load_table, script
from .hairpin import reflect
from .kernel import Change, NetworkError, apply, read, run
from .links import address_changes, device_changes, filter_bridges, release, sysctl_changes
from .names import (
    BASE,
    BRIDGE,
    BRIDGES,
    DEVICES,
    EVPN,
    FIXED,
    LOOP,
    MARK,
    POLICED,
    POLICY,
    PORTS,
    PROTOCOL,
    RUN,
    STATE,
    VXLAN,
)
from .routing import fdb_changes, neighbour_changes, route_changes, route_key
from .state import State, load_state, own, peers, tunnels
from .wireguard import converge_wireguard, leave, socket_directory

# What others say as `converge.x`.
__all__ = [
    "BASE",
    "BRIDGE",
    "BRIDGES",
    "DEVICES",
    "EVPN",
    "FIXED",
    "LOOP",
    "MARK",
    "POLICED",
    "POLICY",
    "PORTS",
    "PROTOCOL",
    "STATE",
    "VXLAN",
    "NetworkError",
    "announce",
    "clear",
    "converge",
    "converge_fixed",
    "devices",
    "fixed",
    "load_state",
    "load_table",
    "main",
    "own",
    "peers",
    "run",
    "tunnels",
]
# Of its own, because it must outlive the other one: what that did not mark reaches no container of ours.
UNMARKED = script(
    "inet stowage_closed",
    f"""\tchain forwarding {{
\t\ttype filter hook forward priority 10; policy accept;
\t\toifname "{BRIDGES}" meta mark and {MARK} != {MARK} drop
\t}}
""",
)
CLOSED = "table inet stowage {\n\tchain judged {\n\t\tgoto refused\n\t}\n}\n"


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
        rules = policy_text(policy)
        done = converge_wireguard(state, check)
        done += apply(device_changes(state), check) + apply(address_changes(state), check)
        done += sysctl_changes(state, check)
        addresses = fixed(rules)
        done += bridges_of_fixed(state, addresses, check)
        done += apply(neighbour_changes(state) + fdb_changes(state) + route_changes(state, addresses), check)
        done += load_table("inet", "stowage", base + rules, check)
        done += load_table("inet", "stowage_closed", UNMARKED, check)
        done += load_ports(ports, check)
        return done + docker_user(True, check)


def clear(check: bool = False) -> list[str]:
    """Remove everything that is ours from the kernel; return what was there."""
    done = []
    for family, name in (("inet", "stowage_closed"), ("ip", "stowage_ports"), ("inet", "stowage")):
        done += load_table(family, name, "", check)
    done += docker_user(False, check)
    routes = read("ip", "route", "show", "proto", str(PROTOCOL))
    changes = [Change(f"remove route {route['dst']}", "ip", f"route del {route_key(route)}") for route in routes]
    done += release(check)
    sockets = socket_directory()
    changes += [Change(f"remove device {name}", "ip", f"link del {name}") for name in devices()]
    return done + apply(changes, check) + leave(sockets, check)


def devices() -> list[str]:
    """The devices of this host that are ours; of a pair only the first end, with which the other goes."""
    found = sorted(str(link["ifname"]) for link in read("ip", "link", "show"))
    return [name for name in found if name.startswith(DEVICES) and name != LOOP[1]]


def load_ports(path: str, check: bool) -> list[str]:
    """Load the published ports that were last delivered to this host, if any."""
    text = text_of(path) if os.path.exists(path) else ""
    done = load_table("ip", "stowage_ports", text, check)
    if not check:
        reflect(text)
    return done


def policy_text(path: str) -> str:
    """The policy that was last delivered to this host, without its head; closed if it was lost, "" if none ever was."""
    if not os.path.exists(path):
        return CLOSED if os.path.exists(POLICED) else ""
    return text_of(path).partition("\n")[2]


def text_of(path: str) -> str:
    """A file of ours."""
    with open(path, encoding="ascii") as file:
        return file.read()


def main(arguments: list[str] | None = None) -> int:
    """`stowage-net [--check]`: converge to the saved state, print each object that differed."""
    parser = argparse.ArgumentParser(prog="stowage-net", description="Converge this host's container network.")
    parser.add_argument("--check", action="store_true", help="say what differs, change nothing")
    options = parser.parse_args(arguments)
    try:
        state = load_state()
        for line in [] if state is None else converge(state, text_of(BASE), options.check):
            sys.stdout.write(f"{line}\n")
    except (NetworkError, OSError) as error:
        sys.stderr.write(f"stowage-net: {error}\n")
        return 1
    return 0
