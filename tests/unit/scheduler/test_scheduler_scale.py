"""A large fleet, judged by the validator. Figures belong to the benches."""

from __future__ import annotations

import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from schedule_validator import violations


def fleet(hosts, services, replicas):
    """Hosts of three sizes in ten zones, a third with an SSD; services with all kinds of rules. Seeded."""
    chance = random.Random(7)
    nodes = [
        {
            "name": f"n{at:05}",
            "labels": {"zone": f"z{at % 10}", **({"disk": "ssd"} if at % 3 == 0 else {})},
            "capacity": {"cpus": chance.choice([8, 16, 32]), "memory": chance.choice([32, 64, 128]) << 30},
        }
        for at in range(hosts)
    ]
    wanted = [
        {
            "name": f"s{at}",
            "replicas": replicas,
            "reservations": {
                "cpus": chance.choice([0.1, 0.25, 0.5, 1]),
                "memory": chance.choice([128, 512, 2048]) << 20,
            },
            "constraints": ["node.labels.disk == ssd"] if chance.random() < 0.2 else [],
            "preferences": [{"spread": "node.labels.zone"}] if chance.random() < 0.3 else [],
            "ports": [8000 + at] if chance.random() < 0.1 else [],
            "max_replicas_per_node": 1 if chance.random() < 0.1 else 0,
        }
        for at in range(services)
    ]
    return nodes, wanted


@pytest.mark.slow
def test_a_thousand_hosts_and_ten_thousand_replicas():
    nodes, services = fleet(1000, 400, 25)
    result = schedule(nodes, services, [], {})
    assert len(result["placements"]) == 10_000
    assert violations(nodes, services, [], {}, result) == []
    again = schedule(nodes, services, result["placements"], {})
    assert again["placements"] == result["placements"]
    assert again["moves"] == []


def test_a_lost_host_moves_only_its_own_replicas():
    nodes, services = fleet(60, 30, 20)
    first = schedule(nodes, services, [], {})
    lost = {(p["service"], p["slot"]) for p in first["placements"] if p["node"] == "n00007"}
    again = schedule([n for n in nodes if n["name"] != "n00007"], services, first["placements"], {})
    assert lost
    assert {(m["service"], m["slot"]) for m in again["moves"]} == lost
    assert {m["cause"] for m in again["moves"]} == {"gone"}


def test_zones_are_even():
    nodes, services = fleet(60, 30, 20)
    zone = {node["name"]: node["labels"]["zone"] for node in nodes}
    result = schedule(nodes, services, [], {})
    for service in services:
        if service["preferences"] and not service["constraints"]:
            counts = dict.fromkeys(zone.values(), 0)
            for one in result["placements"]:
                if one["service"] == service["name"]:
                    counts[zone[one["node"]]] += 1
            assert max(counts.values()) - min(counts.values()) <= 1
