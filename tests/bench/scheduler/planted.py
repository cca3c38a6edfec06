"""Planted instances: every host is cut exactly into 6 to 14 replicas. The best plan places all and wastes nothing."""

from __future__ import annotations

import random

MIB = 1 << 20
CORES, MEMORY = 32000, 131072  # of each host: thousandths of a core, MiB


def make(hosts, seed=1):
    """(nodes, services) of one replica each, in an order that tells nothing."""
    chance = random.Random(f"planted/{hosts}/{seed}")
    pieces = []
    for _host in range(hosts):
        count = chance.randint(6, 14)
        pieces += zip(cut(CORES, count, chance), cut(MEMORY, count, chance))
    chance.shuffle(pieces)
    nodes = [{"name": f"n{at:04}", "capacity": {"cpus": CORES // 1000, "memory": MEMORY * MIB}} for at in range(hosts)]
    services = [
        {"name": f"s{at:05}", "strategy": "binpack", "reservations": {"cpus": cpu / 1000, "memory": memory * MIB}}
        for at, (cpu, memory) in enumerate(pieces)
    ]
    return nodes, services


def cut(whole, count, chance):
    """`count` whole numbers that add up to `whole`: many small ones, a few large ones."""
    weights = [chance.lognormvariate(0, 1) for _each in range(count)]
    parts = [max(1, int(whole * weight / sum(weights))) for weight in weights]
    parts[0] += whole - sum(parts)
    return parts


def best_fit(nodes, services):
    """The peer: each replica as it comes goes to the host on which the least is left. Returns {service: host}."""
    cpu = [round(node["capacity"]["cpus"] * 1000) for node in nodes]
    memory = [node["capacity"]["memory"] // MIB for node in nodes]
    placed = {}
    for one in services:
        needs = one["reservations"]
        wants, asks = round(needs["cpus"] * 1000), needs["memory"] // MIB
        best, chosen = 2.0, -1
        for at, free in enumerate(cpu):
            if wants <= free and asks <= memory[at]:
                left = (free - wants) / CORES + (memory[at] - asks) / MEMORY
                if left < best:
                    best, chosen = left, at
        if chosen >= 0:
            cpu[chosen] -= wants
            memory[chosen] -= asks
            placed[one["name"]] = chosen
    return placed


def share(services, placed):
    """(cpu, memory) of what is placed, as parts of everything (= of all hosts)."""
    totals = {}
    for name in ("cpus", "memory"):
        asked = {one["name"]: one["reservations"][name] for one in services}
        totals[name] = sum(asked[one] for one in placed) / sum(asked.values())
    return totals["cpus"], totals["memory"]
