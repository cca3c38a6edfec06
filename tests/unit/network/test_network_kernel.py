"""The converge code against a real kernel, in a network namespace of its own (needs root)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network import blocks
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate, service_table
from network_spaces import DRIVER, ROOT, namespaces_work

PREPARE = (
    "mount -t tmpfs tmpfs /run && ip link set lo up && ip link add eth0 type veth peer name peer0"
    " && ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up && ip link set peer0 up"
)
NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]


pytestmark = pytest.mark.skipif(not namespaces_work(), reason="needs root, VXLAN and nftables")


def state(name="n1", count=3, **more):
    return {**allocate({}, NODES[:count], {}, "lab", {"n1": 1500}), "name": name, **more}


def inside(*steps):
    """What each step returned, all of them in one fresh namespace."""
    path = os.pathsep.join([str(ROOT / "collections"), *sys.path])
    done = subprocess.run(
        ["unshare", "-n", "-m", "sh", "-c", f"{PREPARE} && exec {sys.executable} {DRIVER}"],
        input=json.dumps(steps),
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def converge(wanted=None, check=False):
    return ("converge", wanted or state(), check)


def test_an_empty_host_is_built_and_then_left_alone():
    told, built, again = inside(converge(check=True), converge(), converge())
    blocks = {name: entry["block"] for name, entry in state()["nodes"].items()}
    assert "add device stwvx0" in built
    assert f"add route {blocks['n2']}" in built
    assert f"add route {blocks['n3']}" in built
    assert "add table inet stowage" in built
    assert again == []
    assert [line for line in told if not line.startswith("set sysctl")] == [
        line for line in built if not line.startswith("set sysctl")
    ]


def test_check_changes_nothing():
    _told, links, tables = inside(converge(check=True), ("sh", "ip -br link"), ("sh", "nft list tables"))
    assert "stw" not in links[1]
    assert tables == [0, ""]


PEER = state()["nodes"]["n2"]
DRIFT = [
    (f"ip route del {PEER['block']} proto 83", [f"add route {PEER['block']}"]),
    (f"ip neigh del {PEER['vtep']} dev stwvx0", [f"add neighbour {PEER['vtep']} on stwvx0"]),
    (
        f"ip neigh replace {PEER['vtep']} lladdr 0a:00:00:00:00:01 dev stwvx0 nud permanent",
        [f"add neighbour {PEER['vtep']} on stwvx0"],
    ),
    (f"bridge fdb del {PEER['mac']} dev stwvx0", [f"add fdb {PEER['mac']} to 192.0.2.2 on stwvx0"]),
    (
        f"bridge fdb replace {PEER['mac']} dev stwvx0 dst 192.0.2.66 self permanent",
        [f"remove fdb {PEER['mac']} on stwvx0", f"add fdb {PEER['mac']} to 192.0.2.2 on stwvx0"],
    ),
    (
        "bridge fdb append 00:00:00:00:00:00 dev stwvx0 dst 192.0.2.66 self permanent",
        ["remove fdb 00:00:00:00:00:00 on stwvx0"],
    ),
    ("ip route add 10.99.0.0/24 dev stw0 proto 83", ["remove route 10.99.0.0/24"]),
    ("ip link set stwvx0 mtu 1400", ["set MTU of stwvx0 1400 -> 1450"]),
    ("ip addr add 10.99.0.1/32 dev stwvx0", ["remove address 10.99.0.1/32 on stwvx0"]),
    ("nft delete table inet stowage", ["add table inet stowage"]),
    ("nft add rule inet stowage forwarding accept", ["repair table inet stowage"]),
    ("nft flush chain inet stowage guard", ["repair table inet stowage"]),
    ("sysctl -qw net.ipv4.ip_forward=0", ["set sysctl net.ipv4.ip_forward 0 -> 1"]),
]


@pytest.mark.parametrize(("harm", "repaired"), DRIFT)
def test_drift_is_named_and_repaired(harm, repaired):
    _built, harmed, told, done, again = inside(converge(), ("sh", harm), converge(check=True), converge(), converge())
    assert harmed[0] == 0, harmed
    assert told == done == repaired
    assert again == []


@pytest.mark.parametrize(
    "harm",
    [
        "ip link del stwvx0",
        "ip link del stwvx0; ip link add stwvx0 type vxlan id 7 local 192.0.2.1 dstport 4789",
        "ip link set stwvx0 down; ip link set stwvx0 address 0a:00:00:00:00:09",
        "ip link del stw0",
    ],
)
def test_a_lost_or_foreign_device_comes_back_whole(harm):
    _built, harmed, done, again, routes = inside(
        converge(), ("sh", harm), converge(), converge(), ("sh", "ip route show proto 83")
    )
    assert harmed[0] == 0, harmed
    assert any("stwvx0" in line or "stw0" in line for line in done)
    assert again == []
    assert len(routes[1].splitlines()) == 3


def test_peers_come_and_go_without_residue():
    _one, grown, shrunk, again = inside(
        converge(state(count=1)), converge(), converge(state(count=1)), converge(state(count=1))
    )
    assert len([line for line in grown if line.startswith("add ")]) == 6
    assert len([line for line in shrunk if line.startswith("remove ")]) == 6
    assert again == []


def test_what_is_not_ours_is_left_alone():
    mine = "ip route add 10.77.0.0/16 via 192.0.2.254; nft add table inet mine; ip link add br9 type bridge"
    # iptables makes `ip filter` for the one rule in DOCKER-USER; the table is Docker's.
    look = "(ip route show 10.77.0.0/16; nft list tables; ip -br link show br9) | grep -v -e stowage -e 'ip filter'"
    _made, before, _built, during, _gone, after = inside(
        ("sh", mine), ("sh", look), converge(), ("sh", look), ("clear", False), ("sh", look)
    )
    assert before == during == after
    assert "table inet mine" in before[1]


def test_clear_removes_all_and_says_what():
    _built, told, done, again, left = inside(
        converge(), ("clear", True), ("clear", False), ("clear", False), ("sh", "ip -br link; nft list tables")
    )
    assert told == done
    assert {"remove table inet stowage", "remove device stwvx0", "remove device stw0"} <= set(done)
    assert again == []
    assert "stow" not in left[1]
    assert "stw" not in left[1]


def test_clear_knows_all_devices_of_ours():
    others = ("sh", "ip link add stwl3 type bridge; ip link add mystw0 type bridge")
    _built, _made, done = inside(converge(), others, ("clear", False))
    assert "remove device stwl3" in done
    assert "remove device mystw0" not in done


def test_sysctls_of_others_are_given_back():
    native, key = state(native=["eth0"]), "net.ipv4.conf.eth0.route_localnet"
    look = ("sh", f"sysctl -n {key}")
    steps = inside(
        look, converge(native), look, converge(native), converge(), look, converge(native), ("clear", False), look
    )
    assert [steps[number][1] for number in (0, 2, 5, 8)] == ["0", "1", "0", "0"]
    assert f"set sysctl {key} 1 -> 0" in steps[4]
    assert f"set sysctl {key} 1 -> 0" in steps[7]


def test_an_address_that_changed_rebuilds_the_device():
    moved = state()
    moved["nodes"]["n1"]["address"] = "192.0.2.77"
    _built, done, again = inside(converge(), converge(moved), converge(moved))
    assert "remove device stwvx0 (local 192.0.2.1, not 192.0.2.77)" in done
    assert again == []


def test_an_ipv6_underlay_converges_too():
    nodes = [{"name": "a", "address": "2001:db8::1"}, {"name": "b", "address": "2001:db8::2"}]
    wanted = {**allocate({}, nodes, {}, "lab"), "name": "a"}
    built, again = inside(converge(wanted), converge(wanted))
    assert "add device stwvx0" in built
    assert again == []


def test_a_refused_change_names_its_object():
    broken = state()
    broken["nodes"]["n2"]["mac"] = "not-a-mac"
    assert "add neighbour" in inside(converge(broken))[0]


def test_published_ports_are_applied_once_and_drift_is_seen():
    services = [{"name": "a", "ports": [{"target": 80, "published": 8080, "protocol": "tcp", "mode": "ingress"}]}]
    tasks = [{"service": "a", "slot": str(n), "node": "n1", "ip": f"10.1.0.{n}"} for n in (2, 3)]
    text = service_table(services, tasks, {"name": "n2"})
    steps = [
        ("apply_ports", text),
        ("apply_ports", text),
        ("sh", "nft flush chain ip stowage_ports tcp_8080"),
        ("apply_ports", text),
        ("sh", "nft delete table ip stowage_ports"),
        converge(),
        ("apply_ports", "table ip stowage_ports { broken"),
        ("apply_ports", text),
        ("apply_ports", ""),
        ("sh", "ls /run/ports.nft; nft list tables"),
    ]
    first, second, _flush, repaired, _gone, converged, broken, kept, emptied, left = inside(*steps)
    assert (first, second, repaired) == ([True, True], [False, True], [True, True])
    assert "add table ip stowage_ports" in converged
    assert broken.startswith("refused: nft")
    assert kept == [False, True]
    assert emptied == [True, True]
    assert "stowage_ports" not in left[1]


def test_a_host_knows_its_networks_but_not_ours():
    steps = [
        converge(),
        ("sh", "ip route add 10.77.0.0/16 via 192.0.2.254"),
        ("host_networks", {"shop_default": ["172.20.0.0/16", "fd00::/64"]}),
        ("underlay", "192.0.2.1"),
        ("underlay", "192.0.2.9"),
    ]
    _built, _route, networks, underlay, elsewhere = inside(*steps)
    assert [(n["cidr"], n["kind"]) for n in networks if n["cidr"] != "127.0.0.0/8"] == [
        ("10.77.0.0/16", "route"),
        ("172.20.0.0/16", "docker"),
        ("192.0.2.0/24", "address"),
    ]
    assert (underlay["mtu"], elsewhere["mtu"]) == (1500, None)
    assert "192.0.2.1" in underlay["addresses"]


def test_a_policy_is_loaded_kept_and_closed_when_its_file_is_lost():
    from ansible_collections.stowage.fleet.plugins.module_utils.network.api import model, policy_table

    services = [{"name": "a_x", "networks": [{"name": "a_default"}], "template": {}}]
    text = "# head\n" + policy_table(model(services, [{"service": "a_x", "ip": "10.128.0.2", "node": "n1"}]), "n1")
    steps = [
        converge(),
        ("sh", f"cat > /run/policy.nft <<'END'\n{text}END"),
        converge(check=True),
        converge(),
        converge(),
        ("sh", "nft list chain inet stowage judged"),
        ("sh", "nft flush chain inet stowage judged"),
        converge(),
        ("sh", "rm /run/policy.nft; touch /run/policed"),
        converge(),
        ("sh", "nft list chain inet stowage judged"),
        ("sh", "ip link set stw0 type bridge nf_call_iptables 0"),
        converge(),
    ]
    done = inside(*steps)
    assert done[2] == done[3] == ["replace table inet stowage"]
    assert done[4] == []
    assert "vmap @towards" in done[5][1]
    assert done[7] == ["repair table inet stowage"]
    assert "goto refused" in done[10][1]
    assert "vmap" not in done[10][1]
    assert done[12] == ["have traffic inside stw0 filtered"]


def evpn_state():
    table = allocate({"mode": "evpn"}, NODES, {}, "lab", {"n1": 1500})
    return {**table, "evpn": {"vni": 5461080}, "name": "n1"}


@pytest.mark.parametrize(
    ("harm", "repaired"),
    [
        ("ip link del stwl3", ["add device stwl3", "make stwx0 a port of stwl3"]),
        ("ip link del stwx0", ["add device stwx0", "have stwx0 learn nothing by itself"]),
        ("ip link set stwx0 type bridge_slave learning on", ["have stwx0 learn nothing by itself"]),
        ("ip link set stwl3 mtu 1400", ["set MTU of stwl3 1400 -> 1450"]),
    ],
)
def test_the_tunnel_of_evpn_is_built_repaired_and_taken_down(harm, repaired):
    wanted = evpn_state()
    built, again, _harm, mended, quiet, left, names = inside(
        converge(wanted),
        converge(wanted),
        ("sh", harm),
        converge(wanted),
        converge(wanted),
        converge(),
        ("sh", "ip -br link"),
    )
    assert "add device stwl3" in built
    assert again == quiet == []
    assert set(repaired) <= set(mended)
    assert {"remove device stwl3", "remove device stwx0"} <= set(left)
    assert "stwl3" not in names[1]


@pytest.mark.skipif(shutil.which("wg") is None or shutil.which("wireguard-go") is None, reason="WireGuard is missing")
def test_wireguard_is_built_repaired_and_taken_down():
    key = "umask 77; wg genkey > /run/wireguard.key; wg pubkey < /run/wireguard.key"
    peer = "4Q4EIdSvgbzcDDMj7GQ1ZOdTLcHOvHJGrOfmqeIuaS0="
    wanted = state(encryption="wireguard", wireguard={"port": 51840})
    for entry in wanted["nodes"].values():
        entry.update(inner=blocks.inner(entry["block"]), public_key="")
    wanted["nodes"]["n2"]["public_key"] = peer
    harm = f"wg set stwwg0 peer {peer} remove; ip addr flush dev stwwg0"
    _key, built, again, _harm, mended, quiet, shown, left = inside(
        ("sh", key),
        converge(wanted),
        converge(wanted),
        ("sh", harm),
        converge(wanted),
        converge(wanted),
        (
            "sh",
            "wg show stwwg0 allowed-ips; bridge fdb show dev stwvx0; ip route show dev stwwg0; ip -d link show stwvx0",
        ),
        converge(),
    )
    assert {"add device stwwg0", "set peer n2 on stwwg0"} <= set(built)
    assert again == quiet == []
    assert {"set peer n2 on stwwg0", f"add address {wanted['nodes']['n1']['inner']} on stwwg0"} <= set(mended)
    inner = wanted["nodes"]["n2"]["inner"]
    assert f"{peer}\t{inner}/32" in shown[1]
    assert f"dst {inner} " in shown[1], "VXLAN goes to the address inside"
    assert "192.0.2." not in shown[1]
    assert "remove device stwwg0" in left
