"""roadef-2012: fleets that run already (the ROADEF/EURO challenge by Google). A machine dies: who finds a new home?

A process is a service of one replica, and what the challenge calls a service is a group. Hard rules as the contract
can say them: every resource; no two processes of a group on one machine (required anti-affinity); a group that
depends on another one is in no neighbourhood without it (required affinity). A group that must cover as many
locations as it has processes keeps them in different ones; other spreads are a weight, and counted afterwards.
"""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict

LOCATION, NEIGHBOURHOOD = "node.labels.location", "node.labels.neighbourhood"


class Instance:
    """(nodes, services, current) of one instance, and the rules once more for counting."""

    def __init__(self, folder):
        self.name = folder.name
        self.meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        self.groups = {row["service"]: row for row in rows(folder / "services.csv")}
        self.processes = rows(folder / "processes.csv")
        self.sizes = defaultdict(int)
        for row in self.processes:
            self.sizes[row["service"]] += 1
        self.nodes = [self.host(row) for row in rows(folder / "machines.csv")]
        self.services = [self.service(row) for row in self.processes]
        self.current = [
            {"service": one["name"], "slot": 1, "node": f"m{row['machine0']}"}
            for one, row in zip(self.services, self.processes)
        ]

    def amounts(self, row, prefix):
        return {("memory" if at == 0 else f"r{at}"): int(row[f"{prefix}{at}"]) for at in range(self.meta["resources"])}

    def host(self, row):
        labels = {"location": f"l{row['location']}", "neighbourhood": f"h{row['neighbourhood']}"}
        return {"name": f"m{row['machine']}", "labels": labels, "capacity": self.amounts(row, "cap")}

    def service(self, row):
        group, size = self.groups[row["service"]], self.sizes[row["service"]]
        own = f"g{row['service']}"
        near = [
            {"group": f"g{other}", "domain": NEIGHBOURHOOD, "required": True} for other in group["depends_on"].split()
        ]
        rules = [rule for rule in near if self.sizes[rule["group"][1:]]]
        if size > 1:
            rules.append({"group": own, "anti": True, "required": True})
        if int(group["spread_min"]) > 1:
            apart = {"group": own, "domain": LOCATION, "anti": True}
            rules.append({**apart, "required": True} if int(group["spread_min"]) >= size else {**apart, "weight": 100})
        return {
            "name": f"p{row['process']}",
            "reservations": self.amounts(row, "req"),
            "groups": [own],
            "affinities": rules,
            "strategy": "binpack",
        }

    def without(self, machine):
        """(nodes, services, current) after the machine died."""
        return [node for node in self.nodes if node["name"] != machine], self.services, self.current

    def draws(self, count, seed=1):
        """Machines to die, those with work."""
        busy = sorted({entry["node"] for entry in self.current})
        chance = random.Random(f"{self.name}/{seed}")
        return [chance.choice(busy) for _each in range(count)]

    def broken(self, placements):
        """How many of the challenge's hard rules about groups the placements break: (conflict, spread, dependency)."""
        where = {one["service"]: one["node"] for one in placements}
        label = {node["name"]: node["labels"] for node in self.nodes}
        hosts, locations, around = defaultdict(list), defaultdict(set), defaultdict(set)
        for one, row in zip(self.services, self.processes):
            if one["name"] in where:
                host = where[one["name"]]
                hosts[row["service"]].append(host)
                locations[row["service"]].add(label[host]["location"])
                around[row["service"]].add(label[host]["neighbourhood"])
        conflicts = sum(len(found) - len(set(found)) for found in hosts.values())
        spread = sum(len(locations[name]) < int(row["spread_min"]) for name, row in self.groups.items() if hosts[name])
        missing = sum(
            bool(around[name] - around[other])
            for name, row in self.groups.items()
            for other in row["depends_on"].split()
        )
        return conflicts, spread, missing


def rows(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))
