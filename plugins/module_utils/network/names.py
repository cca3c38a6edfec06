# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the things are called that are ours on a host: devices, files, marks. Standard library only."""

from __future__ import annotations

STATE = "/etc/stowage/network.json"
BASE = "/etc/stowage/base.nft"
PORTS = "/var/lib/stowage/ports.nft"
POLICY = "/var/lib/stowage/policy.nft"
# Exists once a policy was delivered: without its file no container may then talk to another.
POLICED = "/etc/stowage/policed"
# Sysctls of devices that are not ours, as they were before: {path below /proc/sys: value}.
SYSCTLS = "/etc/stowage/sysctls.json"
RUN = "/run/stowage"
VXLAN = "stwvx0"
BRIDGE = "stw0"
EVPN = "stwl3"
# The VXLAN device of mode evpn: a port of that bridge, whose entries are FRR's.
EVPN_PORT = "stwx0"
WIREGUARD = "stwwg0"
# This host's private key, which never leaves it, and the one that takes its place with the next convergence.
KEY = "/etc/stowage/wireguard.key"
NEXT_KEY = "/etc/stowage/wireguard.key.next"
# Bridges of subnets with fixed addresses begin as the usual one does: one pattern means all containers of this host.
BRIDGES = f"{BRIDGE}*"
# What goes in at one end comes out at the other: the way of a task to itself by its service's address.
LOOP = ("stwlb0", "stwlb1")
LOOP_MAC = "0a:53:00:00:00:01"
PROTOCOL = 83
# zebra reads the top byte as distance 255: a route of a routing daemon, if there is one, always wins.
METRIC = 4278198272
MARK = "0x5000"
# Where the policy's text says what fixed addresses need on this host.
FIXED = "# fixed "
# Devices of other names are never touched; engine.host leaves these out of what it finds on a host.
DEVICES = ("stw0", "stwl", "stwvx", "stwwg", "stwx")
