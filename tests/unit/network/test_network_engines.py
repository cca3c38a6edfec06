"""What Docker's own rules leave of ours, engine by engine: two hosts, a container on each, and somebody outside.

The rule sets are what the engines install for one bridge and one port published on the host; each is replayed in
network namespaces, first with all of ours, then with our table lost. Needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate
from network_spaces import DRIVER, ROOT, namespaces_work

pytestmark = [
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
    pytest.mark.skipif(
        not (namespaces_work() and shutil.which("iptables-restore")), reason="needs root, VXLAN, nftables and iptables"
    ),
]
NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2)]
TABLE = allocate({}, NODES, {}, "lab", {"n1": 1500})
BLOCK = {name: entry["block"] for name, entry in TABLE["nodes"].items()}
TASK = {name: entry["block"].rsplit(".", 1)[0] + ".9" for name, entry in TABLE["nodes"].items()}
# Clients: who asks whom, by namespace and address. out: past the tunnel, straight at the container's address.
ASKED = {
    "container to container": ("c1", TASK["n2"], 80),
    "host to container": ("n1", TASK["n2"], 80),
    "container to outside": ("c1", "192.0.2.9", 80),
    "outside to container": ("out", TASK["n2"], 80),
    "outside to published": ("out", "192.0.2.2", 8080),
}
SERVER = """
import socketserver, sys
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.client_address[0].encode())
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("0.0.0.0", 80), Answer).serve_forever()
"""
CLIENT = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.7).recv(64).decode())"


def nat(node, masquerade):
    rule = f"-A POSTROUTING -s {BLOCK[node]} ! -o stw0 -j MASQUERADE\n" if masquerade else ""
    return f"""*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
{rule}-A DOCKER ! -i stw0 -p tcp --dport 8080 -j DNAT --to-destination {TASK[node]}:80
COMMIT
"""


def before_28(node, masquerade=False):
    """20.10 to 27: isolation in two stages, what is not published meets the policy of FORWARD."""
    return f"""{nat(node, masquerade)}*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o stw0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o stw0 -j DOCKER
-A FORWARD -i stw0 ! -o stw0 -j ACCEPT
-A FORWARD -i stw0 -o stw0 -j ACCEPT
-A DOCKER -d {TASK[node]} ! -i stw0 -o stw0 -p tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i stw0 ! -o stw0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
"""


def from_28(node, mode, trusted=False):
    """28, 29 with iptables: mode nat drops direct access before routing, nat-unprotected accepts all to the bridge."""
    last = "-A DOCKER -o stw0 -j ACCEPT" if mode == "nat-unprotected" else "-A DOCKER ! -i stw0 -o stw0 -j DROP"
    trust = f"-A PREROUTING -d {TASK[node]} -i stwvx0 -j ACCEPT\n" if trusted else ""
    raw = f"*raw\n{trust}-A PREROUTING -d {TASK[node]} ! -i stw0 -j DROP\nCOMMIT\n" if mode == "nat" else ""
    return f"""{nat(node, False)}{raw}*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
:DOCKER-BRIDGE - [0:0]
:DOCKER-CT - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -j DOCKER-BRIDGE
-A DOCKER-FORWARD -i stw0 -j ACCEPT
-A DOCKER-CT -o stw0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER-BRIDGE -o stw0 -j DOCKER
-A DOCKER -d {TASK[node]} ! -i stw0 -o stw0 -p tcp --dport 80 -j ACCEPT
{last}
COMMIT
"""


def native_29(node, mode, trusted=False):
    """29 with nftables: tables of Docker's own, no chain for users; a mark may be accepted first."""
    trust = f'\t\tip daddr {TASK[node]} iifname "stwvx0" accept\n' if trusted else ""
    mark = "\t\tmeta mark & 0x5000 == 0x5000 accept\n" if trusted else ""
    raw = f'{trust}\t\tip daddr {TASK[node]} iifname != "stw0" drop\n' if mode == "nat" else ""
    last = "accept" if mode == "nat-unprotected" else "drop"
    return f"""table ip docker-bridges {{
\tchain raw-PREROUTING {{
\t\ttype filter hook prerouting priority raw; policy accept;
{raw}\t}}
\tchain nat-PREROUTING {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tfib daddr type local iifname != "stw0" tcp dport 8080 dnat to {TASK[node]}:80
\t}}
\tchain in__stw0 {{
\t\tct state established,related accept
\t\tiifname "stw0" accept
\t\tip daddr {TASK[node]} tcp dport 80 ct status dnat accept
\t\t{last}
\t}}
\tchain filter-FORWARD {{
\t\ttype filter hook forward priority filter; policy accept;
{mark}\t\toifname "stw0" jump in__stw0
\t\tiifname "stw0" accept
\t}}
}}
"""


# engine: its rules, and whom it lets through with all of ours (as ASKED is ordered), the last word being which source
# the container sees. Without our table nobody reaches a container and none gets out, whatever the engine.
ENGINES = {
    "20.10-27": (before_28, "yyyny", "own"),
    "20.10-27 with Docker's masquerade": (lambda node: before_28(node, masquerade=True), "yyyny", "vtep"),
    "28-29 nat": (lambda node: from_28(node, "nat"), "nnyny", ""),
    "28.2-29 nat, tunnel trusted": (lambda node: from_28(node, "nat", trusted=True), "yyyny", "own"),
    "28-29 nat-unprotected": (lambda node: from_28(node, "nat-unprotected"), "yyyny", "own"),
    "29 nftables nat-unprotected": (lambda node: native_29(node, "nat-unprotected"), "yyyny", "own"),
    "29 nftables nat, tunnel and mark trusted": (lambda node: native_29(node, "nat", trusted=True), "yyyny", "own"),
}


def script(rules):
    """Shell: the hosts, their containers, Docker's rules, then ours, and who is answered before and after the loss."""
    lines = ["set -e", "mount -t tmpfs tmpfs /run", "ip link add wire type bridge", "ip link set wire up"]
    for name, address in (("n1", "192.0.2.1"), ("n2", "192.0.2.2"), ("out", "192.0.2.9")):
        lines += [
            f"ip netns add {name}",
            f"ip link add w-{name} master wire type veth peer name eth0 netns {name}",
            f"ip link set w-{name} up",
            f"ip -n {name} link set lo up; ip -n {name} link set eth0 up; ip -n {name} addr add {address}/24 dev eth0",
        ]
    for node in ("n1", "n2"):
        converge = json.dumps([["converge", {**TABLE, "name": node}, False]])
        box = f"c{node[1]}"
        load = "nft -f -" if rules(node).startswith("table ip docker") else "iptables-restore"
        lines += [
            f"ip netns exec {node} sysctl -qw net.ipv4.ip_forward=1",
            f"ip netns exec {node} {load} <<'END'\n{rules(node)}END",
            f"ip netns exec {node} sh -c 'mount -t tmpfs tmpfs /run; exec {sys.executable} {DRIVER}' <<'END' >&2\n"
            f"{converge}\nEND",
            f"ip netns add {box}",
            f"ip -n {node} link add v-{box} master stw0 type veth peer name eth0 netns {box}",
            f"ip -n {node} link set v-{box} up; ip -n {box} link set eth0 up; ip -n {box} link set lo up",
            f"ip -n {box} addr add {TASK[node]}/24 dev eth0",
            f"ip -n {box} route add default via {TABLE['nodes'][node]['gateway']}",
        ]
    lines.append(f"ip -n out route add {TASK['n2']}/32 via 192.0.2.2")
    for box in ("c2", "out"):
        lines.append(f"ip netns exec {box} {sys.executable} -c '{SERVER}' >/dev/null 2>&1 & servers=\"$servers $!\"")
    lines.append("sleep 1")
    ask = "; ".join(
        f"(ip netns exec {where} {sys.executable} -c '{CLIENT}' {address} {port} 2>/dev/null || echo none)"
        for where, address, port in ASKED.values()
    )
    lose = "for n in n1 n2; do ip netns exec $n nft delete table inet stowage; done"
    return "\n".join([*lines, f"{ask}; {lose}; {ask}", "kill $servers"])


@pytest.mark.parametrize("engine", ENGINES)
def test_matrix(engine):
    rules, allowed, source = ENGINES[engine]
    path = os.pathsep.join([str(ROOT / "collections"), *sys.path])
    done = subprocess.run(
        ["unshare", "-n", "-m", "sh", "-c", script(rules)],
        env={**os.environ, "PYTHONPATH": path, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answers = done.stdout.split()
    whole, lost = answers[: len(ASKED)], answers[len(ASKED) :]
    assert dict(zip(ASKED, ("n" if one == "none" else "y" for one in whole))) == dict(zip(ASKED, allowed))
    if source:
        wanted = {"own": TASK["n1"], "vtep": TABLE["nodes"]["n1"]["vtep"]}[source]
        assert whole[0] == wanted, "the source that the container sees"
    assert lost[2:] == ["none"] * 3 or engine.endswith("masquerade"), "a container is not reached, and does not get out"
    assert [lost[0], lost[1], *lost[3:]] == ["none"] * 4, "fails closed"
