# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Members of a group that keep apart: seated all at once, they are where each one alone would be."""

import json
import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import affinity, cliques, schedule
from schedule_validator import violations

RACKS = 6


def fleet(domain, seed):
    """Hosts in racks; groups of services that keep apart by host or rack, running wherever chance put them."""
    chance = random.Random(seed)
    nodes = [
        {"name": f"n{at:02}", "labels": {"rack": f"r{at % RACKS}"} if at else {}, "capacity": {"cpus": 4}}
        for at in range(18)
    ]
    services = [
        {
            "name": f"s{group}-{at}",
            "replicas": chance.choice((1, 1, 2)),
            "reservations": {"cpus": 0.25},
            "groups": [f"g{group}"],
            "affinities": [{"group": f"g{group}", "anti": True, "required": True, "domain": domain}],
        }
        for group in range(6)
        for at in range(3)
    ]
    current = [
        {"service": one["name"], "slot": slot, "node": chance.choice(nodes)["name"]}
        for one in services
        for slot in range(1, one["replicas"] + 1)
        if chance.random() < 0.9
    ]
    return nodes, services, current


@pytest.mark.parametrize("domain", ["node.hostname", "node.labels.rack"])
@pytest.mark.parametrize("seed", range(6))
def test_members_of_a_group_are_where_each_alone_would_be(domain, seed, monkeypatch):
    nodes, services, current = fleet(domain, seed)
    asked = []
    apart = cliques.Cliques.apart
    monkeypatch.setattr(cliques.Cliques, "apart", lambda *given: asked.append(apart(*given)) or asked[-1])
    together = schedule(nodes, services, current)
    assert None in asked
    assert any(found is not None for found in asked)
    assert violations(nodes, services, current, {}, together) == []
    monkeypatch.setattr(cliques.Cliques, "of", lambda *_given: None)
    assert json.dumps(together) == json.dumps(schedule(nodes, services, current))


def test_a_member_that_somebody_else_keeps_away_from_is_looked_at_alone(monkeypatch):
    nodes, services, current = fleet("node.hostname", 1)
    services.append({"name": "shy", "affinities": [{"service": "s0-0", "anti": True, "required": True}]})
    found = {}
    of = cliques.Cliques.of
    monkeypatch.setattr(
        cliques.Cliques,
        "of",
        lambda self, service: found.setdefault(service.name, of(self, service)) and of(self, service),
    )
    schedule(nodes, services, current)
    assert found["s0-0"] is found["s0-1"] is None
    assert found["s1-0"] is not None
    assert affinity.HOST in found["s1-0"].taken
