"""The synthetic fleet "fleet-N-R": N hosts, about R replicas, every kind of rule that schedule() knows. Seeded."""

from __future__ import annotations

import random

GIB = 1 << 30
MIB = 1 << 20
SIZES = [(8, 32), (16, 64), (32, 128)]  # cores, GiB
ZONES = 10
ZONE = "node.labels.zone"
RULES = [  # hosts by what they are: the languages of Swarm, Kubernetes, Nomad, Marathon
    "node.labels.tier in (a, b)",
    "node.labels.tier not in (c)",
    "node.facts.kernel version >= 5.10, < 7",
    "node.labels.disk == ssd || node.labels.tier == a",
    "node.platform.arch == amd64",
    "node.hostname like n.*[0-4]",
    "node.labels.rank >= 3",
    "node.labels.tier:UNLIKE:d.*",
]


def make(hosts, replicas, fill=0.7, seed=1):
    """(nodes, services): services ask for `fill` of the scarcer of cpus and memory of the hosts without taints."""
    chance = random.Random(f"{hosts}/{replicas}/{seed}")
    nodes = [host(at, chance) for at in range(hosts)]
    services, total = [], 0
    while total < replicas:
        one = service(len(services), hosts, replicas - total, chance)
        services.append(one)
        total += one["replicas"]
    scale(nodes, services, fill)
    relate(services, chance)
    watched = {"name": "watch", "mode": "global", "constraints": ["node.labels.gpu exists"], "tolerations": ["*"]}
    return nodes, [*services, {**watched, "reservations": {"cpus": 0.01, "memory": 16 * MIB}}]


def host(at, chance):
    cores, memory = chance.choices(SIZES, (50, 35, 15))[0]
    labels = {"zone": f"z{at % ZONES}", "tier": chance.choice("abcd"), "rank": str(at % 7)}
    capacity = {"cpus": cores, "memory": memory * GIB}
    node = {"name": f"n{at:05}", "labels": labels, "capacity": capacity, "reserved": {"cpus": 0.25, "memory": GIB}}
    node["facts"] = {"kernel": chance.choice(["5.10.0-28", "6.1.0", "6.8.12"])}
    node["platform"] = {"os": "linux", "arch": "arm64" if chance.random() < 0.1 else "x86_64"}
    node["ports"] = [{"port": 22, "ip": "", "protocol": "tcp"}]
    if chance.random() < 0.3:
        labels["disk"] = "ssd"
        node["storage"] = {"fast": 1000 * GIB, "bulk": 4000 * GIB}
    if chance.random() < 0.1:
        labels["gpu"] = "t4"
        capacity["gpu"] = [f"gpu-{each}" for each in range(4)]
    if chance.random() < 0.02:
        node["taints"] = ["team=ml:NoSchedule"]
    elif chance.random() < 0.03:
        node["taints"] = ["old:PreferNoSchedule"]
    return node


def service(at, hosts, left, chance):
    """One service: Pareto sized, with the rules of the research note, and often one of the rarer rules."""
    replicas = min(left, max(1, int(6 * chance.paretovariate(1.3))), max(10, hosts // 4))
    one = {
        "name": f"s{at:05}",
        "replicas": replicas,
        "reservations": {"cpus": chance.uniform(0.1, 2), "memory": chance.uniform(0.125, 8) * GIB},
        "constraints": ["node.labels.disk == ssd"] if chance.random() < 0.2 else [],
    }
    if chance.random() < 0.1:
        one["ports"] = [{"published": 8000 + at % 50000, "protocol": "tcp"}]
    if chance.random() < 0.3:
        one["preferences"] = [{"spread": ZONE, "max_skew": 1}]
    elif chance.random() < 0.1:
        one["preferences"] = [{"spread": ZONE}]
    if chance.random() < 0.1:
        one["max_replicas_per_node"] = chance.choice([1, 2])
    rarely(one, chance)
    return one


def rarely(one, chance):
    kind = chance.choices(range(12), (2, 1, 1, 1, 1, 1, 2, 2, 3, 5, 6, 75))[0]
    free = not one["constraints"] and "preferences" not in one
    if kind == 0:
        one["replicas"] = min(one["replicas"], 8)
        one["constraints"] = []
        one["reservations"]["gpu"] = chance.choice([0.25, 0.5, 1])
    elif kind == 1:
        one["constraints"].append("node.hostname:UNIQUE")
    elif kind == 2 and free:
        one["constraints"].append(f"{ZONE}:MAX_PER:{one['replicas'] // ZONES + 1}")
    elif kind == 3 and free:
        one["constraints"].append(f"{ZONE}:GROUP_BY")
    elif kind == 4 and free:
        one["replicas"] = min(one["replicas"], 10)
        one["constraints"].append(f"{ZONE}:CLUSTER")
    elif kind == 5:
        one["ports"] = [{"published": 30000, "published_end": 30100}]
    elif kind == 6:
        one.update(replicas=1, volumes=[{"name": f"data-{one['name']}", "class": "fast", "size": 10 * GIB}])
    elif kind == 7:
        one["volumes"] = [{"name": f"share-{one['name']}", "shared": True}]
    elif kind == 8:
        one["tolerations"] = [chance.choice(["team=ml", "team", "*"])]
    elif kind == 9:
        one["priority"] = chance.choice([10, 100])
    elif kind == 10 and free:
        one["constraints"].append(chance.choice(RULES))


def scale(nodes, services, fill):
    """Round what the services ask for so that together it is `fill` of the scarcer resource."""
    open_hosts = [node for node in nodes if not any("NoSchedule" in taint[-11:] for taint in node.get("taints", ()))]
    parts = {}
    for name in ("cpus", "memory"):
        has = sum(node["capacity"][name] - node["reserved"][name] for node in open_hosts)
        parts[name] = sum(one["reservations"][name] * one["replicas"] for one in services) / has
    for one in services:
        needs = one["reservations"]
        needs["cpus"] = max(1, int(needs["cpus"] * fill / max(parts.values()) * 1000)) / 1000
        needs["memory"] = max(1, int(needs["memory"] * fill / max(parts.values()) / MIB)) * MIB


def relate(services, chance):
    """Affinities between services: 5 % keep off another one, 3 % want to be near one, 1 % must be; groups."""
    for at, one in enumerate(services):
        one["groups"] = [f"g{at % 200}"]
        if not at or "volumes" in one or "gpu" in one["reservations"]:
            continue
        other = services[chance.randrange(at)]
        draw = chance.random()
        if draw < 0.05:
            one["affinities"] = [{"service": other["name"], "anti": True, "required": True}]
        elif draw < 0.07:
            one["affinities"] = [{"service": other["name"], "domain": ZONE, "weight": 50}]
        elif draw < 0.08:
            one["affinities"] = [{"group": f"g{chance.randrange(200)}", "anti": True, "weight": 20}]
        elif draw < 0.09 and not one["constraints"] and "preferences" not in one:
            one["affinities"] = [{"service": other["name"], "domain": ZONE, "required": True}]
