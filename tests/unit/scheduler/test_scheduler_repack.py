"""Filling hosts anew leaves nothing outside that fits somewhere."""

import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import repack, schedule
from schedule_validator import violations

MIB = 1 << 20


def parts(whole, count, chance):
    """`count` whole numbers that add up to `whole`."""
    weights = [chance.lognormvariate(0, 1) for _each in range(count)]
    found = [max(1, int(whole * weight / sum(weights))) for weight in weights]
    return [found[0] + whole - sum(found), *found[1:]]


def planted(hosts, seed):
    """Hosts cut exactly into pieces, a service of one replica for each: it all fits, but nobody finds out how."""
    chance, pieces = random.Random(seed), []
    for _host in range(hosts):
        count = chance.randint(6, 14)
        pieces += zip(parts(32000, count, chance), parts(131072, count, chance))
    nodes = [{"name": f"n{at:03}", "capacity": {"cpus": 32, "memory": 131072 * MIB}} for at in range(hosts)]
    services = [
        {"name": f"s{at:04}", "strategy": "binpack", "reservations": {"cpus": cpu / 1000, "memory": memory * MIB}}
        for at, (cpu, memory) in enumerate(pieces)
    ]
    return nodes, services


def test_what_is_left_fits_nowhere():
    nodes, services = planted(300, 3)
    result = schedule(nodes, services, [], {"repair_moves": 0})
    assert result["unplaced"]
    assert not violations(nodes, services, [], {"repair_moves": 0}, result)


@pytest.mark.parametrize("seed", range(1, 4))
def test_next_to_all_of_a_planted_fleet_is_placed(seed, monkeypatch):
    nodes, services = planted(100, seed)
    for rounds, least in ((repack.ROUNDS, 0.993), (0, 0.992)):
        monkeypatch.setattr(repack, "ROUNDS", rounds)
        placed = {one["service"] for one in schedule(nodes, services)["placements"]}
        for name, whole in (("cpus", 3200), ("memory", 100 * 131072 * MIB)):
            assert sum(one["reservations"][name] for one in services if one["name"] in placed) >= least * whole
