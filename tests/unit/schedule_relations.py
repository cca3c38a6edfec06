"""The validator's part for rules between replicas: counts over labels, skew, affinities, jobs.

Where the contract leaves a choice, it takes the milder reading: domains are those of hosts that could take a new
replica; hosts without the label are a domain of their own for what is placed there, and are in none for anti-affinity.
What runs on such a host is on no value; on a silent one, of whose Engine's labels nobody else can tell, on any.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from constraint_oracle import count_rule, node_value, tolerated
from schedule_hosts import mounts


def check(judge):
    domains = {}
    for name, service in judge.services.items():
        if not judge.is_global(name):
            for verb, key, number in rules(service):
                counted(judge, service, (verb, key, number), domains)
            at_once(judge, service)
    related(judge)


def rules(service):
    """(verb, key, argument) of every rule about counts; a hard spread is SKEW."""
    found = [count_rule(text) for text in service.get("constraints") or () if " || " not in text]
    skews = [
        ("SKEW", entry["spread"], entry["max_skew"])
        for entry in service.get("preferences") or ()
        if entry.get("max_skew")
    ]
    return [rule for rule in found if rule] + skews


def value(judge, key, host):
    return str(node_value(judge.nodes[host], key) or "").casefold()


def domains_of(judge, service, key, known):
    """The values of a key on the hosts that could take a new replica."""
    homes = [judge.having.get(volume) for volume, local, _kind, _size in mounts(service) if local]
    classes = {kind for _volume, _local, kind, _size in mounts(service) if kind}
    ident = (
        key,
        tuple(service.get("constraints") or ()),
        tuple(service.get("hosts") or ()),
        tuple(service.get("tolerations") or ()),
        str(homes),
        str(sorted(classes)),
    )
    if ident not in known:
        known[ident] = {
            value(judge, key, name)
            for name, node in judge.nodes.items()
            if judge.availability(node) == "active"
            and not node.get("unknown")
            and judge.allowed(service, node)
            and tolerated(node, service.get("tolerations") or ())
            and all(home is None or name in home for home in homes)
            and classes <= set(node.get("storage") or ())
        }
    return known[ident]


def tallied(judge, name, rule):
    """(all, new ones, residents on known hosts) by value of the rule's key, and how many may be on any value."""
    verb, key, number = rule
    total, new, residents, anywhere = Counter(), Counter(), Counter(), 0
    for slot, host in judge.of[name]:
        at = value(judge, key, host)
        if not at and not judge.is_new(name, slot, host):  # on no value; or on any, where only the silent host knows
            silent = host in judge.unknown_names
            anywhere += silent and not key.startswith("node.labels.")
            if judge.moving and not silent and verb in ("UNIQUE", "MAX_PER", "CLUSTER"):
                judge.fail(f"{name}: {verb} {number}, and {slot} is on {host}, which has no {key}")
            continue
        total[at] += 1
        if judge.is_new(name, slot, host):
            new[at] += 1
        elif host not in judge.unknown_names:
            residents[at] += 1
    return total, new, residents, anywhere


def counted(judge, service, rule, known):
    """One rule of one service: how many replicas each value of the key has."""
    verb, key, number = rule
    name = service["name"]
    total, new, residents, anywhere = tallied(judge, name, rule)
    shown = f"{name}: {verb} {number} over {key}: {dict(total)}"
    if verb in ("UNIQUE", "MAX_PER"):
        most = int(number or 1)
        if any(total[at] + anywhere > most for at in new) or (
            judge.moving and any(n > most for n in residents.values())
        ):
            judge.fail(shown)
    elif verb == "CLUSTER":
        kept = set(total) - set(new) if not residents else set(residents)
        if len(new) > 1 or (new and kept and not set(new) <= set(total) - set(new) | kept):
            judge.fail(shown)
        if new and anywhere and not kept:
            judge.fail(f"{shown}, and {anywhere} may be on any")
    else:
        values = domains_of(judge, service, key, known)
        labelled = (values - {""}) or values
        least = min((total[at] for at in labelled), default=None)
        if verb == "GROUP_BY" and int(number or 0) > len(values):
            least = 0
        most = int(number) if verb == "SKEW" else 1
        if least is not None and any(total[at] - least > most for at in new):
            judge.fail(f"{shown}, of {sorted(values)}")


def at_once(judge, service):
    """A job that says how many run at once starts no more than that."""
    most = service.get("concurrent") or 0
    kept = sum(1 for slot, host in judge.of[service["name"]] if not judge.is_new(service["name"], slot, host))
    if most and len(judge.of[service["name"]]) > max(most, kept):
        judge.fail(f"{service['name']}: {len(judge.of[service['name']])} at once, at most {most}")


def related(judge):
    """Required affinities and anti-affinities of all services."""
    groups = defaultdict(set)
    for name, service in judge.services.items():
        for group in service.get("groups") or ():
            groups[group].add(name)
    lonely, by_domain = defaultdict(list), {}
    for name, service in judge.services.items():
        for rule in service.get("affinities") or ():
            if not rule.get("required"):
                continue
            target = {rule["service"]} if rule.get("service") else groups[rule.get("group")]
            domain = rule.get("domain") or "node.hostname"
            ident = (rule.get("service"), rule.get("group"), domain)
            if ident not in by_domain:
                by_domain[ident] = members(judge, target, domain)
            for slot, host in judge.of[name]:
                one = (name, slot, host)
                others = [other for other in by_domain[ident][value(judge, domain, host)] if other != one]
                if rule.get("anti"):
                    apart(judge, one, others, value(judge, domain, host))
                elif not others and judge.is_new(*one):
                    lonely[ident].append((one, name in target))
    for ident, found in lonely.items():
        alone(judge, ident, found, by_domain[ident])


def members(judge, target, domain):
    found = defaultdict(list)
    for name in target:
        for slot, host in judge.of.get(name, ()):
            found[value(judge, domain, host)].append((name, slot, host))
    return found


def apart(judge, one, others, domain):
    if not domain or one[2] in judge.unknown_names:
        return
    for other in others:
        if (judge.is_new(*one) or judge.is_new(*other)) and other[2] not in judge.unknown_names:
            judge.fail(f"{one} and {other} must not be together in {domain}")
            return


def alone(judge, ident, found, by_domain):
    """Of a set that wants to be near itself the first may be alone; nobody else may."""
    kept = [one for members_here in by_domain.values() for one in members_here if not judge.is_new(*one)]
    outsiders = [one for one, inside in found if not inside]
    if outsiders:
        judge.fail(f"{outsiders} are away from what they must be near to: {ident}")
    insiders = [one for one, inside in found if inside]
    if len(insiders) > 1 or (insiders and kept):
        judge.fail(f"{insiders} are alone, and must be near to {ident}")
