"""The peer: a scheduler as one writes it first. For each replica it filters all hosts and scores what is left.

It is kept lean, so that a ratio to it is honest: lists and tuples, no objects; everything that does not change while a
service is placed (hosts that satisfy its constraints, tolerated taints) is worked out once per distinct expression.
It knows the rules of fleet.py and no others, spreads as schedule() does (fewest of the service on the host, then
the smallest dominant share after placing), and never looks back.
"""

from __future__ import annotations

from constraint_oracle import satisfies, tolerated
from fleet import ZONE, ZONES

COUNTED = (":UNIQUE", ":MAX_PER", ":GROUP_BY", ":CLUSTER")


class Naive:
    """The fleet as lists by host."""

    def __init__(self, nodes, services):
        self.nodes, self.services = nodes, services
        self.cpu = [round((n["capacity"]["cpus"] - n["reserved"]["cpus"]) * 1000) for n in nodes]
        self.memory = [n["capacity"]["memory"] - n["reserved"]["memory"] for n in nodes]
        self.all_cpu, self.all_memory = self.cpu[:], self.memory[:]
        self.zone = [int(n["labels"]["zone"][1:]) for n in nodes]
        self.gpus = [[1000] * len(n["capacity"].get("gpu", ())) for n in nodes]
        self.ports = [{22} for _node in nodes]
        self.fast = [n.get("storage", {}).get("fast", -1) for n in nodes]
        self.on = {}  # service -> {host: replicas}
        self.zones_of = {}  # service -> replicas by zone
        self.keepers_off = {}  # service -> those that must not be with it
        for one in services:
            for rule in one.get("affinities", ()):
                if rule.get("anti") and rule.get("required"):
                    self.keepers_off.setdefault(rule["service"], []).append(one["name"])
        self.known, self.allowed = {}, {}
        self.placed, self.unplaced = [], []

    def run(self, services=None, most=None):
        """Place the services in this order, at most `most` replicas. Returns how many replicas were tried."""
        tried = 0
        for one in self.services if services is None else services:
            wanted = sum(self.legal(one)) if one.get("mode") == "global" else one["replicas"]
            if most is not None:
                wanted = min(wanted, most - tried)
            for slot in range(1, wanted + 1):
                at = self.choose(one)
                if at is None:
                    self.unplaced.append((one["name"], slot))
                else:
                    self.put(one, slot, at)
            tried += wanted
            if tried == most:
                break
        return tried

    def holds(self, text):
        if text not in self.known:
            self.known[text] = {at for at, node in enumerate(self.nodes) if satisfies(node, text)}
        return self.known[text]

    def legal(self, one):
        """For each host 1 if the service's constraints, tolerations and storage class allow it, else 0."""
        plain = tuple(text for text in one.get("constraints", ()) if not any(verb in text for verb in COUNTED))
        tolerations = tuple(one.get("tolerations", ()))
        stored = any(isinstance(volume, dict) and "class" in volume for volume in one.get("volumes", ()))
        key = (plain, tolerations, stored)
        if key not in self.allowed:
            found = bytearray(tolerated(node, tolerations) for node in self.nodes)
            for at in range(len(found)):
                if not all(at in self.holds(text) for text in plain) or (stored and self.fast[at] < 0):
                    found[at] = 0
            self.allowed[key] = found
        return self.allowed[key]

    def choose(self, one):
        """The best host for one more replica, of all hosts, or None."""
        needs, legal, zone = one["reservations"], self.legal(one), self.zone
        cpu, memory, gpu = round(needs["cpus"] * 1000), needs["memory"], round(needs.get("gpu", 0) * 1000)
        here, limit = self.on.get(one["name"], {}), limit_of(one)
        zones, closed = self.zone_rule(one, legal), self.closed_hosts(one)
        port, last = port_of(one)
        free_cpu, free_memory, all_cpu, all_memory = self.cpu, self.memory, self.all_cpu, self.all_memory
        ports, gpus = self.ports, self.gpus
        best, chosen = None, None
        for at in range(len(free_cpu)):
            if not legal[at] or free_cpu[at] < cpu or free_memory[at] < memory:
                continue
            if zones is not None and zone[at] not in zones:
                continue
            if limit and here.get(at, 0) >= limit:
                continue
            if port and port in ports[at] and not any(one not in ports[at] for one in range(port, last + 1)):
                continue
            if closed and at in closed:
                continue
            if gpu and not any(left >= gpu for left in gpus[at]):
                continue
            by_cpu, by_memory = 1 - (free_cpu[at] - cpu) / all_cpu[at], 1 - (free_memory[at] - memory) / all_memory[at]
            score = (here.get(at, 0), by_cpu if by_cpu > by_memory else by_memory)
            if best is None or score < best:
                best, chosen = score, at
        return chosen

    def zone_rule(self, one, legal):
        """The zones that rules about the service's own replicas, or a required affinity, leave; None for all."""
        rules = [text for text in one.get("constraints", ()) if text.startswith(f"{ZONE}:")]
        counts = self.zones_of.get(one["name"], [0] * ZONES)
        verb = rules[0].split(":")[1] if rules else ""
        if verb == "CLUSTER" and any(counts):
            return {zone for zone in range(ZONES) if counts[zone]}
        if verb == "MAX_PER":
            return {zone for zone in range(ZONES) if counts[zone] < int(rules[0].split(":")[2])}
        if verb == "GROUP_BY" or any("max_skew" in entry for entry in one.get("preferences", ())):
            least = min(counts[zone] for zone in {zone for zone, right in zip(self.zone, legal) if right})
            return {zone for zone in range(ZONES) if counts[zone] <= least}
        near = [rule for rule in one.get("affinities", ()) if rule.get("required") and not rule.get("anti")]
        if near:
            others = self.zones_of.get(near[0]["service"], [0] * ZONES)
            return {zone for zone in range(ZONES) if others[zone]}
        return None

    def closed_hosts(self, one):
        """The hosts of the services that this one must not be with, whoever of the two says so."""
        off = [rule["service"] for rule in one.get("affinities", ()) if rule.get("required") and rule.get("anti")]
        return {at for other in (*off, *self.keepers_off.get(one["name"], ())) for at in self.on.get(other, ())}

    def put(self, one, slot, at):
        needs, name = one["reservations"], one["name"]
        self.cpu[at] -= round(needs["cpus"] * 1000)
        self.memory[at] -= needs["memory"]
        if "gpu" in needs:
            need = round(needs["gpu"] * 1000)
            device = min((left, each) for each, left in enumerate(self.gpus[at]) if left >= need)[1]
            self.gpus[at][device] -= need
        if "ports" in one:
            first, last = port_of(one)
            self.ports[at].add(next(number for number in range(first, last + 1) if number not in self.ports[at]))
        here = self.on.setdefault(name, {})
        here[at] = here.get(at, 0) + 1
        self.zones_of.setdefault(name, [0] * ZONES)[self.zone[at]] += 1
        self.placed.append((name, slot, at))


def limit_of(one):
    unique = one.get("mode") == "global" or "node.hostname:UNIQUE" in one.get("constraints", ())
    return 1 if unique else one.get("max_replicas_per_node", 0)


def port_of(one):
    port = one["ports"][0] if "ports" in one else {"published": 0}
    return port["published"], port.get("published_end", port["published"])


def scarce_first(services, naive):
    """The order of the research note: few hosts, then host ports, then limits per host, then large ones."""
    hosts = len(naive.nodes)

    def key(one):
        needs, wide = one["reservations"], sum(naive.legal(one)) < hosts // 2
        limited = bool(one.get("max_replicas_per_node")) or bool(one.get("constraints")) or "preferences" in one
        size = max(needs["cpus"] / 14, needs["memory"] / (58 << 30))
        late = any(rule.get("required") and not rule.get("anti") for rule in one.get("affinities", ()))
        return (late, -("gpu" in needs), -wide, -("ports" in one), -limited, -size, one["name"])

    return sorted(services, key=key)
