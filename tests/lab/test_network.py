"""The container network and its names on real hosts: two roles, plain containers, nothing else of the product."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import service_table
from conftest import Fleet

pytestmark = pytest.mark.lab

IMAGE = "stowage/tools:1"
LABEL = "stowage.test=network"
PLAYBOOK = """
- name: Network and names
  hosts: stowage_nodes
  gather_facts: false
  roles: [stowage.fleet.network, stowage.fleet.dns]
"""
# Answers with its own name and with the address that it saw.
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{sys.argv[1]} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_args):
        pass
http.server.ThreadingHTTPServer(("0.0.0.0", 80), Handler).serve_forever()
"""


class Network(Fleet):
    """Lab hosts with the two roles applied and two containers with fixed addresses each: a-<node>, b-<node>."""

    def command(self, playbook, *arguments):
        """The argv of a run of this module's playbook."""
        binary = str(Path(subprocess.os.sys.executable).parent / "ansible-playbook")
        return [binary, str(self.directory / f"{playbook}.yml"), "-i", str(self.directory / "hosts.yml"), *arguments]

    def prepare(self):
        """Apply the roles and start the containers."""
        (self.directory / "network.yml").write_text(PLAYBOOK)
        self.play("network").ok()
        held = json.loads(self.shell(self.nodes[0], "cat /etc/stowage/network.json"))
        self.table = held["table"]["nodes"]
        self.addresses = {}
        for node in self.nodes:
            self.shell(node, f"cat > /root/server.py <<'END'{SERVER}END")
            for number, name in ((150, f"a-{node}"), (151, f"b-{node}")):
                self.addresses[name] = self.table[node]["block"].rsplit(".", 1)[0] + f".{number}"
                self.start_container(node, name)
        self.until_ready()

    def start_container(self, node, name):
        """One container that serves on port 80, with the settings that the product gives to a task."""
        gateway, address = self.table[node]["gateway"], self.addresses[name]
        self.shell(
            node,
            f"docker rm -f {name} >/dev/null 2>&1; docker run -d --restart always --name {name} --label {LABEL}"
            f" --network stowage --ip {address} --dns {gateway} --dns-search nettest.svc.fleet --dns-option ndots:2"
            f" -v /root/server.py:/server.py:ro {IMAGE} python3 /server.py {name}",
        )

    def inside(self, name, command, check=True):
        """Output of a command in a container."""
        return self.shell(name.split("-", 1)[1], f"docker exec {name} {command}", check=check)

    def ask(self, name, url):
        """What a container is answered: [who, the address it was seen by]; ["", ""] if nobody answers."""
        return (self.inside(name, f"curl -sm3 {url}", check=False) or " ").split(" ")

    def until_ready(self):
        """Wait until every container answers its own host."""
        for name, address in self.addresses.items():
            node, end = name.split("-", 1)[1], time.monotonic() + 30
            while not self.shell(node, f"curl -sm1 {address}", check=False):
                assert time.monotonic() < end, f"{name} does not answer"
                time.sleep(0.3)

    def assert_connected(self):
        """Every container reaches every other one, and is seen by its own address."""
        everybody = " ".join(self.addresses.values())
        for source, address in self.addresses.items():
            loop = f"sh -c 'for ip in {everybody}; do curl -sm3 $ip; echo; done'"
            assert self.inside(source, loop).splitlines() == [f"{target} {address}" for target in self.addresses]

    def publish(self, ports):
        """Deliver published ports to every host: {published port: [container names]}."""
        services = [
            {"name": f"s{port}", "ports": [{"target": 80, "published": port, "protocol": "tcp", "mode": "ingress"}]}
            for port in ports
        ]
        tasks = [
            {"service": f"s{port}", "slot": name, "node": name.split("-", 1)[1], "ip": self.addresses[name]}
            for port, names in ports.items()
            for name in names
        ]
        for node in self.nodes:
            text = service_table(services, tasks, {"name": node})
            write = (
                f"cat > /var/lib/stowage/ports.nft <<'END'\n{text}END" if text else "rm -f /var/lib/stowage/ports.nft"
            )
            self.shell(node, f"{write}\n/usr/local/lib/stowage/stowage-net")

    def remove(self):
        """Take the containers and the ports away."""
        self.publish({})
        for node in self.nodes:
            self.shell(node, f"docker ps -aq -f label={LABEL} | xargs -r docker rm -f; rm -f /var/lib/stowage/dns/test")


@pytest.fixture(scope="module")
def network(lab_inventory, tmp_path_factory):
    made = Network(lab_inventory, tmp_path_factory.mktemp("network"))
    made.prepare()
    yield made
    made.remove()


def drift(network, node):
    """What stowage-net finds different on a node, without repairing it."""
    return network.shell(node, "/usr/local/lib/stowage/stowage-net --check").splitlines()


def test_again_changes_nothing(network):
    assert network.play("network").ok().changed == 0
    assert network.play("network", "--check").ok().changed == 0


def test_every_container_reaches_every_other_with_its_own_address(network):
    network.assert_connected()


def test_hosts_reach_containers_and_containers_reach_the_outside(network):
    here, there = network.nodes[:2]
    assert network.shell(here, f"curl -sm3 {network.addresses[f'a-{there}']}").startswith(f"a-{there} ")
    # Outside: the other host's own address, as any address that is no container's.
    ssh = f"python3 -c \"import socket; print(socket.create_connection(('{network.address(there)}', 22), 3).recv(3))\""
    assert "SSH" in network.inside(f"a-{here}", ssh)


def test_a_default_policy_of_drop_stops_nothing_of_ours(network):
    for node in network.nodes:
        network.shell(node, "iptables -P FORWARD DROP")
    try:
        network.assert_connected()
    finally:
        for node in network.nodes:
            network.shell(node, "iptables -P FORWARD ACCEPT")


def test_outside_cannot_reach_a_container_or_a_gateway(network):
    target, stranger = network.nodes[0], network.nodes[1]
    address, gateway = network.addresses[f"a-{target}"], network.table[target]["gateway"]
    try:
        for inner in (address, gateway):
            # A better route than VXLAN: straight to the host's underlay address, as an outside host would send.
            network.shell(stranger, f"ip route add {inner}/32 via {network.address(target)}")
        source = f"--interface {network.address(stranger)}"
        assert network.shell(stranger, f"curl -sm2 {source} {address}", check=False) == ""
        assert (
            network.shell(stranger, f"dig +time=1 +tries=1 @{gateway} a.svc.fleet", check=False).count("status:") == 0
        )
    finally:
        for inner in (address, gateway):
            network.shell(stranger, f"ip route del {inner}/32 via {network.address(target)}")
    assert network.ask(f"a-{stranger}", address)[0] == f"a-{target}"


def test_a_container_cannot_pose_as_another(network):
    node, other = network.nodes[:2]
    network.shell(node, f"docker run --rm --cap-add NET_ADMIN --network stowage {IMAGE} true")
    forged = network.addresses[f"b-{other}"]
    command = f"ip addr add {forged}/32 dev eth0; curl -sm2 --interface {forged} {network.addresses[f'a-{other}']}"
    assert (
        network.shell(
            node, f"docker run --rm --cap-add NET_ADMIN --network stowage {IMAGE} sh -c '{command}'", check=False
        )
        == ""
    )


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        ("ip route del {block} proto 83", "add route {block}"),
        ("bridge fdb del {mac} dev stwvx0", "add fdb {mac} to {address} on stwvx0"),
        ("ip neigh del {vtep} dev stwvx0", "add neighbour {vtep} on stwvx0"),
        ("nft delete table inet stowage", "add table inet stowage"),
        ("nft flush chain inet stowage forwarding", "repair table inet stowage"),
        ("ip link del stwvx0", "add device stwvx0"),
        ("iptables -F DOCKER-USER", "add rule in DOCKER-USER"),
    ],
)
def test_drift_is_named_and_repaired(network, harm, named):
    node, peer = network.nodes[:2]
    network.shell(node, harm.format(**network.table[peer]))
    run = network.play("network", "--diff").ok()
    assert named.format(**network.table[peer]) in run.text
    assert run.recap[node]["changed"] == 1
    assert run.changed == 1
    assert drift(network, node) == []
    assert network.ask(f"a-{node}", network.addresses[f"a-{peer}"])[0] == f"a-{peer}"


def test_names_resolve_in_glibc_and_musl(network):
    records = "".join(f"{ip} web.nettest.svc.fleet tasks.web.nettest.svc.fleet\\n" for ip in network.addresses.values())
    for node in network.nodes:
        network.shell(
            node,
            f"printf '{records}' > /var/lib/stowage/dns/.new; mv /var/lib/stowage/dns/.new /var/lib/stowage/dns/test",
        )
    time.sleep(1)
    for node in network.nodes:
        for name in ("web", "tasks.web", "web.nettest.svc.fleet"):
            found = network.inside(f"a-{node}", f"getent ahostsv4 {name}")
            assert {line.split()[0] for line in found.splitlines()} == set(network.addresses.values())
        assert network.inside(f"a-{node}", "getent hosts nosuch.nettest.svc.fleet", check=False) == ""
        options = f"--network stowage --dns {network.table[node]['gateway']} --dns-search nettest.svc.fleet"
        for name in ("web", "tasks.web"):
            musl = f"docker run --rm {options} --dns-option ndots:2 stowage/musl:1 --lookup {name}"
            assert set(network.shell(node, musl).splitlines()) == set(network.addresses.values())


def test_published_ports_answer_on_every_host(network):
    first, second, third = (f"a-{node}" for node in network.nodes[:3])
    network.publish({18080: [second, third], 18081: [first], 18082: [first, f"b-{network.nodes[0]}", second]})
    backends = {18080: {second, third}, 18081: {first}, 18082: {first, f"b-{network.nodes[0]}", second}}
    for port, names in backends.items():
        for node in network.nodes:
            url = f"http://{network.address(node)}:{port}"
            answers = [urllib.request.urlopen(url, timeout=3).read().decode().split(" ")[0] for _try in range(24)]
            assert set(answers) == names, (port, node)
            for source in (f"a-{other}" for other in network.nodes):
                loop = f"sh -c 'for n in 1 2 3 4 5 6; do curl -sm3 {url} || echo none; echo; done'"
                who = {line.split(" ")[0] for line in network.inside(source, loop).splitlines()}
                assert who <= names, (port, node, source)
            assert network.shell(node, f"curl -sm3 127.0.0.1:{port}").split(" ")[0] in names
    # On the host that has the only task, the client's own address is seen.
    seen = urllib.request.urlopen(f"http://{network.address(network.nodes[0])}:18081", timeout=3).read().decode()
    assert seen.split(" ")[1] not in [entry["vtep"] for entry in network.table.values()]
    assert all(drift(network, node) == [] for node in network.nodes)
    network.publish({})


def test_a_restart_of_docker_changes_nothing(network):
    node, peer = network.nodes[:2]
    network.shell(node, "systemctl restart docker")
    network.until_ready()
    assert drift(network, node) == []
    network.assert_connected()
    assert network.inside(f"a-{node}", "getent hosts web", check=False)
    assert network.ask(f"a-{peer}", network.addresses[f"a-{node}"])[0] == f"a-{node}"


def test_a_reboot_changes_nothing(network):
    node = network.nodes[1]
    network.publish({18080: [f"a-{node}"]})
    subprocess.run(["docker", "restart", "-t", "20", network.outer(node)], check=True, capture_output=True, timeout=90)
    end = time.monotonic() + 60
    while network.shell(node, "systemctl is-active docker", check=False) != "active":
        assert time.monotonic() < end, "the host did not come back"
        time.sleep(1)
    network.until_ready()
    assert drift(network, node) == []
    network.assert_connected()
    assert network.inside(f"a-{node}", "getent hosts web", check=False)
    answer = urllib.request.urlopen(f"http://{network.address(node)}:18080", timeout=3).read().decode()
    assert answer.startswith(f"a-{node} ")
    assert network.play("network").ok().changed == 0
    network.publish({})


def test_a_silent_host_keeps_its_block_and_blocks_nobody(network):
    silent, path = network.nodes[-1], network.directory / "hosts.yml"
    whole = path.read_text()
    hosts = yaml.safe_load(whole)
    # Port 1 answers nobody; a path of its own, or the open connection of the runs before would be used.
    nobody = {"ansible_port": 1, "ansible_control_path": "%(directory)s/silent"}
    hosts["all"]["children"]["stowage_nodes"]["hosts"][silent].update(nobody)
    path.write_text(yaml.safe_dump(hosts))
    try:
        run = network.play("network")
    finally:
        path.write_text(whole)
    assert "unreachable=1" in run.text
    assert [run.recap[node] for node in network.nodes[:-1]] == [{"changed": 0, "failed": 0}] * (len(network.nodes) - 1)
    held = json.loads(network.shell(network.nodes[0], "cat /etc/stowage/network.json"))
    assert held["table"]["nodes"] == network.table


def test_a_network_that_overlaps_is_refused_by_name(network):
    node = network.nodes[0]
    network.shell(node, "docker network create --subnet 10.143.255.0/24 overlapping")
    try:
        run = network.play("network")
        assert run.rc != 0
        assert f"STW-CIDR-OVERLAP host {node}" in run.text
        assert "Docker network overlapping" in run.text
        assert run.changed == 0
    finally:
        network.shell(node, "docker network rm overlapping")
