"""Laws that hold for any input, judged by the validator."""

from __future__ import annotations

import copy
import json
import random

from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from hypothesis import given
from hypothesis import strategies as st
from schedule_strategies import shuffled
from schedule_validator import violations

NODES = ["n1", "n2", "n3", "n4", "n5", "n6"]
GIB = 2**30
CONSTRAINTS = [
    "node.labels.disk == ssd",
    "node.labels.disk != SSD",
    "node.labels.zone!=b",
    "node.hostname != n1",
    "node.ip == 10.0.0.0/30",
    "node.platform.arch == amd64",
    "node.role == worker",
]
SPREADS = ["node.labels.zone", "node.labels.disk", "node.hostname"]
PORTS = [80, {"published": 80, "host_ip": "127.0.0.1"}, {"published": 53, "protocol": "udp"}, {"published": 8080}]


@st.composite
def node(draw, name):
    return {
        "name": name,
        "labels": draw(st.dictionaries(st.sampled_from(["zone", "disk"]), st.sampled_from(["a", "b", "ssd"]))),
        "availability": draw(st.sampled_from(["active", "active", "active", "pause", "drain"])),
        "platform": draw(st.sampled_from([{}, {"os": "linux", "arch": "x86_64"}])),
        "ip": f"10.0.0.{name[1:]}",
        "capacity": draw(
            st.fixed_dictionaries(
                {"cpus": st.sampled_from([0.3, 1, 2.5, 8])},
                optional={"memory": st.integers(0, 4 * GIB), "gpu": st.integers(0, 2)},
            )
        ),
        "reserved": draw(st.sampled_from([{}, {"cpus": 0.2}, {"cpus": 0.1, "memory": GIB}])),
        "ports": draw(st.lists(st.sampled_from(PORTS), max_size=1)),
        "volumes": draw(st.lists(st.sampled_from(["v1", "v2"]), max_size=1)),
        "unknown": draw(st.sampled_from([False, False, False, True])),
    }


@st.composite
def service(draw, name):
    return {
        "name": name,
        "mode": draw(st.sampled_from(["replicated", "replicated", "replicated", "replicated-job", "global"])),
        "replicas": draw(st.integers(0, 7)),
        "reservations": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "cpus": st.sampled_from([0.1, 0.3, 1]),
                    "memory": st.sampled_from([GIB // 3, GIB]),
                    "gpu": st.just(1),
                },
            )
        ),
        "ports": draw(st.lists(st.sampled_from(PORTS), max_size=1)),
        "constraints": draw(st.lists(st.sampled_from(CONSTRAINTS), max_size=2)),
        "preferences": [{"spread": key} for key in draw(st.lists(st.sampled_from(SPREADS), max_size=2))],
        "max_replicas_per_node": draw(st.sampled_from([0, 0, 0, 1, 2])),
        "volumes": draw(st.lists(st.sampled_from(["v1", "v2", "v3", "v4"]), max_size=2)),
        "strategy": draw(st.sampled_from(["spread", "spread", "binpack", "round_robin"])),
        "hosts": draw(st.sampled_from([[], [], [], ["n1"], ["n2", "n3"]])),
    }


@st.composite
def fleets(draw):
    count = draw(st.integers(3, 6))
    nodes = [draw(node(name)) for name in NODES[:count]]
    services = [draw(service(name)) for name in ["web", "api", "db"][: draw(st.integers(1, 3))]]
    places = st.sampled_from([*NODES[:count], "gone"])
    current = []
    for one in [*services, {"name": "old", "mode": "replicated"}]:
        everywhere = one["mode"] == "global"
        for slot in draw(st.lists(places if everywhere else st.integers(1, 8), unique=True, max_size=5)):
            where = [slot] if everywhere else draw(st.lists(places, min_size=1, max_size=2, unique=True))
            current += [{"service": one["name"], "slot": slot, "node": name} for name in where]
    options = draw(st.sampled_from([{}, {"assume_lost": ["n1"]}, {"unknown_missing": "place"}]))
    return nodes, services, current, options


def text(result):
    return json.dumps(result)


@given(fleets())
def test_no_rule_is_broken(fleet):
    nodes, services, current, options = fleet
    before = copy.deepcopy(fleet)
    result = schedule(nodes, services, current, options)
    assert violations(nodes, services, current, options, result) == []
    assert fleet == before, "an argument was changed"


@given(fleets())
def test_what_is_placed_stays(fleet):
    nodes, services, current, options = fleet
    first = schedule(nodes, services, current, options)
    again = schedule(nodes, services, first["placements"], options)
    assert again["moves"] == []
    kept = {(p["service"], p["slot"], p["node"]) for p in again["placements"]}
    assert {(p["service"], p["slot"], p["node"]) for p in first["placements"]} <= kept


@given(fleets())
def test_without_unknown_hosts_the_second_plan_is_the_first(fleet):
    nodes, services, current, _options = fleet
    current = [entry for entry in current if entry["node"] != "gone"]
    mounted = {one["name"]: one["volumes"] for one in services}
    for one in nodes:
        one["unknown"] = False
        here = [entry["service"] for entry in current if entry["node"] == one["name"]]
        one["volumes"] = sorted({*one["volumes"], *(name for key in here for name in mounted.get(key, ()))})
    first = schedule(nodes, services, current)
    again = schedule(nodes, services, first["placements"])
    assert again["placements"] == first["placements"]
    slots = [[(u["service"], u["slot"], u["rejected"]) for u in one["unplaced"]] for one in (first, again)]
    assert slots[0] == slots[1]


@given(fleets(), st.integers(0, 2**32))
def test_order_never_matters(fleet, seed):
    chaos = random.Random(seed)
    nodes, services, current, options = fleet
    reference = text(schedule(nodes, services, current, options))
    assert text(schedule(*(shuffled(part, chaos) for part in fleet))) == reference


@given(fleets())
def test_with_moves_off_nothing_on_a_host_moves(fleet):
    nodes, services, current, options = fleet
    result = schedule(nodes, services, current, {**options, "allow_moves": False})
    lost = {n["name"] for n in nodes if n["unknown"] and n["name"] in options.get("assume_lost", ())}
    reachable = {n["name"] for n in nodes} - lost
    assert [m for m in result["moves"] if m["to"] is not None and m["from"] in reachable] == []


@given(fleets())
def test_adding_an_empty_host_unplaces_nothing(fleet):
    nodes, services, current, options = fleet
    first = schedule(nodes, services, current, options)
    more = [*nodes, {"name": "n9", "capacity": {"cpus": 64, "gpu": 8}}]
    again = schedule(more, services, first["placements"], options)
    kept = {(p["service"], p["slot"], p["node"]) for p in again["placements"]}
    assert {(p["service"], p["slot"], p["node"]) for p in first["placements"]} <= kept
