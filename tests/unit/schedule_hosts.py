"""The validator's part for one host at a time: amounts, devices, ports, how many of a service, volumes and storage."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import cache

EVERY = ("", "0.0.0.0", "::", "*")


def check(judge):
    for name, here in judge.on.items():
        if name not in judge.nodes or name in judge.unknown_names:
            continue
        if not judge.moving and not any(judge.is_new(service, slot, name) for service, slot in here):
            continue
        node = judge.nodes[name]
        amounts(judge, node, here)
        per_host(judge, node, here)
        ports(judge, node, here)
        storage(judge, node, here)
    pinned(judge)


@cache
def _exact(text):
    return Fraction(text)


def exact(number):
    return _exact(str(number))


def needs(judge, service):
    return {name: n for name, n in (judge.services[service].get("reservations") or {}).items() if n is not None}


def amounts(judge, node, here):
    """What is reserved fits into the capacity less the reserve, exactly; devices by name."""
    capacity, reserved = node.get("capacity") or {}, node.get("reserved") or {}
    used = {}
    for service, _slot in here:
        for name, amount in needs(judge, service).items():
            used[name] = used.get(name, 0) + exact(amount)
    for name, amount in used.items():
        asking = [one for one in here if name in needs(judge, one[0])]
        if not judge.moving and not any(judge.is_new(*one, node["name"]) for one in asking):
            continue
        has = capacity.get(name)
        if isinstance(has, (list, tuple)):
            devices(judge, node, here, name)
            continue
        if has is None and name in ("cpus", "memory"):
            continue
        free = max(0, exact(has or 0) - exact(reserved.get(name) or 0))
        if amount > free:
            judge.fail(f"{node['name']}: {name} {amount} of {free}")
        if name not in ("cpus", "memory") and any(exact(needs(judge, one).get(name, 0)) % 1 for one, _slot in here):
            judge.fail(f"{node['name']} counts {name}, and a part of one is placed there")


def devices(judge, node, here, kind):
    """A part is on one device, whole ones take whole devices, and no device is given away more than once."""
    names = sorted(node["capacity"][kind])
    usable = set(names[: max(0, len(names) - int((node.get("reserved") or {}).get(kind) or 0))])
    given = Counter()
    for service, slot in here:
        wanted = exact(needs(judge, service).get(kind, 0))
        if not wanted:
            continue
        mine = (judge.extra[(service, slot)].get("devices") or {}).get(kind) or {}
        parts = {device: exact(part) for device, part in mine.items()}
        whole = wanted.denominator == 1
        right = all(part == 1 for part in parts.values()) if whole else len(parts) == 1
        if sum(parts.values()) != wanted or not right or not set(parts) <= usable:
            judge.fail(f"{service}.{slot} on {node['name']} asks {wanted} {kind} of {sorted(usable)}, and has {mine}")
        given.update(parts)
    for device, amount in given.items():
        if amount > 1:
            judge.fail(f"{node['name']}: {device} is given away {amount} times")


def per_host(judge, node, here):
    for name, count in Counter(service for service, _slot in here).items():
        most = judge.services[name].get("max_replicas_per_node") or 0
        new = any(one == name and judge.is_new(one, slot, node["name"]) for one, slot in here)
        if most and count > most and not judge.is_global(name) and (judge.moving or new):
            judge.fail(f"{node['name']}: {count} of {name}, at most {most}")


def ports(judge, node, here):
    """No two on one address and port, ports of strangers and those chosen of ranges with them."""
    bound = [bind(port) for port in node.get("ports") or ()]
    for service, slot in sorted(here, key=lambda one: judge.is_new(*one, node["name"])):
        bad = judge.moving or judge.is_new(service, slot, node["name"])
        mine, chosen = set(), []
        for port in judge.services[service].get("ports") or ():
            if isinstance(port, dict) and port.get("mode", "host") != "host":
                continue
            first, last = span(port)
            if last > first:
                chosen.append(pick(judge, service, slot, port))
            elif first:
                mine.add(bind(port))
        everything = [*mine, *(one for one in chosen if one)]
        for at, one in enumerate(everything):
            others = bound if at < len(mine) else bound + everything[:at]
            if bad and any(clash(one, other) for other in others):
                judge.fail(f"{node['name']}: port {one} of {service}.{slot} is bound twice")
        bound += everything


def pick(judge, service, slot, port):
    """The port that was chosen of a range."""
    address, _first, protocol = bind(port)
    first, last = span(port)
    host = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    found = (judge.extra[(service, slot)].get("ports") or {}).get(f"{host}{first}-{last}/{protocol}")
    if found is None or not first <= found <= last:
        judge.fail(f"{service}.{slot}: {found} is no port of {first}-{last}")
        return None
    return (address, found, protocol)


def span(port):
    if isinstance(port, int):
        return port, port
    first = port.get("published", port.get("port")) or 0
    return first, port.get("published_end") or first


def bind(port):
    if isinstance(port, int):
        return ("", port, "tcp")
    address = port.get("host_ip", port.get("ip", port.get("address"))) or ""
    return ("" if address in EVERY else address, span(port)[0], port.get("protocol") or "tcp")


def clash(one, other):
    return one[1:] == other[1:] and (one[0] == other[0] or "" in (one[0], other[0]))


def mounts(service):
    """[(volume, ties its service to a host, class, size)]."""
    found = []
    for volume in service.get("volumes") or ():
        raw = volume if isinstance(volume, dict) else {"name": volume}
        found.append((raw["name"], not raw.get("shared"), raw.get("class"), raw.get("size") or 0))
    return found


def storage(judge, node, here):
    """New volumes: their class is on the host, and has room for those that are local."""
    classes = node.get("storage") or {}
    room = dict.fromkeys(classes) if isinstance(classes, (list, tuple)) else classes
    wanted = {}
    for service, slot in here:
        if not judge.is_new(service, slot, node["name"]):
            continue
        for name, local, kind, size in mounts(judge.services[service]):
            if kind is None:
                continue
            if kind not in room:
                judge.fail(f"{service}.{slot} on {node['name']}, which has no storage class {kind}")
            elif local and name not in (node.get("volumes") or ()):
                wanted[(kind, name)] = size
    for kind, most in room.items():
        asked = sum(size for (one, _name), size in wanted.items() if one == kind)
        if most is not None and asked > most:
            judge.fail(f"{node['name']}: new volumes of {asked} in class {kind}, which has {most}")


def pinned(judge):
    """Replicas are where their volume is; a volume that exists nowhere is made on one host.

    Where an unknown host has some replica of it, nobody knows which of the replicas' hosts have the data.
    """
    users = {}
    for name, service in judge.services.items():
        if not judge.is_global(name):
            for volume, local, _kind, _size in mounts(service):
                if local:
                    users.setdefault(volume, set()).add(name)
    for volume, names in users.items():
        having = judge.having.get(volume)
        where = {node for name in names for _slot, node in judge.of[name]}
        if not judge.moving:
            where = {n for one in names for slot, n in judge.of[one] if judge.is_new(one, slot, n)}
        known = where - judge.unknown_names
        silent = judge.unknown_names & {node for service, _slot, node in judge.current if service in names}
        if having and known - having:
            judge.fail(f"{volume} is on {sorted(having)}, but {sorted(names)} run on {sorted(known)}")
        if not having and len(where) > 1 and not silent:
            judge.fail(f"{volume} would be made on {sorted(where)}")
