"""stowage.fleet.destroy on fresh hosts: what was there before the bootstrap is there after, and no more.

It needs a lab of its own: make test-destroy.
"""

from __future__ import annotations

import json
import os
import re

import pytest
from conftest import Fleet

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long, and needs fresh hosts: make test-destroy"),
]

STACK = """
services:
  web:
    image: stowage/tools:1
    command: [python3, -u, -m, http.server, "8080"]
    ports: ["18080:8080"]
    configs: [settings]
    secrets: [token]
    networks: [front]
    deploy: {replicas: 3, labels: {traefik.enable: "true", traefik.http.routers.shop.rule: "Host(`shop.localhost`)",
             traefik.http.services.shop.loadbalancer.server.port: "8080"}}
  db:
    image: stowage/tools:1
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: [data:/data]
    deploy: {mode: global}
  pinned:
    image: stowage/tools:1
    command: [sleep, infinity]
    stop_grace_period: 0s
    networks: {front: {ipv4_address: 10.5.0.10}}
volumes: {data: {}}
networks: {front: {ipam: {config: [{subnet: 10.5.0.0/24}]}}}
configs: {settings: {content: "colour: green"}}
secrets: {token: {file: ./token.txt}}
"""
CLASSES = """
stowage_storage_classes: {scratch: {fstype: tmpfs, source: tmpfs, options: size=1m}}
stowage_storage: [scratch]
"""
# What belongs to others and must stay: a container on a network of its own, a table, a route, a directory, a unit.
OTHERS = """
docker network create others >/dev/null
docker run -d --name other --restart always --network others stowage/tools:1 sleep infinity >/dev/null
docker volume create others_data >/dev/null
nft add table inet others && nft add chain inet others input '{ type filter hook input priority 5; }'
ip route add 203.0.113.0/24 via $(ip -4 route show default | awk '{print $3}')
mkdir -p /etc/others /etc/systemd/network && touch /etc/others/file
"""
LOOK = {
    "links": "ip -j -d link",
    "addresses": "ip -j addr",
    "routes": "ip -j route show table all",
    "rules": "ip -j rule",
    "neighbours": "ip -j neigh show nud permanent",
    "fdb": "bridge -j fdb",
    "nft": "nft -s list ruleset",
    "sysctls": "sysctl -a 2>/dev/null | grep '^net[.]'",
    "files": "find /etc /var/lib /usr/local /run /srv -xdev \\( -type f -o -type l -o -type d \\) -print",
    "contents": "find /etc /usr/local -xdev -type f -print0 | sort -z | xargs -0 sha256sum",
    "units": "systemctl list-unit-files --no-legend --no-pager",
    "failed": "systemctl list-units --failed --no-legend --no-pager",
    "containers": "docker ps -a --format '{{.Names}} {{.State}}'",
    "networks": "docker network ls --format '{{.Name}}'",
    "volumes": "docker volume ls --format '{{.Name}}'",
    "processes": "ps -eo args= | grep -E 'stowage|dnsmasq|traefik|frr|wireguard' | grep -v grep",
}
# What a running system changes by itself, or Docker on its own behalf.
PASSING = re.compile(
    r"^/run/(docker|containerd|systemd|udev|log|lock|user|sshd|utmp)|^/var/lib/(docker|containerd|systemd|private|apt|dpkg|logrotate)"
    r"|^/run/(docker.sock|docker.pid|dbus)|nf_conntrack_count|neigh[.]veth|conf[.]veth|random|fastopen_key|/etc/resolv.conf|/etc/mtab"
    r"|/usr/local/lib/python.*__pycache__|stowage-lab"
)


def seen(fleet, node):
    """{what: sorted lines} of everything that could be left behind on a node."""
    found = {}
    for what, command in LOOK.items():
        text = fleet.shell(node, f"export PATH=$PATH:/usr/sbin:/sbin; {command}", check=False)
        found[what] = sorted(line for line in lines(what, text) if not PASSING.search(line))
    return found


def lines(what, text):
    """A listing as lines that mean the same at any time: no indexes, lifetimes, names that change with each start."""
    if what not in ("links", "addresses", "routes", "rules", "neighbours", "fdb"):
        return text.splitlines()
    made = []
    for entry in json.loads(text or "[]"):
        name = str(entry.get("ifname") or entry.get("dev") or "")
        if name.startswith("veth"):
            continue
        kept = {
            key: entry.get(key) for key in ("ifname", "dev", "mtu", "address", "dst", "gateway", "metric", "protocol")
        }
        kept["held"] = sorted(held["local"] for held in entry.get("addr_info", []) if held["scope"] != "link")
        kept["mac"], kept["state"] = entry.get("mac"), entry.get("state")
        made.append(json.dumps(kept, sort_keys=True))
    return made


@pytest.fixture(scope="module")
def lab(lab_inventory, tmp_path_factory):
    fleet = Fleet(lab_inventory, tmp_path_factory.mktemp("destroy"), name="gone")
    assert [fleet.shell(node, "ls -d /etc/stowage", check=False) for node in fleet.nodes] == [""] * len(fleet.nodes)
    with (fleet.directory / "group_vars/all/fleet.yml").open("a") as file:
        file.write(CLASSES)
    (fleet.directory / "stacks/token.txt").write_text("not so secret\n")
    for node in fleet.nodes:
        fleet.shell(node, OTHERS)
    return fleet


def test_nothing_is_left_behind(lab):
    before = {node: seen(lab, node) for node in lab.nodes}
    lab.play("bootstrap").ok()
    lab.stack(STACK)
    lab.deploy().ok()
    assert len(lab.containers("shop_web")) == 3
    during = seen(lab, lab.nodes[0])
    quiet = [what for what in LOOK if set(during[what]) <= set(before[lab.nodes[0]][what])]
    assert set(quiet) <= {"rules", "failed"}, "a listing that sees nothing of the fleet could not show what is left"

    refused = lab.play("destroy")
    assert refused.rc != 0
    assert "STW-CONFIRM" in refused.text
    assert "STW-OPTION" in lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=perhaps").text
    assert len(lab.containers("shop_web")) == 3
    told = lab.play("destroy", "--check", "-e", "volumes=remove").ok()
    assert len(lab.containers("shop_web")) == 3
    assert lab.deploy("--check").ok().changed == 0
    done = lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok()
    words = re.compile(r"^\+(.+)$", re.MULTILINE)
    assert words.findall(told.text) == words.findall(done.text), "check mode tells the truth"
    assert "remove device stwvx0" in done.text
    after = {node: seen(lab, node) for node in lab.nodes}
    for node in lab.nodes:
        for what in LOOK:
            gone = [line for line in before[node][what] if line not in after[node][what]]
            left = [line for line in after[node][what] if line not in before[node][what]]
            assert (gone, left) == ([], []), f"{node}: {what}"
    assert lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok().changed == 0


def test_one_host_leaves_and_volumes_stay(lab):
    lab.stack(STACK)
    lab.play("bootstrap").ok()
    lab.deploy().ok()
    leaves, stays = lab.nodes[0], lab.nodes[1]
    assert "gone_" not in lab.shell(leaves, "docker volume ls -q")
    run = lab.play("destroy", "-e", "confirm=gone", "--limit", leaves).ok()
    assert f"stay: {', '.join(lab.nodes[1:])}" in run.text
    assert "shop_data" in lab.shell(leaves, "docker volume ls -q")
    assert lab.shell(leaves, "find /var/lib/stowage -type f", check=False) == "/var/lib/stowage/volumes.json"
    assert lab.shell(leaves, "ip -br link | grep -c stw", check=False) == "0"
    assert lab.shell(stays, "/usr/local/lib/stowage/stowage-net --check") == ""
    assert lab.play("destroy", "-e", "confirm=gone", "--limit", leaves).ok().changed == 0
    # A container of somebody else on the fleet's network is named, and nothing is changed.
    lab.shell(stays, "docker run -d --name mine --network stowage stowage/tools:1 sleep infinity")
    refused = lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove", "--limit", stays)
    assert refused.rc != 0
    assert "STW-DESTROY" in refused.text
    assert "mine" in refused.text.partition("STW-DESTROY")[2]
    assert lab.shell(stays, "/usr/local/lib/stowage/stowage-net --check") == ""
    lab.shell(stays, "docker rm -f mine")
    lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok()


def test_sessions_end_and_routes_of_bgp_go(lab):
    """FRR stays installed, stopped and without our configuration; sysctls of the host's own devices are given back."""
    lab.stack(None)
    look = "sysctl -a 2>/dev/null | grep -E 'conf.eth0.(rp_filter|route_localnet)'"
    before = [lab.shell(node, look) for node in lab.nodes]
    fleet = lab.directory / "group_vars/all/fleet.yml"
    fleet.write_text(fleet.read_text().replace("mode: vxlan", "mode: bgp"))
    lab.play("bootstrap").ok()
    assert lab.shell(lab.nodes[0], look) != before[0]
    lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok()
    for node, seen_before in zip(lab.nodes, before, strict=True):
        assert lab.shell(node, look) == seen_before
        assert (
            lab.shell(node, "ip route show proto bgp; ip route show proto 83; ip -br link | grep stw", check=False)
            == ""
        )
        assert (
            lab.shell(node, "systemctl is-active frr; grep -c 'router bgp' /etc/frr/frr.conf", check=False)
            == "inactive\n0"
        )
    assert lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok().changed == 0


@pytest.mark.parametrize("settings", ["mode: vxlan, encryption: wireguard", "mode: evpn"])
def test_nothing_is_left_of_encryption_and_evpn(lab, settings):
    """Devices, keys, sockets and processes of WireGuard; bridge, tunnel and daemons of EVPN."""
    lab.stack(None)
    path = lab.directory / "group_vars/all/fleet.yml"
    plain = re.sub(r"mode: [^,]*(, encryption: wireguard)?,", "mode: vxlan,", path.read_text())
    path.write_text(plain)
    before = {node: seen(lab, node) for node in lab.nodes}
    path.write_text(plain.replace("mode: vxlan", settings))
    lab.play("bootstrap").ok()
    device = "stwwg0" if "wireguard" in settings else "stwx0"
    during = seen(lab, lab.nodes[0])
    assert any(device in line for line in during["links"])
    told = lab.play("destroy", "--check", "-e", "volumes=remove").ok()
    done = lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok()
    words = re.compile(r"^\+(.+)$", re.MULTILINE)
    assert words.findall(told.text) == words.findall(done.text), "check mode tells the truth"
    assert f"remove device {device}" in done.text
    for node in lab.nodes:
        after = seen(lab, node)
        for what in LOOK:
            if what == "contents":  # FRR stays, without our configuration; its files were touched by the test before
                continue
            left = [line for line in after[what] if line not in before[node][what]]
            gone = [line for line in before[node][what] if line not in after[what]]
            assert (gone, left) == ([], []), f"{node}: {what}"
    assert lab.play("destroy", "-e", "confirm=gone", "-e", "volumes=remove").ok().changed == 0
