"""Nested spreads, as wishes and as rules, in every mix: where nothing is in the way each level is even."""

from collections import Counter

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule

ZONE, RACK = "node.labels.zone", "node.labels.rack"


def fleet(zones, racks, hosts):
    places = [(zone, rack, host) for zone in range(zones) for rack in range(racks) for host in range(hosts)]
    return [{"name": f"n{z}-{r}-{h}", "labels": {"zone": f"z{z}", "rack": f"z{z}r{r}"}} for z, r, h in places]


def skews(nodes, placements):
    """(most - least) replicas of the zones, of the racks, and of the racks within each zone."""
    labels = {node["name"]: node["labels"] for node in nodes}
    zones = Counter({node["labels"]["zone"]: 0 for node in nodes})
    racks = Counter({node["labels"]["rack"]: 0 for node in nodes})
    for one in placements:
        zones[labels[one["node"]]["zone"]] += 1
        racks[labels[one["node"]]["rack"]] += 1
    within = [[count for rack, count in racks.items() if rack.startswith(zone)] for zone in zones]
    return (
        max(zones.values()) - min(zones.values()),
        max(racks.values()) - min(racks.values()),
        max(max(counts) - min(counts) for counts in within),
    )


@pytest.mark.parametrize("hard", [(), (ZONE,), (RACK,), (ZONE, RACK)])
@pytest.mark.parametrize("strategy", ["spread", "binpack", "round_robin"])
@pytest.mark.parametrize(("zones", "racks", "hosts"), [(2, 2, 1), (3, 2, 2), (2, 3, 1), (4, 4, 2)])
def test_every_level_is_even(zones, racks, hosts, strategy, hard):
    nodes = fleet(zones, racks, hosts)
    spread = [{"spread": key, **({"max_skew": 1} if key in hard else {})} for key in (ZONE, RACK)]
    for replicas in range(1, 2 * zones * racks + 3):
        service = {"name": "web", "replicas": replicas, "preferences": spread, "strategy": strategy}
        found = schedule(nodes, [service])
        assert not found["unplaced"]
        between, all_racks, within = skews(nodes, found["placements"])
        assert between <= 1, (replicas, found["placements"])
        assert within <= 1, (replicas, found["placements"])
        assert all_racks <= 1 or RACK not in hard
        more = schedule(nodes, [{**service, "replicas": replicas + 1}], found["placements"])
        assert skews(nodes, more["placements"])[0] <= 1, (replicas, more["placements"])
