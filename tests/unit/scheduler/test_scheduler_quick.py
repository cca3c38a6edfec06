# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The quick ways give just what the slow ones give: seating whole services, reading services without a closer look."""

from __future__ import annotations

import copy
import json
import random
import sys
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import reading, schedule
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.reading import read
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.seats import Seats
from schedule_validator import violations

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench" / "scheduler"))
import fleet


def same(nodes, current, _chance):
    return nodes, current


def lost(nodes, current, chance):
    gone = {node["name"] for node in chance.sample(nodes, 3)}
    return [node for node in nodes if node["name"] not in gone], current


def odd(nodes, current, chance):
    for node, change in zip(
        chance.sample(nodes, 5),
        ({"availability": "drain"}, {"unknown": True}, {"taints": ["x:NoExecute"]}, {"labels": {}}, {"capacity": {}}),
    ):
        node.update(change)
    return nodes, current


def astray(nodes, current, chance):
    names = [node["name"] for node in nodes]
    moved = [{**one, "node": chance.choice(names)} if one["service"] != "watch" else one for one in current[::9]]
    return nodes, [one for at, one in enumerate(current) if at % 9] + moved


def crowded(nodes, current, chance):
    for node in chance.sample(nodes, 5):
        node["capacity"]["memory"] //= 3
    return nodes, current


def bound(nodes, current, _chance):
    for node in nodes[::2]:
        node["ports"] = [{"port": 8000 + at, "ip": "", "protocol": "tcp"} for at in range(0, 60, 2)]
    return nodes, current


@pytest.mark.parametrize("change", [same, lost, odd, astray, crowded, bound])
def test_services_seated_whole_are_where_each_replica_alone_would_be(change, monkeypatch):
    nodes, services = fleet.make(50, 500, 0.8)
    current = schedule(nodes, services)["placements"]
    nodes, current = change(copy.deepcopy(nodes), current, random.Random(change.__name__))
    seated = []
    whole = Seats.whole
    monkeypatch.setattr(Seats, "whole", lambda *given: seated.append(whole(*given)) or seated[-1])
    quick = schedule(nodes, services, current)
    assert any(seated)
    assert violations(nodes, services, current, {}, quick) == []
    monkeypatch.setattr(Seats, "whole", lambda *_given: False)
    assert json.dumps(quick) == json.dumps(schedule(nodes, services, current))


PLAIN = {
    "name": "web",
    "replicas": 2,
    "reservations": {"cpus": 0.5, "memory": 1024},
    "ports": [{"published": 80, "protocol": "tcp"}],
    "constraints": ["node.role == worker", "node.hostname:UNIQUE"],
    "preferences": [{"spread": "node.labels.zone", "max_skew": 1}],
    "max_replicas_per_node": 1,
    "affinities": [{"service": "db", "weight": 3}],
    "volumes": ["v", {"name": "w", "class": "fast", "size": 5}],
    "strategy": "binpack",
    "groups": ["b", "a", "b"],
    "tolerations": ["a=b"],
    "priority": 3,
}
COMPILED = {  # what a deployment hands over: every key, most of them empty
    "name": "web",
    "mode": "replicated",
    "replicas": 2,
    "reservations": {},
    "ports": [{"published": 80, "protocol": "tcp", "mode": "host", "host_ip": None}],
    "constraints": [],
    "preferences": [],
    "max_replicas_per_node": 0,
    "strategy": "spread",
    "hosts": [],
    "volumes": [],
}
ODD = [None, True, -1, 0, 1.5, float("nan"), "", " ", "x", [], [None], [""], ["x"], [{}], [{"a": 1}], {}, {"cpus": "1"}]


@pytest.mark.parametrize("key", [*PLAIN, "mode", "hosts"])
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_service_read_quickly_is_what_the_closer_look_gives(key, value, monkeypatch):
    nodes = [{"name": "n1", "labels": {"zone": "a"}, "storage": {"fast": 10}}]

    def outcome(service):
        try:
            found = read(nodes, [service, {"name": "db"}], [], None)
            return repr((found.dimensions, found.services, found.warnings))
        except StowageError as error:
            return error.problems

    services = [PLAIN, {**PLAIN, key: value}, {"name": "web", key: value}, {**COMPILED, key: value}]
    quick = [outcome(service) for service in services]
    assert None not in reading.quick_services([PLAIN, COMPILED])
    monkeypatch.setattr(reading, "quick_services", lambda values: [None] * len(values))
    assert quick == [outcome(service) for service in services]
