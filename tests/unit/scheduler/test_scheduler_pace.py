# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is done at once or in a shorter way gives just what the long way gives."""

from __future__ import annotations

import random
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import near, pools, reading_current, schedule
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.constraints import column
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.domains import Domains
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.grammar import parse
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.model import NANO, SHARE, Node
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.ports import HostPorts, Port
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.reader import Reader, written
from hypothesis import given
from hypothesis import strategies as some
from schedule_validator import violations

PORTS = some.builds(
    Port, some.sampled_from(["", "10.0.0.1", "10.0.0.2"]), some.integers(80, 83), some.sampled_from(["tcp", "udp"])
)


@given(some.floats(0, 10**6), some.sampled_from([NANO, SHARE]))
def test_an_amount_is_what_is_written_not_what_its_binary_form_comes_to(value, unit):
    long_way = int((Decimal(repr(value)) * unit).to_integral_value(ROUND_HALF_EVEN))
    assert written(value, unit) == long_way


@given(some.integers(0, 10**15 - 1))
def test_an_amount_with_nine_digits_after_the_point_is_exact(billionths):
    assert written(float(Decimal(billionths) / NANO), NANO) == billionths


@given(some.lists(PORTS, max_size=12), PORTS)
def test_a_host_tells_of_a_bound_port_whether_or_not_its_ports_are_sorted_out(bound, asked):
    node = Node("n1")
    node.bind(tuple(bound))
    assert node.takes(asked) is HostPorts(bound).takes(asked)
    assert "ports" not in node.__dict__ or len(bound) > 8


@pytest.mark.parametrize("changed", [1, 30, 300])
def test_a_pool_gives_the_least_loaded_however_many_changed(changed):
    chance = random.Random(changed)
    nodes = [Node(f"n{at}") for at in range(300)]
    for at, node in enumerate(nodes):
        node.index, node.share = at, chance.randrange(1000)
    pool = pools.Pool(nodes, nodes, pools.by_share)
    for _round in range(5):
        for node in chance.sample(nodes, changed):
            node.share += chance.randrange(500)
        least = sorted(nodes, key=lambda node: (node.share, node.index))
        assert pool.least(20, lambda _node: True) == least[:20]


def test_facts_that_lie_flat_and_those_that_do_not_read_alike():
    nodes = [Node("n1"), Node("n2"), Node("n3")]
    for node, facts in zip(nodes, ({"a.b": "x", "c": "1"}, {"a": {"b": "y"}, "c": "2"}, {"a": {"b": 3}, "c": "3"})):
        node.facts = facts
    assert column("node.facts.a.b", nodes) == ["x", "y", "3"]
    assert column("node.facts.c", nodes) == ["1", "2", "3"]
    assert column("node.facts.a", nodes) == [None, "", ""]


def test_a_key_that_only_the_last_host_has_is_not_doubted():
    nodes = [Node(f"n{at}") for at in range(3)]
    nodes[-1].labels, nodes[-1].facts = {"disk": "ssd"}, {"gpu": {"model": "t4"}}
    texts = ("node.labels.disk exists", "node.facts.gpu.model exists", "node.labels.dsk exists")
    rules = [parse(text, "", []) for text in texts]
    told = near.doubts(rules, Domains(nodes))
    assert list(told) == [rules[2]]
    assert "near: disk" in told[rules[2]][0]


def test_services_that_bind_ports_share_no_host_with_what_binds_the_same():
    nodes = [
        {"name": f"n{at:03}", "ports": [{"port": 80, "ip": "", "protocol": "tcp"}] if at % 2 else []}
        for at in range(200)
    ]
    services = [
        {"name": "web", "replicas": 70, "reservations": {"cpus": 1, "memory": 1}, "ports": [{"published": 80}]},
        {"name": "api", "replicas": 30, "reservations": {"cpus": 1, "memory": 1}, "ports": [{"published": 80}]},
        {"name": "udp", "replicas": 9, "ports": [{"published": 80, "protocol": "udp"}, {"published": 81}]},
    ]
    result = schedule(nodes, services)
    hosts = {name: {one["node"] for one in result["placements"] if one["service"] == name} for name in ("web", "api")}
    assert not result["unplaced"]
    assert not hosts["web"] & hosts["api"]
    assert all(int(host[1:]) % 2 == 0 for host in hosts["web"] | hosts["api"])
    assert schedule(nodes, services, result["placements"])["moves"] == []


HELD = [
    {"gpu": {"gpu-0": 1}},
    {"gpu": {"gpu-0": 0.25, "gpu-1": 1.0}, "nic": {"a": 1}},
    {"gpu": {}},
    {},
    None,
    [],
    {"gpu": {"gpu-0": 0}},
    {"gpu": {"gpu-0": 2}},
    {"gpu": {"gpu-0": True}},
    {"gpu": {"gpu-0": 1e-9}},
    {"gpu": {"gpu-0": float("nan")}},
    {"gpu": {"gpu-0": "1"}},
    {"gpu": {1: 1}},
    {"gpu": None},
    {"cpus": {"a": 1}},
    {1: {"a": 1}},
]
RANGES = [
    {"8000-8010/tcp": 8003},
    {"127.0.0.1:8000-8010/udp": 8010, "9000-9001/tcp": 9000},
    {},
    None,
    [],
    {"8000-8010/tcp": 8011},
    {"8000-8010/tcp": True},
    {"8000-8010/tcp": "8000"},
    {"8000-8010/tcp": 8000.0},
    {"0-8010/tcp": 0},
    {"8000-99999/tcp": 70000},
    {"8000/tcp": 8000},
    {80: 80},
]


@pytest.mark.parametrize("more", [*({"devices": one} for one in HELD), *({"ports": one} for one in RANGES)], ids=repr)
def test_what_a_replica_holds_reads_as_the_closer_look_gives_it(more, monkeypatch):
    entries = [{"service": "web", "slot": 1, "node": "n1", **more}]

    def outcome():
        reader = Reader()
        found = reading_current.read_current(reader, entries, {})
        return [*found], reader.problems

    quick = outcome()
    monkeypatch.setattr(reading_current, "_quick", lambda *_all: None)
    assert quick == outcome()


@pytest.mark.parametrize("seed", range(3))
def test_ports_that_several_want_are_bound_once_on_a_host(seed):
    chance = random.Random(seed)
    nodes = [{"name": f"n{at:03}", "capacity": {"cpus": 8, "memory": 1 << 33}} for at in range(150)]
    services = [
        {
            "name": f"s{at:02}",
            "replicas": chance.randrange(1, 40),
            "reservations": {"cpus": 0.1, "memory": 1 << 20},
            "ports": [{"published": chance.randrange(8000, 8006)}, {"published": 9000 + at, "protocol": "udp"}]
            if at % 4
            else [{"published": 8004, "published_end": 8008}],
            "priority": chance.choice([0, 5]),
        }
        for at in range(12)
    ]
    result = schedule(nodes, services)
    assert violations(nodes, services, [], {}, result) == []
    again = schedule(nodes, services, result["placements"])
    assert again["moves"] == []
