"""Who may reach a service, by x-stowage.allow and sources, on real hosts: allowed, refused, cut, and foretold."""

from __future__ import annotations

import json
import os
import time
import urllib.request

import pytest
from flows import Flows

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="make test-network runs it"),
]
SERVE = "[sh, -c, 'python3 -m http.server 8081 & exec python3 -m http.server 8080']"
# Each of these has a task on every host.
SHOP = f"""
x-common: &common
  image: stowage/tools:1
  command: {SERVE}
  deploy: {{mode: global}}
services:
  web: {{<<: *common}}
  job: {{<<: *common}}
  db:
    <<: *common
    x-stowage: {{allow: [ALLOW {{from: blog_page}}]}}
  edge:
    <<: *common
    ports: [{{target: 8080, published: 18096}}, {{target: 8081, published: 18097, mode: host}}]
    x-stowage: {{sources: [SOURCE]}}
"""
BLOG = f"""
services:
  page:
    image: stowage/tools:1
    command: {SERVE}
    deploy: {{mode: global}}
  lone:
    image: stowage/tools:1
    command: {SERVE}
    deploy: {{mode: global}}
"""
WEB = "{from: web, ports: [8080/tcp]},"
LOOK = """python3 -c "
import json, socket, sys
found = {}
for target in sys.argv[1:]:
    ip, _, port = target.partition(':')
    try:
        socket.create_connection((ip, int(port)), 2).close()
        found[target] = True
    except OSError:
        found[target] = False
print(json.dumps(found))
" """


class Policy:
    """The two stacks on their hosts."""

    def __init__(self, fleet):
        self.fleet = fleet
        # The machine of the tests is outside of the fleet; the lab's network gives it this address.
        self.source = fleet.address(fleet.nodes[0]).rpartition(".")[0] + ".1"

    def stack(self, allow=WEB, source=None):
        self.fleet.stack(SHOP.replace("ALLOW", allow).replace("SOURCE", source or self.source))

    def deploy(self):
        run = self.fleet.deploy().ok()
        self.tasks = {(c["service"].partition("_")[2], c["node"]): c for c in self.fleet.containers()}
        return run

    def reaches(self, service, node, targets):
        """{address:port: whether a task of the service on the node connects}."""
        command = f"docker exec {self.tasks[(service, node)]['id']} {LOOK} {' '.join(targets)}"
        return json.loads(self.fleet.shell(node, command))

    def wrong(self, allowed):
        """Every (client, port, server) on the same and on another host that is not as {client: ports of db} says."""
        here, there = self.fleet.nodes[:2]
        found = []
        for client in ("web", "job", "page", "lone"):
            wanted = {
                f"{self.tasks[('db', node)]['ip']}:{port}": port in allowed.get(client, ())
                for node in (here, there)
                for port in (8080, 8081)
            }
            got = self.reaches(client, here, wanted)
            found += [(client, target, got[target]) for target in wanted if got[target] != wanted[target]]
        return found

    def published(self, port):
        """Whether the machine of the tests is answered by every host."""
        found = []
        for node in self.fleet.nodes:
            try:
                found.append(
                    urllib.request.urlopen(f"http://{self.fleet.address(node)}:{port}/", timeout=3).status == 200
                )
            except OSError:
                found.append(False)
        return found


@pytest.fixture(scope="module")
def policy(bootstrapped):
    bootstrapped.wipe()
    made = Policy(bootstrapped)
    made.stack()
    bootstrapped.stack(BLOG, "blog")
    plan = bootstrapped.play("plan").ok().text
    assert "reach + shop_db from shop_web: 8080/tcp" in plan
    assert "reach + shop_db from blog_page: all ports" in plan
    assert f"reach + shop_edge from {made.source}/32: 8080/tcp, 8081/tcp" in plan
    made.deploy()
    yield made
    bootstrapped.stack(None, "blog")
    bootstrapped.wipe()


ALLOWED = {"web": (8080,), "page": (8080, 8081)}


def test_only_who_is_allowed_on_the_same_host_and_across(policy):
    assert policy.wrong(ALLOWED) == []
    here, there = policy.fleet.nodes[:2]
    for node in (here, there):  # hosts reach every task; what says nothing is open within its network
        policy.fleet.shell(here, f"curl -sfm3 -o /dev/null {policy.tasks[('db', node)]['ip']}:8081")
    targets = [f"{policy.tasks[('job', node)]['ip']}:8080" for node in (here, there)]
    assert all(policy.reaches("web", here, targets).values())
    assert not any(policy.reaches("lone", here, targets).values())


def test_again_changes_nothing_and_says_nothing(policy):
    run = policy.fleet.deploy().ok()
    assert run.changed == 0
    assert "  reach " not in run.text


def test_outside_reaches_published_ports_from_its_sources_only(policy):
    here, there = policy.fleet.nodes[:2]
    for port in (18096, 18097):
        assert policy.published(port) == [True] * len(policy.fleet.nodes)
        url = f"http://{policy.fleet.address(here)}:{port}/"
        assert policy.fleet.shell(there, f"curl -sm3 -o /dev/null {url}; echo $?", check=False) != "0"
    # Who shares its network reaches it all the same.
    targets = [f"{policy.tasks[('edge', node)]['ip']}:8080" for node in (here, there)]
    assert all(policy.reaches("web", here, targets).values())
    assert not any(policy.reaches("lone", here, targets).values())
    policy.stack(source="192.0.2.0/24")
    plan = policy.fleet.play("plan").ok().text
    assert f"reach - shop_edge from {policy.source}/32: 8080/tcp, 8081/tcp no more" in plan
    policy.deploy()
    for port in (18096, 18097):
        assert policy.published(port) == [False] * len(policy.fleet.nodes)
    policy.stack()
    policy.deploy()
    assert policy.published(18096) == [True] * len(policy.fleet.nodes)


def test_taking_it_back_is_foretold_cuts_at_once_and_restarts_nothing(policy):
    here, there = policy.fleet.nodes[:2]
    before = policy.fleet.containers()
    web = policy.tasks[("web", here)]["id"]
    flows = Flows(policy.fleet, here, web, [policy.tasks[("db", node)]["ip"] for node in (here, there)])
    time.sleep(2)
    assert flows.said() == ["open", "open"]
    policy.stack("")
    assert "reach - shop_db from shop_web: 8080/tcp no more" in policy.fleet.play("plan").ok().text
    assert policy.wrong(ALLOWED) == []  # a plan changes nothing
    policy.deploy()
    time.sleep(1)
    for said, node in zip(flows.said(), (here, there)):
        cut = float(said.split()[-1])
        stated = float(policy.fleet.shell(node, "stat -c %.Y /var/lib/stowage/policy.nft"))
        print(f"cut {cut - stated:+.2f} s after {node} had its policy")
        assert cut - stated < 1
    assert policy.fleet.containers() == before
    assert policy.wrong({"page": (8080, 8081)}) == []
    policy.stack()
    assert "reach + shop_db from shop_web: 8080/tcp" in policy.fleet.play("plan").ok().text
    policy.deploy()
    assert policy.wrong(ALLOWED) == []


def test_a_service_that_is_not_there_is_one_error_and_nothing_is_touched(policy):
    policy.stack("{from: blog_pag},")
    run = policy.fleet.deploy()
    assert run.rc != 0
    assert run.text.count("STW-ALLOW service shop_db: x-stowage.allow names 'blog_pag'") >= 1
    assert "did you mean blog_page" in run.text
    assert policy.wrong(ALLOWED) == []
    policy.stack()
    assert policy.fleet.deploy().ok().changed == 0
