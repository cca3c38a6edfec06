"""Published ports: what else has the port is named; a task that is alone may meet itself."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network import hairpin
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import service_table
from ansible_collections.stowage.fleet.plugins.module_utils.network.published import conflicts


def service(name, *ports, mode="ingress"):
    return {"name": name, "ports": [{"target": 80, "mode": mode, **port} for port in ports]}


def host(*ports, running=()):
    foreign = [{"ip": ip, "port": port, "protocol": protocol} for ip, port, protocol in ports]
    return {"foreign": {"ports": foreign}, "containers": [{"service": name} for name in running]}


WEB = service("shop_web", {"published": 8080, "protocol": "tcp"})


@pytest.mark.parametrize(
    ("services", "hosts", "said"),
    [
        ([WEB], {"n1": host(("0.0.0.0", 9090, "tcp"), ("::", 8080, "udp"))}, ""),
        ([WEB, service("blog_web", {"published": 8080})], {}, "service shop_web: publishes 8080/tcp, as blog_web does"),
        ([WEB, service("blog_web", {"published": 8080, "protocol": "udp"})], {}, ""),
        (
            [WEB, service("blog", {"published": 8080}, mode="host")],
            {},
            "service blog: publishes 8080/tcp, on its own hosts",
        ),
        (
            [WEB, service("blog", {"published": 8000, "published_end": 8080}, mode="host")],
            {},
            "service blog: publishes",
        ),
        ([WEB], {"n1": host(), "n2": host(("127.0.0.1", 8080, "tcp"))}, "but host n2 listens there ('127.0.0.1')"),
        ([service("a", {"published": 0})], {"n1": host(("::", 0, "tcp"))}, ""),
    ],
)
def test_conflicts(services, hosts, said):
    problems, warnings = conflicts(services, hosts)
    assert warnings == []
    assert len(problems) == bool(said)
    assert said in "".join(f"{problem.place}: {problem.reason}" for problem in problems)


def test_what_began_to_listen_beside_a_running_service_stops_no_deploy():
    problems, (warning,) = conflicts([WEB], {"n1": host(("::", 8080, "tcp")), "n2": host(running=["shop_web"])})
    assert problems == []
    assert "shop_web publishes 8080/tcp, but host n1 listens there" in warning


def test_the_script_says_where_a_task_may_meet_itself():
    tasks = [{"service": "shop_web", "slot": n, "node": f"n{n}", "ip": f"10.128.{n}.2"} for n in (1, 2)]
    texts = {name: service_table([WEB], tasks[:1], {"name": name}) for name in ("n1", "n2")}
    assert texts["n1"] == hairpin.MARK + texts["n2"]
    assert not service_table([WEB], tasks, {"name": "n1"}).startswith(hairpin.MARK)


def test_only_ports_of_our_bridges_are_changed(monkeypatch):
    def link(name, master, on):
        return {"ifname": name, "master": master, "linkinfo": {"info_slave_data": {"hairpin": on}}}

    links = [
        link("v1", "stw0", False),
        link("v2", "stw0", True),
        link("v3", "docker0", False),
        link("v4", "stw0ab", False),
    ]
    told = []

    def run(*command):
        if command[:2] == ("ip", "link"):
            told.append(command[4])
        return json.dumps(links)

    monkeypatch.setattr(hairpin, "run", run)
    monkeypatch.setattr(hairpin, "read", lambda *_command: links)
    assert hairpin.reflect("table ip stowage_ports {}") == []
    assert hairpin.reflect(f"{hairpin.MARK}table") == told == ["v1", "v4"]
