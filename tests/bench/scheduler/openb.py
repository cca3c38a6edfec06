"""openb-2023: a production cluster of 1,523 hosts with 6,212 GPUs; tasks take a part of one, or several whole ones."""

from __future__ import annotations

import csv
import random
from collections import Counter

MIB = 1 << 20
LOAD = 1.3  # tasks arrive until they ask for this part of all GPUs


def nodes_of(folder):
    with open(folder / "nodes.csv", encoding="utf-8") as file:
        return [host(row) for row in csv.DictReader(file)]


def host(row):
    capacity = {"cpus": int(row["cpu_milli"]) / 1000, "memory": int(row["memory_mib"]) * MIB}
    if int(row["gpu"]):
        capacity["gpu"] = [f"g{at}" for at in range(int(row["gpu"]))]
    return {"name": row["sn"], "capacity": capacity, "labels": {"gpu": row["model"]} if row["model"] else {}}


def shape(row):
    """(cpu, memory, GPUs in thousandths, allowed models) of a task."""
    count = int(row["num_gpu"])
    return int(row["cpu_milli"]), int(row["memory_mib"]), int(row["gpu_milli"]) * count, row["gpu_spec"]


def arrivals(folder, seed, trace="pods_default"):
    """The tasks as the paper loads them: shuffled, then drawn again until they ask for 130 % of the GPUs."""
    with open(folder / f"{trace}.csv", encoding="utf-8") as file:
        tasks = [shape(row) for row in csv.DictReader(file)]
    chance = random.Random(seed)
    most = LOAD * 1000 * sum(len(node["capacity"].get("gpu", ())) for node in nodes_of(folder))
    chance.shuffle(tasks)
    total = sum(task[2] for task in tasks)
    drawn = list(tasks)
    while total < most:
        drawn.append(chance.choice(tasks))
        total += drawn[-1][2]
    return drawn


def services_of(tasks):
    """One service for each kind of task, with as many replicas as there are tasks of it."""
    return [service(f"t{at:03}", kind, count) for at, (kind, count) in enumerate(sorted(Counter(tasks).items()))]


def singles_of(tasks):
    """One service for each task."""
    return [service(f"t{at:05}", kind, 1) for at, kind in enumerate(tasks)]


def service(name, kind, count):
    cpu, memory, gpu, models = kind
    needs = {"cpus": cpu / 1000, "memory": memory * MIB}
    if gpu:
        needs["gpu"] = gpu / 1000 if gpu < 1000 else gpu // 1000
    one = {"name": name, "replicas": count, "reservations": needs, "strategy": "binpack"}
    if models:
        one["constraints"] = [f"node.labels.gpu in ({', '.join(models.split('|'))})"]
    return one


def share(nodes, services, placements):
    """The part of all GPUs that is given to what is placed, in percent."""
    all_of_it = sum(len(node["capacity"].get("gpu", ())) for node in nodes)
    needs = {one["name"]: one["reservations"].get("gpu", 0) for one in services}
    return 100 * sum(needs[one["service"]] for one in placements) / all_of_it


def best_fit(nodes, tasks):
    """The peer, task by task: the host on which the least is left, its fullest device. Returns percent of GPUs."""
    cpu = [round(node["capacity"]["cpus"] * 1000) for node in nodes]
    memory = [node["capacity"]["memory"] // MIB for node in nodes]
    devices = [[1000] * len(node["capacity"].get("gpu", ())) for node in nodes]
    models = [node["labels"].get("gpu", "") for node in nodes]
    most = [max(cpu), max(memory), 8000]
    given = 0
    for wants, asks, gpu, spec in tasks:
        allowed = set(spec.split("|")) if spec else None
        best, chosen = None, -1
        for at, free in enumerate(cpu):
            if free < wants or memory[at] < asks or (allowed and models[at] not in allowed):
                continue
            if gpu and not fits(devices[at], gpu):
                continue
            left = (free - wants) / most[0] + (memory[at] - asks) / most[1] + (sum(devices[at]) - gpu) / most[2]
            if best is None or left < best:
                best, chosen = left, at
        if chosen >= 0:
            cpu[chosen] -= wants
            memory[chosen] -= asks
            take(devices[chosen], gpu)
            given += gpu
    return given / 10 / sum(len(one) for one in devices)


def fits(free, gpu):
    return max(free, default=0) >= gpu if gpu < 1000 else free.count(1000) >= gpu // 1000


def take(free, gpu):
    if 0 < gpu < 1000:
        free[free.index(min(left for left in free if left >= gpu))] -= gpu
    for _each in range(gpu // 1000):
        free[free.index(1000)] = 0
