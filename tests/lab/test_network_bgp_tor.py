"""Mode bgp with routers at the top of rack: two real FRR routers, unnumbered sessions, the silence of one of them."""

from __future__ import annotations

import os
import subprocess

import pytest
import yaml
from routed import Traffic, established, health, network, silence, until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-network runs it"),
    pytest.mark.skipif(os.geteuid() != 0, reason="links between containers need root"),
]

STACK = """
services:
  web:
    image: stowage/app:1.0
    deploy: {mode: global}
"""
ROUTERS = ("tor1", "tor2")
# What a router at the top of rack needs for the hosts: eBGP by device, nothing that names a host.
ROUTER = """frr defaults datacenter
router bgp {asn}
 no bgp ebgp-requires-policy
 bgp bestpath as-path multipath-relax
 neighbor hosts peer-group
 neighbor hosts remote-as external
 neighbor hosts bfd
 neighbor hosts capability extended-nexthop
{neighbors}
 address-family ipv4 unicast
  neighbor hosts activate
 exit-address-family
"""
FORWARDING = "net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"
CAPABLE = ("NET_ADMIN", "NET_RAW", "SYS_ADMIN")
START = """
sed -i 's/^\\(bgpd\\|bfdd\\)=.*/\\1=yes/' /etc/frr/daemons
cat > /etc/frr/frr.conf
/usr/lib/frr/frrinit.sh start
"""


def docker(*arguments, data=None):
    """The lab's own engine."""
    done = subprocess.run(["docker", *arguments], input=data, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def wire(fleet, names):
    """A link from every host to every router: the device is called as the other end's machine."""
    pids = {node: docker("inspect", "-f", "{{.State.Pid}}", fleet.outer(node)) for node in fleet.nodes}
    pids.update({name: docker("inspect", "-f", "{{.State.Pid}}", names[name]) for name in ROUTERS})
    lines = [f"nsenter -t {pids[name]} -n sysctl -qw {FORWARDING}" for name in ROUTERS]
    for router in ROUTERS:
        for node in fleet.nodes:
            lines.append(f"ip link add {router} netns {pids[node]} type veth peer name {node} netns {pids[router]}")
            for pid, device in ((pids[node], router), (pids[router], node)):
                up = f"sysctl -qw net.ipv6.conf.{device}.disable_ipv6=0 && ip link set {device} up"
                lines.append(f"nsenter -t {pid} -n sh -c '{up}'")
    subprocess.run(["sh", "-ec", "\n".join(lines)], check=True)


@pytest.fixture(scope="module")
def rack(bootstrapped):
    """Every host has two uplinks, each to a router of its own AS, and speaks BGP with both. At the end vxlan again."""
    fleet = bootstrapped
    lab = fleet.variables[fleet.nodes[0]]["stowage_lab_name"]
    image = docker("inspect", "-f", "{{.Config.Image}}", fleet.outer(fleet.nodes[0]))
    names = {router: f"{lab}-{router}" for router in ROUTERS}
    own = fleet.directory / "group_vars/all/rack.yml"
    fleet.wipe()
    fleet.stack(STACK)
    fleet.deploy().ok()
    try:
        for router in ROUTERS:
            flags = ["--network", "none", "--label", f"stowage.lab={lab}", "--name", names[router]]
            flags += [word for name in CAPABLE for word in ("--cap-add", name)]
            flags += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
            docker("run", "-d", *flags, "--entrypoint", "sleep", image, "infinity")
        wire(fleet, names)
        for number, router in enumerate(ROUTERS):
            neighbors = "\n".join(f" neighbor {node} interface peer-group hosts" for node in fleet.nodes)
            text = ROUTER.format(asn=65101 + number, neighbors=neighbors)
            docker("exec", "-i", names[router], "sh", "-ec", START, data=text)
        own.write_text(yaml.safe_dump({"stowage_uplinks": list(ROUTERS)}))
        network(fleet, mode="bgp", bgp={"topology": "tor"})
        established(fleet, dict.fromkeys(fleet.nodes, len(ROUTERS)))
        fleet.routers = names
        yield fleet
    finally:
        own.unlink(missing_ok=True)
        network(fleet, mode="vxlan")
        for router in ROUTERS:
            subprocess.run(["docker", "rm", "-f", names[router]], capture_output=True, check=False)


def test_containers_reach_each_other_over_both_routers(rack):
    here, there = rack.containers("shop_web")[:2]
    ways = rack.shell(here["node"], f"ip route show {there['ip'].rpartition('.')[0]}.0/24 proto bgp")
    assert all(f"dev {router}" in ways for router in ROUTERS), ways
    inside = f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {here['name']}) -n"
    rack.shell(here["node"], f"{inside} ping -c 5 -i 0.05 -W 2 {there['ip']}")
    told = health(rack)
    assert all(one["down"] == [] and len(one["sessions"]) == 2 for one in told.values()), told
    assert all(session["bfd"] == "up" for one in told.values() for session in one["sessions"]), told
    assert rack.play("verify_network").ok().changed == 0


def test_one_of_two_routers_falls_silent(rack, capsys):
    here, there = rack.containers("shop_web")[:2]
    way = rack.shell(here["node"], f"ip route get {there['ip']} from {here['ip']} iif stw0")
    router = next(name for name in ROUTERS if f"dev {name}" in way)
    script = "\n".join(
        silence(node).replace("netdev silence", f"netdev silence{n}") for n, node in enumerate(rack.nodes)
    )
    with Traffic(rack, here["node"], there["ip"], here["name"]) as traffic:
        docker("exec", "-i", rack.routers[router], "sh", "-ec", script)
        assert until(lambda: f"dev {router}" not in rack.shell(here["node"], f"ip route get {there['ip']}"))
    with capsys.disabled():
        print(f"\nbgp, one of two routers silent: longest gap {traffic.gap:.2f} s (bar: 1.5 s)")
    assert 0.1 < traffic.gap < 4, traffic.text
