"""Services' own addresses on real hosts: spread, self-calls, policy, refusal, drain, host clients, and what lasts."""

from __future__ import annotations

import json
import os
import time

import pytest

pytestmark = pytest.mark.lab
long = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="make test-network runs it")

# Answers TCP and UDP on 8080 with its own address, the client's address, and its version.
SERVER = """
import os, socket, sys, threading
me = [line.split()[0] for line in open('/etc/hosts') if line.split()[1:] == [socket.gethostname()]][0]
version = sys.argv[1]
def tcp():
    listener = socket.create_server(('0.0.0.0', 8080))
    while True:
        link, peer = listener.accept()
        threading.Thread(target=serve, args=(link, peer), daemon=True).start()
def serve(link, peer):
    with link:
        while data := link.recv(100):
            link.sendall(f'{me} {peer[0]} {version}\\n'.encode())
threading.Thread(target=tcp, daemon=True).start()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('0.0.0.0', 8080))
while True:
    _data, peer = udp.recvfrom(100)
    udp.sendto(f'{me} {peer[0]} {version}'.encode(), peer)
"""
# Asks a name or address n times over TCP or UDP; prints [[server, client as seen, version] or the error, ...].
CLIENT = """
import json, socket, sys
kind, host, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
found = []
for _try in range(count):
    try:
        if kind == 'tcp':
            link = socket.create_connection((host, 8080), 3)
        else:
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            link.settimeout(3)
            link.connect((host, 8080))
        with link:
            link.sendall(b'x')
            found.append(link.recv(100).decode().split())
    except OSError as error:
        found.append(type(error).__name__)
print(json.dumps(found))
"""
STACK = """
services:
  web:
    image: stowage/tools:1
    command: [python3, /server.py, "VERSION"]
    configs: [{source: server, target: /server.py}, {source: client, target: /client.py}]
    stop_grace_period: 1s
    x-stowage: {drain: DRAIN}
    deploy: {replicas: REPLICAS, endpoint_mode: MODE, update_config: {parallelism: 1, order: start-first, monitor: 0s}}
  solo:
    image: stowage/tools:1
    command: [python3, /server.py, "1"]
    configs: [{source: server, target: /server.py}, {source: client, target: /client.py}]
  client:
    image: stowage/tools:1
    command: [sleep, infinity]
    configs: [{source: client, target: /client.py}]
    deploy: {mode: global}
configs:
  server: {file: server.py}
  client: {file: client.py}
"""
STRANGER = """
services:
  client:
    image: stowage/tools:1
    command: [sleep, infinity]
    configs: [{source: client, target: /client.py}]
    deploy: {mode: global}
configs:
  client: {file: client.py}
"""


def stack(version=1, replicas=4, mode="vip", drain="0s"):
    text = STACK.replace("VERSION", str(version)).replace("REPLICAS", str(replicas))
    return text.replace("MODE", mode).replace("DRAIN", drain)


class Services:
    """The fleet with its stacks deployed: asks from tasks and hosts."""

    def __init__(self, fleet):
        self.fleet = fleet
        for name, text in (("server.py", SERVER), ("client.py", CLIENT)):
            (fleet.directory / "stacks" / name).write_text(text)

    def deploy(self, **given):
        self.fleet.stack(stack(**given))
        self.fleet.deploy().ok()

    def tasks(self, service):
        return self.fleet.containers(service)

    def ask(self, task, target, count=8, kind="tcp"):
        """What a task is answered: [[server, itself as seen, version] or an error's name]."""
        command = f"docker exec {task['id']} python3 /client.py {kind} {target} {count}"
        return json.loads(self.fleet.shell(task["node"], command))

    def ask_from_host(self, node, target, count=8):
        self.fleet.shell(node, f"cat > /tmp/client.py <<'END'{CLIENT}END")
        return json.loads(self.fleet.shell(node, f"python3 /tmp/client.py tcp {target} {count}"))

    def resolve(self, task, name):
        found = self.fleet.shell(task["node"], f"docker exec {task['id']} getent ahostsv4 {name}", check=False)
        return sorted({line.split()[0] for line in found.splitlines()})

    def drift(self):
        return [self.fleet.shell(node, "/usr/local/lib/stowage/stowage-net --check") for node in self.fleet.nodes]


@pytest.fixture(scope="module")
def services(bootstrapped):
    bootstrapped.wipe()
    made = Services(bootstrapped)
    bootstrapped.stack(STRANGER, "other")
    made.deploy()
    yield made
    bootstrapped.stack(None, "other")
    bootstrapped.wipe()


def test_a_name_is_one_address_that_spreads_over_all_tasks(services):
    tasks = {task["ip"] for task in services.tasks("shop_web")}
    for client in services.tasks("shop_client"):
        assert len(services.resolve(client, "web")) == 1
        assert services.resolve(client, "tasks.web") == sorted(tasks)
        answers = services.ask(client, "web", 12)
        assert {answer[0] for answer in answers} == tasks
        # Everywhere the client's own address is seen.
        assert {answer[1] for answer in answers} == {client["ip"]}
        assert {answer[0] for answer in services.ask(client, "web", 12, "udp")} == tasks
    assert services.drift() == [""] * len(services.fleet.nodes)


def test_a_task_reaches_its_own_service_and_itself(services):
    for task in services.tasks("shop_web"):
        assert {answer[0] for answer in services.ask(task, "web", 12)} == {t["ip"] for t in services.tasks("shop_web")}
    (solo,) = services.tasks("shop_solo")
    (vip,) = services.resolve(solo, "solo")
    for kind in ("tcp", "udp"):
        assert services.ask(solo, "solo", 6, kind) == [[solo["ip"], vip, "1"]] * 6


def test_hosts_reach_services(services):
    (vip,) = services.resolve(services.tasks("shop_client")[0], "web")
    for node in services.fleet.nodes:
        answers = services.ask_from_host(node, vip, 8)
        assert {answer[0] for answer in answers} == {task["ip"] for task in services.tasks("shop_web")}


def test_networks_decide_over_services_addresses_too(services):
    for stranger in services.tasks("other_client"):
        answers = services.ask(stranger, "web.shop.svc.fleet", 8)
        assert set(map(str, answers)) == {"ConnectionRefusedError"}


def test_outside_reaches_no_services_address(services):
    here, there = services.fleet.nodes[:2]
    (vip,) = services.resolve(services.tasks("shop_client")[0], "web")
    services.fleet.shell(there, f"ip route add {vip}/32 via {services.fleet.address(here)}")
    try:
        source = f"--interface {services.fleet.address(there)}"
        # Its own host answers for the address: past the output hook there is the wire.
        services.fleet.shell(there, "nft delete table ip stowage_ports; nft delete table inet stowage")
        assert services.fleet.shell(there, f"curl -sm2 {source} {vip}:8080; echo $?", check=False).endswith("28")
    finally:
        services.fleet.shell(there, f"ip route del {vip}/32 via {services.fleet.address(here)}")
        services.fleet.shell(there, "/usr/local/lib/stowage/stowage-net")


@long
def test_without_tasks_it_refuses_at_once_and_the_name_stays(services):
    client = services.tasks("shop_client")[0]
    before = services.resolve(client, "web")
    services.deploy(replicas=0)
    assert services.resolve(client, "web") == before
    began = time.monotonic()
    assert services.ask(client, "web", 3) == ["ConnectionRefusedError"] * 3
    assert services.ask_from_host(client["node"], before[0], 3) == ["ConnectionRefusedError"] * 3
    assert time.monotonic() - began < 4
    services.deploy()
    assert services.resolve(client, "web") == before


SLOW = """
import socket, sys, time
links = [socket.create_connection(('web', 8080), 3) for _n in range(4)]
with open('/tmp/slow', 'w', buffering=1) as out:
    try:
        for _turn in range(int(sys.argv[1])):
            for link in links:
                link.sendall(b'x')
                out.write(link.recv(100).decode())
            time.sleep(0.25)
    except OSError as error:
        out.write(f'cut {error}')
"""


@long
def test_draining_tasks_get_no_new_flows_and_keep_those_they_have(services):
    client = services.tasks("shop_client")[0]
    services.deploy(replicas=1, drain="6s")
    old = services.tasks("shop_web")[0]["ip"]
    services.fleet.shell(client["node"], f"docker exec -i {client['id']} sh -c 'cat > /tmp/slow.py' <<'END'{SLOW}END")
    services.fleet.shell(client["node"], f"docker exec -d {client['id']} python3 /tmp/slow.py 400")
    services.fleet.stack(stack(version=2, replicas=1, drain="6s"))
    process = services.fleet.start("deploy")
    during = set()
    while process.poll() is None:
        if len(services.tasks("shop_web")) == 2:
            answers = services.ask(client, "web", 2)
            flow = services.fleet.shell(client["node"], f"docker exec {client['id']} tail -1 /tmp/slow").split()
            during.add((tuple(answer[2] for answer in answers), flow[0]))
        time.sleep(0.2)
    assert process.stdout.read().count("failed=0"), "the deploy failed"
    # While the old one drained, new flows went to the new one and the old flows went on.
    assert (("2", "2"), old) in during
    assert all(flow == old for _versions, flow in during)


@long
def test_dnsrr_is_as_before_and_restarts_nothing(services):
    services.deploy()
    client, before = services.tasks("shop_client")[0], services.fleet.containers()
    services.deploy(mode="dnsrr")
    assert services.fleet.containers() == before
    time.sleep(2.5)
    assert services.resolve(client, "web") == sorted(task["ip"] for task in services.tasks("shop_web"))
    services.deploy()
    assert services.fleet.containers() == before


@long
def test_a_lost_table_closes_and_is_repaired(services):
    client = services.tasks("shop_client")[0]
    services.fleet.shell(client["node"], "nft delete table inet stowage")
    local = {task["ip"] for task in services.tasks("shop_web") if task["node"] == client["node"]}
    answers = services.ask(client, "web", 8)
    assert not local & {answer[0] for answer in answers if isinstance(answer, list)}
    services.fleet.shell(client["node"], "nft delete table ip stowage_ports")
    assert not any(isinstance(answer, list) for answer in services.ask(client, "web", 2))
    assert "endpoints" in services.fleet.play("plan").ok().text
    services.fleet.deploy().ok()
    assert all(isinstance(answer, list) for answer in services.ask(client, "web", 12))
    assert services.drift() == [""] * len(services.fleet.nodes)
