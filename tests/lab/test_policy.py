"""Who may talk to whom on real hosts: networks, over same host, other host, host, outside and published ports."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest
from flows import Flows

pytestmark = pytest.mark.lab

SERVE = "[python3, -m, http.server, '8080']"
# Each of these has a task on every host.
SHOP = f"""
services:
  web:
    image: stowage/tools:1
    command: {SERVE}
    networks: [front]
    deploy: {{mode: global}}
    ports: [{{target: 8080, published: 18090}}]
  client:
    image: stowage/tools:1
    command: [sleep, infinity]
    networks: [front SECOND]
    deploy: {{mode: global}}
  db:
    image: stowage/tools:1
    command: {SERVE}
    networks: [back]
    deploy: {{mode: global}}
  both:
    image: stowage/tools:1
    command: {SERVE}
    networks: [front, back]
    deploy: {{mode: global}}
networks:
  front:
  meeting: {{external: true}}
  back: {{internal: true}}
"""
BLOG = f"""
services:
  page:
    image: stowage/tools:1
    command: {SERVE}
    networks: [default, meeting]
    deploy: {{mode: global}}
  lone:
    image: stowage/tools:1
    command: {SERVE}
    deploy: {{mode: global}}
networks:
  meeting: {{external: true}}
"""
LOOK = """python3 -c "
import json, socket, sys
found = {}
for ip in sys.argv[1:]:
    try:
        socket.create_connection((ip.partition(':')[0], int(ip.partition(':')[2] or 8080)), 2).close()
        found[ip] = True
    except OSError as error:
        found[ip] = False
print(json.dumps(found))
" """


def shop(second=", meeting"):
    return SHOP.replace(" SECOND", second)


class Matrix:
    """Who reaches whom: tasks by service and node."""

    def __init__(self, fleet):
        self.fleet = fleet
        self.tasks = {(c["service"].partition("_")[2], c["node"]): c for c in fleet.containers()}

    def address(self, service, node):
        return self.tasks[(service, node)]["ip"]

    def reaches(self, service, node, targets):
        """{target address[:port]: whether a task of the service on the node connects}."""
        command = f"docker exec {self.tasks[(service, node)]['id']} {LOOK} {' '.join(targets)}"
        return json.loads(self.fleet.shell(node, command))

    def rows(self, allowed):
        """Every (client, server) on same and other hosts that is not as `allowed` {client: servers} says."""
        here, there = self.fleet.nodes[:2]
        servers = ("web", "db", "both", "page", "lone")
        wrong = []
        for client in ("web", "client", "db", "both", "page", "lone"):
            targets = {self.address(s, node): s for s in servers if s != client for node in (here, there)}
            for ip, got in self.reaches(client, here, targets).items():
                if got != (targets[ip] in allowed[client]):
                    wrong.append((client, targets[ip], ip, got))
        return wrong


ALLOWED = {
    "web": {"both", "web"},
    "client": {"web", "both", "page"},
    "db": {"both"},
    # What everybody may reach of web is its published target.
    "both": {"web", "db"},
    "page": {"lone", "web"},
    "lone": {"page", "web"},
}
ALLOWED["db"] |= {"web"}


@pytest.fixture(scope="module")
def policy(bootstrapped):
    bootstrapped.wipe()
    bootstrapped.stack(shop())
    bootstrapped.stack(BLOG, "blog")
    bootstrapped.deploy().ok()
    yield Matrix(bootstrapped)
    bootstrapped.stack(None, "blog")
    bootstrapped.wipe()


def test_networks_decide_on_the_same_host_and_across(policy):
    assert policy.rows(ALLOWED) == []


def test_again_changes_nothing(policy):
    assert policy.fleet.deploy().ok().changed == 0


def test_hosts_reach_every_task(policy):
    here, there = policy.fleet.nodes[:2]
    for service in ("web", "db", "lone"):
        for node in (here, there):
            policy.fleet.shell(here, f"curl -sfm3 -o /dev/null {policy.address(service, node)}:8080")


def test_published_ports_answer_everybody(policy):
    for node in policy.fleet.nodes:
        url = f"http://{policy.fleet.address(node)}:18090/"
        for _try in range(6):
            assert urllib.request.urlopen(url, timeout=3).status == 200
    here, there = policy.fleet.nodes[:2]
    published = [f"{policy.fleet.address(node)}:18090" for node in policy.fleet.nodes]
    for client in ("lone", "page"):
        for node in (here, there):
            for _try in range(3):
                assert all(policy.reaches(client, node, published).values()), (client, node)


def test_outside_reaches_no_task(policy):
    here, there = policy.fleet.nodes[:2]
    target = policy.address("lone", here)
    try:
        policy.fleet.shell(there, f"ip route add {target}/32 via {policy.fleet.address(here)}")
        source = f"--interface {policy.fleet.address(there)}"
        assert policy.fleet.shell(there, f"curl -sm2 {source} {target}:8080; echo $?", check=False) != "0"
    finally:
        policy.fleet.shell(there, f"ip route del {target}/32 via {policy.fleet.address(here)}")


def test_internal_networks_have_no_way_out(policy):
    here, there = policy.fleet.nodes[:2]
    outside = f"{policy.fleet.address(there)}:22"
    assert policy.reaches("db", here, [outside]) == {outside: False}
    for service in ("both", "lone"):
        assert policy.reaches(service, here, [outside]) == {outside: True}


def test_names_of_other_networks_still_resolve_and_are_refused(policy):
    here = policy.fleet.nodes[0]
    lone = policy.tasks[("lone", here)]["id"]
    assert policy.fleet.shell(here, f"docker exec {lone} getent hosts db.shop.svc.fleet")
    began = time.monotonic()
    answer = policy.fleet.shell(here, f"docker exec {lone} curl -sm5 db.shop.svc.fleet:8080; echo $?", check=False)
    assert answer.endswith("7")  # refused at once, no timeout
    assert time.monotonic() - began < 4


def test_leaving_a_network_cuts_flows_that_exist_and_restarts_nothing(policy):
    here, there = policy.fleet.nodes[:2]
    before = policy.fleet.containers()
    client = policy.tasks[("client", here)]["id"]
    flows = Flows(policy.fleet, here, client, [policy.address("page", node) for node in (here, there)])
    time.sleep(1)
    assert flows.said() == ["open", "open"]
    policy.fleet.stack(shop(""))
    policy.fleet.deploy().ok()
    time.sleep(1)
    for said in flows.said():
        assert "cut" in said
    assert policy.fleet.containers() == before
    assert policy.rows({**ALLOWED, "client": {"web", "both"}, "page": {"lone", "web"}}) == []
    policy.fleet.stack(shop())
    policy.fleet.deploy().ok()
    assert policy.rows(ALLOWED) == []


@pytest.mark.parametrize(
    "harm",
    ["nft delete table inet stowage", "nft flush chain inet stowage judged", "rm /var/lib/stowage/policy.nft"],
)
def test_a_lost_policy_is_drift_and_is_repaired(policy, harm):
    here = policy.fleet.nodes[0]
    policy.fleet.shell(here, harm)
    if "delete" in harm:  # fails closed: nobody in, not even who may
        assert policy.reaches("client", here, [policy.address("web", here)]) == {policy.address("web", here): False}
    if "rm" in harm:
        policy.fleet.shell(here, "/usr/local/lib/stowage/stowage-net")
        assert policy.reaches("client", here, [policy.address("both", here)]) == {policy.address("both", here): False}
    assert "endpoints" in policy.fleet.play("plan").ok().text
    policy.fleet.deploy().ok()
    assert policy.rows(ALLOWED) == []
    assert policy.fleet.shell(here, "/usr/local/lib/stowage/stowage-net --check") == ""


def test_a_restart_of_docker_and_of_the_network_keep_the_policy(policy):
    here = policy.fleet.nodes[0]
    policy.fleet.shell(here, "systemctl restart docker", timeout=120)
    end = time.monotonic() + 60
    while len(policy.fleet.containers()) < len(policy.tasks):
        assert time.monotonic() < end
        time.sleep(1)
    time.sleep(1)
    assert policy.fleet.shell(here, "nft delete table inet stowage; /usr/local/lib/stowage/stowage-net")
    assert policy.rows(ALLOWED) == []
