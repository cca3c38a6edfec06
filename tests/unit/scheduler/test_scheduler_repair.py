"""What repair leaves without a home has none: no host has room for it once others have moved."""

import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import ejection, schedule
from schedule_validator import violations

KINDS = ("cpus", "memory", "gpu")


def fleet(seed):
    """Full hosts, and one that is no more; reservations of every shape."""
    chance = random.Random(seed)
    nodes = [{"name": f"n{at}", "capacity": dict.fromkeys(KINDS, 10)} for at in range(chance.choice([3, 4]))]
    free = {name: dict.fromkeys(KINDS, 10) for name in [*(node["name"] for node in nodes), "dead"]}
    services, current = [], []
    for at in range(chance.randint(14, 40)):
        needs = {kind: chance.randint(1, chance.choice([3, 7])) for kind in KINDS}
        host = chance.choice(sorted(free))
        if all(free[host][kind] >= needs[kind] for kind in KINDS):
            free[host] = {kind: free[host][kind] - needs[kind] for kind in KINDS}
            services.append({"name": f"s{at}", "reservations": needs})
            current.append({"service": f"s{at}", "slot": 1, "node": host})
    return nodes, services, current


@pytest.mark.parametrize("seed", [572, 1200, 1969, 2928])
def test_what_gave_up_early_takes_room_that_others_made(monkeypatch, seed):
    """A search that ends early (after so many steps) gives up on some before others make room for them as well."""
    monkeypatch.setattr(ejection, "STEPS", 2)
    found = schedule(*fleet(seed))
    assert any(move["cause"] == "repair" for move in found["moves"])
    assert not violations(*fleet(seed), {}, found)


def test_nothing_that_fits_is_left_out():
    for seed in range(150):
        assert not violations(*fleet(seed), {}, schedule(*fleet(seed))), seed


def test_what_all_hosts_together_have_not_is_not_searched_for(monkeypatch):
    """No residents are lifted for it."""
    nodes = [{"name": f"n{at}", "capacity": {"cpus": 10}} for at in range(3)]
    services = [{"name": f"s{at}", "reservations": {"cpus": 7}} for at in range(3)]
    services.append({"name": "big", "reservations": {"cpus": 9.5}})
    monkeypatch.setattr(ejection.Ejection, "_swap", lambda *_args: pytest.fail("tried"))
    found = schedule(nodes, services, [{"service": f"s{at}", "slot": 1, "node": f"n{at}"} for at in range(3)])
    assert [one["service"] for one in found["unplaced"]] == ["big"]
