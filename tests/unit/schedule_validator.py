"""An independent judge of schedule()'s result: shares no code with the room, and is slow and plain on purpose."""

from __future__ import annotations

import ipaddress
from collections import Counter
from fractions import Fraction

ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def fold(text):
    return str(text).casefold()


def node_value(node, key):
    kind, _dot, rest = key.partition(".labels.")
    if rest:
        labels = node.get("labels" if kind.lower() == "node" else "engine_labels") or {}
        return labels.get(rest, "")
    platform = node.get("platform") or {}
    return {
        "node.id": node.get("id", node["name"]),
        "node.hostname": node.get("hostname", node["name"]),
        "node.role": node.get("role", "worker"),
        "node.platform.os": platform.get("os", ""),
        "node.platform.arch": platform.get("arch", ""),
    }[key.lower()]


def satisfies(node, text):
    operator = "==" if "==" in text else "!="
    key, wanted = (part.strip() for part in text.split(operator, 1))
    if key.lower() == "node.ip":
        net = ipaddress.ip_network(wanted, strict=False)
        found = bool(node.get("ip")) and ipaddress.ip_address(node["ip"]) in net
    else:
        has = node_value(node, key)
        if key.lower() == "node.platform.arch":
            has, wanted = ARCH.get(fold(has), has), ARCH.get(fold(wanted), wanted)
        found = fold(has) == fold(wanted)
    return found == (operator == "==")


def exact(number):
    return Fraction(str(number))


def violations(nodes, services, current, options, result):
    """Every rule that the result breaks, in words; an empty list if it is right."""
    judge = Judge(nodes, services, current, options or {}, result)
    judge.slots()
    judge.hosts()
    judge.moves()
    judge.unknown()
    judge.told()
    return judge.found


class Judge:
    def __init__(self, nodes, services, current, options, result):
        self.nodes = {node["name"]: node for node in nodes}
        self.services = {service["name"]: service for service in services}
        self.current = {(c["service"], c["slot"], c["node"]) for c in current}
        self.options, self.result = options, result
        self.placed = [(p["service"], p["slot"], p["node"]) for p in result["placements"]]
        lost = set(options.get("assume_lost", ()))
        self.unknown_names = {n["name"] for n in nodes if n.get("unknown") and n["name"] not in lost}
        self.lost = {n["name"] for n in nodes if n.get("unknown") and n["name"] in lost}
        self.found = []

    def fail(self, text):
        self.found.append(text)

    def is_global(self, name):
        return self.services[name].get("mode", "replicated").startswith("global")

    def slots(self):
        """Each slot once; placed or unplaced, never both and never neither."""
        keys = [(service, slot) for service, slot, _node in self.placed]
        keys += [(entry["service"], entry["slot"]) for entry in self.result["unplaced"]]
        for key, times in Counter(keys).items():
            if times > 1:
                self.fail(f"{key} is told of {times} times")
        unseen = {(s, slot) for s, slot, node in self.placed if node in self.unknown_names}
        for name, service in self.services.items():
            told = {slot for key, slot in keys if key == name}
            if self.is_global(name):
                wanted = {n for n, node in self.nodes.items() if self.global_wants(service, node)}
                extra = {
                    slot for slot in told - wanted if slot not in self.nodes or not self.may_keep(service, name, slot)
                }
            else:
                wanted = set(range(1, service.get("replicas", 1) + 1))
                extra = {slot for slot in told - wanted if (name, slot) not in unseen}
            if wanted - told:
                self.fail(f"{name}: slots {wanted - told} are forgotten")
            if extra:
                self.fail(f"{name}: slots {extra} are surplus")

    def global_wants(self, service, node):
        active = node.get("availability", "active") == "active" and not node.get("unknown")
        return active and self.allowed(service, node)

    def may_keep(self, service, name, slot):
        node = self.nodes[slot]
        return slot in self.unknown_names or ((name, slot, slot) in self.current and self.allowed(service, node))

    def allowed(self, service, node):
        hosts = service.get("hosts") or [node["name"]]
        return node["name"] in hosts and all(satisfies(node, text) for text in service.get("constraints", ()))

    def hosts(self):
        """What may run on each host, and whether it fits together."""
        for name, node in self.nodes.items():
            here = [(service, slot) for service, slot, where in self.placed if where == name]
            if name in self.unknown_names:
                continue
            if name in self.lost and here:
                self.fail(f"{here} on {name}, which is lost")
            for key in here:
                self.one(key, node)
            self.together(node, [self.services[service] for service, _slot in here])
        for _service, _slot, where in self.placed:
            if where not in self.nodes:
                self.fail(f"placed on {where}, which does not exist")
        self.volumes()

    def one(self, key, node):
        service, new = self.services[key[0]], (*key, node["name"]) not in self.current
        availability = node.get("availability", "active")
        if availability == "drain" or (availability == "pause" and new):
            self.fail(f"{key} on {node['name']}, which is {availability}")
        if not self.allowed(service, node):
            self.fail(f"{key} on {node['name']} against its constraints or hosts")
        if self.is_global(key[0]):
            if key[1] != node["name"]:
                self.fail(f"{key} on {node['name']}")
            return
        for volume in service.get("volumes", ()):
            having = {n for n, other in self.nodes.items() if volume in other.get("volumes", ())}
            if having and node["name"] not in having:
                self.fail(f"{key} on {node['name']}, but {volume} is on {having}")

    def together(self, node, services):
        capacity, reserved = node.get("capacity") or {}, node.get("reserved") or {}
        names = {name for service in services for name in service.get("reservations", {})}
        for name in names:
            default = float("inf") if name in ("cpus", "memory") else 0
            has = capacity.get(name, default)
            free = has if has == float("inf") else max(0, exact(has) - exact(reserved.get(name, 0)))
            used = sum(exact(service.get("reservations", {}).get(name, 0)) for service in services)
            if used > free:
                self.fail(f"{node['name']}: {name} {used} of {free}")
        counts = Counter(service["name"] for service in services)
        for name, count in counts.items():
            most = self.services[name].get("max_replicas_per_node", 0)
            if most and count > most and not self.is_global(name):
                self.fail(f"{node['name']}: {count} of {name}, at most {most}")
        bound = [self.port(port) for port in node.get("ports", ())]
        for service in services:
            mine = {self.port(port) for port in service.get("ports", ())}
            if any(self.clash(one, other) for one in mine for other in bound):
                self.fail(f"{node['name']}: a port of {service['name']} is bound twice")
            bound += sorted(mine)

    @staticmethod
    def port(port):
        if isinstance(port, int):
            return ("", port, "tcp")
        address = port.get("host_ip", port.get("ip", ""))
        number = port.get("published", port.get("port"))
        return ("" if address in ("0.0.0.0", "::") else address, number, port.get("protocol", "tcp"))

    @staticmethod
    def clash(one, other):
        return one[1:] == other[1:] and (one[0] == other[0] or "" in (one[0], other[0]))

    def volumes(self):
        """Replicas that share a volume which exists nowhere are on one host, unless an unknown host has some."""
        for volume in {v for service in self.services.values() for v in service.get("volumes", ())}:
            if any(volume in node.get("volumes", ()) for node in self.nodes.values()):
                continue
            users = {n for n, s in self.services.items() if volume in s.get("volumes", ()) and not self.is_global(n)}
            where = {node for service, _slot, node in self.placed if service in users}
            if len(where) > 1 and not where & self.unknown_names:
                self.fail(f"{volume} would be made on {where}")

    def moves(self):
        """Exactly what left its host is listed as moved, each with a cause."""
        after = set(self.placed)
        left = {entry for entry in self.current if entry not in after and entry[2] not in self.unknown_names}
        listed = {(move["service"], move["slot"], move["from"]) for move in self.result["moves"]}
        nowhere = {(entry["service"], entry["slot"]) for entry in self.result["unplaced"]}
        for entry in listed - left:
            self.fail(f"{entry} is listed as moved, but stays or never was")
        for entry in left - listed:
            dead = entry[2] not in self.nodes or entry[2] in self.lost
            twice = sum(1 for other in self.current if other[:2] == entry[:2]) > 1
            if entry[:2] not in nowhere and not (dead and twice):
                self.fail(f"{entry} left without a move")
        for move in self.result["moves"]:
            if not move["why"] or not move["cause"]:
                self.fail(f"{move} has no reason")
            if move["to"] is not None and (move["service"], move["slot"], move["to"]) not in after:
                self.fail(f"{move} goes where it is not")

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
            hosts = [name for names in entry["rejected"].values() for name in names]
            if not entry["why"] or len(hosts) != len(set(hosts)) or not set(hosts) <= set(self.nodes):
                self.fail(f"{entry} is not explained")
            everywhere = self.is_global(entry["service"]) or "unknown" in entry["rejected"]
            if not everywhere and set(hosts) != set(self.nodes):
                self.fail(f"{entry} does not tell of every host")
