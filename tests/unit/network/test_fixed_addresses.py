"""Fixed addresses: what each host does for them, what they collide with, and how a task that has one moves."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network import bridges, converge, fixed, kernel
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate, base_table, model, policy_table
from ansible_collections.stowage.fleet.plugins.module_utils.network.blocks import fixed_bridge, fixed_network
from fake_fleet import FakeFleet, compiled
from fake_fleet import service as fake_service
from test_network_policy import nft_reads

NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2, 3)]
FLEET = {"network": {}, "nodes": NODES}
SUBNET = "10.5.0.0/24"


def service(name, ip="", subnet=SUBNET, gateway="10.5.0.1", network="shop_app"):
    address = {"address": {"ip": ip, "network": network, "subnet": subnet, "gateway": gateway}} if ip else {}
    return {"name": name, "stack": "shop", "networks": [{"name": network}], "template": address}


SERVICES = [service("shop_web", "10.5.0.10"), service("shop_db", "10.5.0.11"), service("shop_job")]
MEMBERS = [
    {"service": "shop_web", "ip": "10.5.0.10", "node": "n1"},
    {"service": "shop_db", "ip": "10.5.0.11", "node": "n2"},
    {"service": "shop_job", "ip": "10.128.3.2", "node": "n3"},
]


def test_a_host_has_the_bridge_of_what_is_here_and_routes_to_the_rest():
    assert fixed.parts(SERVICES, MEMBERS, "n1") == {
        "subnets": [SUBNET],
        "bridges": {fixed_bridge(SUBNET): "10.5.0.1/24"},
        "here": ["10.5.0.10"],
        "routes": {"10.5.0.11": "n2"},
    }
    third = fixed.parts(SERVICES, MEMBERS, "n3")
    assert (third["bridges"], third["routes"]) == ({}, {"10.5.0.10": "n1", "10.5.0.11": "n2"})
    assert fixed.parts([SERVICES[2]], MEMBERS, "n1") == {}


def test_names_fit_the_kernel_and_docker():
    assert len(fixed_bridge(SUBNET)) <= 15
    assert fixed_bridge(SUBNET) != fixed_bridge("10.5.0.0/25")
    assert fixed_network(SUBNET) == "stowage-10.5.0.0-24"


def test_the_policy_carries_them_and_nft_reads_it():
    made = model(SERVICES, MEMBERS)
    text = policy_table(made, "n1")
    assert converge.fixed(text) == {
        "bridges": {fixed_bridge(SUBNET): "10.5.0.1/24"},
        "routes": {"10.5.0.11": "n2"},
    }
    assert "elements = { 10.5.0.10 }" in text
    state = {**allocate({}, NODES, {}), "name": "n1"}
    nft_reads(base_table(state) + text)


def test_without_fixed_addresses_nothing_is_said():
    assert converge.fixed(policy_table(model([SERVICES[2]], MEMBERS[2:]), "n3")) == {}
    assert converge.fixed("") == {}


@pytest.mark.parametrize(
    ("services", "code", "words"),
    [
        ([service("a_x", "10.5.0.9"), service("b_y", "10.5.0.9")], "STW-ADDRESS", "a_x too"),
        ([service("a_x", "10.5.0.9"), service("b_y", "10.5.0.8", network="b_n")], "STW-ADDRESS", "is also that of"),
        ([service("a_x", "10.5.0.9"), service("b_y", "10.5.0.8", gateway="10.5.0.2")], "STW-ADDRESS", "gateway"),
        ([service("a_x", "10.5.0.9"), service("b_y", "10.5.0.8", "10.5.0.0/25")], "STW-ADDRESS", "overlaps"),
        ([service("a_x", "10.130.0.9", "10.130.0.0/24")], "STW-CIDR-OVERLAP", "10.128.0.0/12"),
        ([service("a_x", "192.0.2.9", "192.0.2.0/24")], "STW-CIDR-OVERLAP", "host n1"),
    ],
)
def test_collisions_are_found_before_hosts_are_asked(services, code, words):
    found = fixed.problems(services, FLEET)
    assert found
    assert {problem.code for problem in found} == {code}
    assert words in str(found[0])


def test_a_network_of_a_host_is_found_in_the_plan():
    seen = {"n2": {"networks": [{"cidr": "10.5.0.128/25", "device": "br-1", "what": "a network of device br-1"}]}}
    (found,) = fixed.problems(SERVICES, FLEET, seen)
    assert (found.code, found.place) == ("STW-CIDR-OVERLAP", "host n2")
    assert fixed.problems(SERVICES, FLEET, {"n2": {"networks": [{"cidr": "10.0.0.0/8", "what": "x"}]}}) != []
    assert fixed.problems(SERVICES, FLEET, {"n2": {"networks": [{"cidr": "10.6.0.0/24", "what": "x"}]}}) == []


def test_a_gratuitous_answer_is_one(monkeypatch):
    frames = []

    class Socket:
        def __init__(self, *_kind):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def bind(self, where):
            frames.append(where)

        def send(self, frame):
            frames.append(frame)

    held = {"family": "inet", "local": "10.5.0.1", "prefixlen": 24}
    other = {"family": "inet6", "local": "fe80::1", "prefixlen": 64}
    listing = json.dumps([{"ifname": "stw0ab", "address": "02:42:00:00:00:01", "addr_info": [held, other]}])
    monkeypatch.setattr(kernel, "run", lambda *_argv: listing)
    monkeypatch.setattr(bridges.socket, "socket", Socket)
    converge.announce(["10.5.0.10", "10.6.0.1"])
    assert frames[0] == ("stw0ab", 0)
    mac, ip = "024200000001", "0a05000a"
    assert frames[1].hex() == "ffffffffffff" + mac + "08060001080006040002" + mac + ip + "ffffffffffff" + ip
    assert len(frames) == 2


def web(node, **more):
    made = fake_service("web", update={"order": "stop-first"}, **more)
    made["template"]["address"] = {"ip": "10.5.0.10", "network": "shop_app", "subnet": SUBNET, "gateway": "10.5.0.1"}
    made["placement"]["constraints"] = [f"node.hostname == {node}"]
    return made


def phases(plan):
    return [(step["phase"], sorted(step["hosts"])) for step in plan["steps"]]


def test_a_task_keeps_its_address_where_it_goes_and_the_old_one_stops_first():
    fleet = FakeFleet()
    plan = fleet.plan(compiled(web("n1")))
    assert [change["ip"] for change in plan["changes"]] == ["10.5.0.10"]
    fleet.apply(plan)
    assert fleet.plan(compiled(web("n1")))["steps"] == []
    moved = fleet.plan(compiled(web("n3")))
    assert [(c["change"], c["ip"]) for c in moved["changes"]] == [("move", "10.5.0.10")]
    assert [phase for phase, _hosts in phases(moved)] == [
        "prepare",
        "endpoints",
        "stop",
        "start",
        "endpoints",
        "remove",
    ]
    fleet.apply(moved)
    assert fleet.plan(compiled(web("n3")))["steps"] == []


def test_an_address_that_another_service_holds_is_refused():
    fleet = FakeFleet()
    fleet.apply(fleet.plan(compiled(web("n1"))))
    other = {**web("n2"), "name": "shop_www", "short": "www"}
    with pytest.raises(StowageError) as caught:
        fleet.plan(compiled(other))
    (problem,) = caught.value.problems
    assert problem.code == "STW-ADDRESS"
    assert "still held by shop_web.1" in problem.reason
