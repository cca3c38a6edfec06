"""An independent judge of schedule()'s result: shares no code with the room, and is slow and plain on purpose.

It is written from the contract only. What several places say: "kept" is what runs where `current` has it, "new" is
every other placement. Rules between replicas (spread, affinity) bind new ones; a resident need not leave for them.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import schedule_hosts as hosts
import schedule_relations as relations
from constraint_oracle import satisfies, tolerated


def violations(nodes, services, current, options, result):
    """Every rule that the result breaks, in words; an empty list if it is right."""
    judge = Judge(nodes, services, current, options or {}, result)
    judge.slots()
    judge.places()
    judge.moves()
    judge.displaced()
    judge.unknown()
    judge.told()
    hosts.check(judge)
    relations.check(judge)
    return judge.found


class Judge:
    """What was asked for and what came out, by name."""

    def __init__(self, nodes, services, current, options, result):
        self.nodes = {node["name"]: node for node in nodes}
        self.services = {service["name"]: service for service in services}
        self.entries = list(current)
        self.current = {(c["service"], c["slot"], c["node"]) for c in current}
        self.options, self.result = options, result
        self.placed = [(p["service"], p["slot"], p["node"]) for p in result["placements"]]
        self.extra = {(p["service"], p["slot"]): p for p in result["placements"]}  # devices, ports
        self.on = defaultdict(list)  # host -> [(service, slot)]
        self.of = defaultdict(list)  # service -> [(slot, host)]
        for service, slot, node in self.placed:
            self.on[node].append((service, slot))
            self.of[service].append((slot, node))
        lost = set(options.get("assume_lost", ()))
        self.unknown_names = {n["name"] for n in nodes if n.get("unknown") and n["name"] not in lost}
        self.lost = {n["name"] for n in nodes if n.get("unknown") and n["name"] in lost}
        self.moving = options.get("allow_moves", True)
        self.having = defaultdict(set)  # volume -> hosts that have it
        for node in nodes:
            for volume in node.get("volumes") or ():
                self.having[volume].add(node["name"])
        self._allowed = {}
        self.found = []

    def fail(self, text):
        self.found.append(text)

    def is_global(self, name):
        return (self.services[name].get("mode") or "replicated").startswith("global")

    def is_new(self, service, slot, node):
        return (service, slot, node) not in self.current

    def slots(self):
        """Each slot once; placed or unplaced, never both and never neither."""
        keys = [(service, slot) for service, slot, _node in self.placed]
        keys += [(entry["service"], entry["slot"]) for entry in self.result["unplaced"]]
        for key, times in Counter(keys).items():
            if times > 1:
                self.fail(f"{key} is told of {times} times")
        told = defaultdict(set)
        for service, slot in keys:
            told[service].add(slot)
        for name in set(told) - set(self.services):
            self.fail(f"{name} is placed, and nobody wants it")
        unseen = {(s, slot) for s, slot, node in self.placed if node in self.unknown_names}
        for name, service in self.services.items():
            if self.is_global(name):
                wanted, optional = self.global_wants(service)
                extra = {
                    slot
                    for slot in told[name] - wanted - optional
                    if slot not in self.nodes or not self.may_keep(service, slot)
                }
            else:
                wanted = set(range(1, self.count(service) + 1))
                extra = {slot for slot in told[name] - wanted if (name, slot) not in unseen}
            if wanted - told[name]:
                self.fail(f"{name}: slots {wanted - told[name]} are forgotten")
            if extra:
                self.fail(f"{name}: slots {extra} are surplus")

    @staticmethod
    def count(service):
        return 1 if service.get("replicas") is None else service["replicas"]

    def global_wants(self, service):
        """The hosts that must have one; and those that may or may not be told of: tainted ones."""
        active = {
            name
            for name, node in self.nodes.items()
            if self.availability(node) == "active" and not node.get("unknown") and self.allowed(service, node)
        }
        wanted = {name for name in active if tolerated(self.nodes[name], service.get("tolerations") or ())}
        return wanted, active - wanted

    def may_keep(self, service, slot):
        here = (service["name"], slot, slot) in self.current
        return slot in self.unknown_names or (here and (not self.moving or self.allowed(service, self.nodes[slot])))

    @staticmethod
    def availability(node):
        return node.get("availability") or "active"

    def allowed(self, service, node):
        """True if `hosts` and the constraints allow the host."""
        if service.get("hosts") and node["name"] not in service["hosts"]:
            return False
        for text in service.get("constraints") or ():
            key = (text, node["name"])
            if key not in self._allowed:
                self._allowed[key] = satisfies(node, text)
            if not self._allowed[key]:
                return False
        return True

    def places(self):
        """What the host itself says: is it there, open, allowed."""
        for service, slot, where in self.placed:
            if where not in self.nodes:
                self.fail(f"placed on {where}, which does not exist")
            elif where in self.lost:
                self.fail(f"{service}.{slot} on {where}, which is lost")
            elif where not in self.unknown_names:
                self.one(service, slot, self.nodes[where])

    def one(self, name, slot, node):
        service, new = self.services[name], self.is_new(name, slot, node["name"])
        if not new and not self.moving:
            return
        key, availability = f"{name}.{slot} on {node['name']}", self.availability(node)
        if availability == "drain" or (availability == "pause" and new):
            self.fail(f"{key}, which is {availability}")
        if not self.allowed(service, node):
            self.fail(f"{key} against its constraints or hosts")
        effects = ("NoSchedule", "NoExecute") if new else ("NoExecute",)
        if not tolerated(node, service.get("tolerations") or (), effects):
            self.fail(f"{key} against its taints")
        if self.is_global(name) and slot != node["name"]:
            self.fail(key)

    def moves(self):
        """Exactly what left its host is listed as moved, each with a cause and a price."""
        after = set(self.placed)
        left = {entry for entry in self.current if entry not in after and entry[2] not in self.unknown_names}
        listed = {(move["service"], move["slot"], move["from"]) for move in self.result["moves"]}
        nowhere = {(entry["service"], entry["slot"]) for entry in self.result["unplaced"]}
        copies = Counter(entry[:2] for entry in self.current)
        for entry in listed - left:
            self.fail(f"{entry} is listed as moved, but stays or never was")
        for entry in left - listed:
            dead = entry[2] not in self.nodes or entry[2] in self.lost
            if entry[:2] not in nowhere and not (dead and copies[entry[:2]] > 1):
                self.fail(f"{entry} left without a move")
        for move in self.result["moves"]:
            if not move["why"] or not move["cause"]:
                self.fail(f"{move} has no reason")
            if "cost" in move and move["cost"] not in (0, 1, 10):
                self.fail(f"{move} has an odd price")
            if move["to"] is not None and (move["service"], move["slot"], move["to"]) not in after:
                self.fail(f"{move} goes where it is not")
            if not self.moving and move["to"] is not None and move["from"] in set(self.nodes) - self.lost:
                self.fail(f"{move}, but moves are off")

    def displaced(self):
        """Who was preempted gave way to somebody new there who may do that and is strictly more important."""
        for entry in [*self.result["moves"], *self.result["unplaced"]]:
            if entry.get("cause") != "preempted":
                continue
            mine = self.services[entry["service"]].get("priority") or 0
            winners = {
                name
                for name, slot in self.on[entry["from"]]
                if self.is_new(name, slot, entry["from"])
                and self.services[name].get("preempt")
                and (self.services[name].get("priority") or 0) > mine
            }
            if not any(name in entry["why"] for name in winners):
                self.fail(f"{entry} was preempted by nobody that may")

    def unknown(self):
        """Nothing is placed on an unknown host, and nothing that may run there leaves it."""
        before = {entry for entry in self.current if entry[2] in self.unknown_names}
        after = {entry for entry in self.placed if entry[2] in self.unknown_names}
        if after - before:
            self.fail(f"placed on unknown hosts: {after - before}")
        taken = {entry[:2] for entry in self.placed}
        for entry in before - after:
            if entry[0] in self.services and entry[:2] not in taken:
                self.fail(f"{entry} was taken from an unknown host")

    def told(self):
        """Every slot has a reason; what is unplaced says which filter rejected which host."""
        for service, slot, node in self.placed:
            reason = self.result["reasons"].get(f"{service}.{slot}")
            if not reason or reason["node"] != node or not reason["why"]:
                self.fail(f"{service}.{slot} has no reason")
        for entry in self.result["unplaced"]:
            names = [name for rejected in entry["rejected"].values() for name in rejected]
            if not entry["why"] or len(names) != len(set(names)) or not set(names) <= set(self.nodes):
                self.fail(f"{entry} is not explained")
            everywhere = self.is_global(entry["service"]) or "unknown" in entry["rejected"]
            if not everywhere and set(names) != set(self.nodes):
                self.fail(f"{entry} does not tell of every host")
