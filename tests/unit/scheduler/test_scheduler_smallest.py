"""The smallest change that explain names: done, it gives the replica a home. Nobody else stands in line before it."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.grammar import parse_rules, rule_text
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.model import CountRule
from hypothesis import given
from schedule_strategies import GIB, fleets
from test_scheduler_laws_rules import FEW, planned


def settled(fleet, result, name):
    """The question once the plan is carried out, and all but one missing slot of one service are given up."""
    nodes, services, _current, options = copy.deepcopy(fleet)
    current, counted = [], dict.fromkeys([one["name"] for one in services], 0)
    everywhere = {one["name"] for one in services if one["mode"].startswith("global")}
    for one in result["placements"]:
        counted[one["service"]] += 1
        slot = one["slot"] if one["service"] in everywhere else counted[one["service"]]
        current.append({**one, "slot": slot})
    for one in services:
        if one["name"] not in everywhere:
            one["replicas"] = counted[one["name"]] + (one["name"] == name)
        elif one["name"] != name:
            one["hosts"] = [entry["node"] for entry in current if entry["service"] == one["name"]]
            if not one["hosts"]:
                one.update(mode="replicated", replicas=0)
    options = {key: value for key, value in options.items() if key != "rebalance"}
    return nodes, services, current, {**options, "unknown_missing": "place"}


def apply(question, changes, lower):
    """Do what the changes say. lower: of two ways to find room, let the service reserve less."""
    nodes, services, _current, options = question
    hosts, named = {one["name"]: one for one in nodes}, {one["name"]: one for one in services}
    for change in changes:
        DO[change["what"]](change, hosts.get(change.get("node")), named.get(change.get("service")), lower)
        if change["what"] == "volume":
            move(nodes, change)
        if change["what"] == "assume_lost":
            options["assume_lost"] = [*options.get("assume_lost", ()), *change["nodes"]]


def room(change, node, service, lower):
    name = change["resource"]
    if lower:
        service["reservations"][name] = change["to"]
    elif isinstance(node["capacity"].get(name), list):
        node["capacity"][name] = [*node["capacity"][name], *(f"new{at}" for at in range(change["more"]))]
    else:
        usable = max(node["capacity"].get(name) or 0, node["reserved"].get(name) or 0)
        node["capacity"][name] = round(usable + change["more"], 9)


def constraint(change, _node, service, _lower):
    def has(text):
        parsed = parse_rules(text, "here", [])
        return change["drop"] in [rule_text(one) if isinstance(one, CountRule) else str(one) for one in parsed]

    service["constraints"] = [text for text in service["constraints"] if not has(text)]
    for wish in service["preferences"]:
        if change["drop"] == f"spread over {wish['spread']} with max_skew {wish.get('max_skew')}":
            del wish["max_skew"]


def affinity(change, _node, service, _lower):
    def same(one):
        towards = (one.get("service"), one.get("group"), one["domain"], bool(one.get("anti")))
        return towards == (change.get("towards"), change.get("group"), change["domain"], change["anti"])

    service["affinities"] = [one for one in service["affinities"] if not (one.get("required") and same(one))]


def port(change, _node, service, _lower):
    wanted = change.get("port") or change["ports"]
    shown = {80: "80/tcp", "127.0.0.1": "127.0.0.1:80/tcp", "udp": "53/udp", 8001: "8000-8001/tcp", 79: "79-80/tcp"}
    for one in list(service["ports"]):
        raw = {"published": one} if isinstance(one, int) else one
        keys = (raw.get("host_ip"), raw.get("protocol"), raw.get("published_end"), raw["published"])
        if wanted in [shown.get(key) for key in keys] or wanted == "79-80/tcp" == f"{keys[3]}-{keys[2]}/tcp":
            service["ports"].remove(one)


def storage(change, node, _service, _lower):
    classes = node["storage"] if isinstance(node["storage"], dict) else dict.fromkeys(node["storage"], 2**50)
    node["storage"] = {**classes, change["class"]: (classes.get(change["class"]) or 0) + change["more"]}


def move(nodes, change):
    for node in nodes:
        kept = set(node["volumes"]) - {change["volume"]}
        node["volumes"] = sorted(kept | ({change["volume"]} if node["name"] == change["node"] else set()))


DO = {
    "availability": lambda change, node, _service, _lower: node.update(availability=change["to"]),
    "toleration": lambda change, _node, service, _lower: service["tolerations"].append(change["taint"]),
    "hosts": lambda change, _node, service, _lower: service["hosts"].append(change["add"]),
    "constraint": constraint,
    "rule": constraint,
    "affinity": affinity,
    "port": port,
    "ports": port,
    "storage": storage,
    "max_replicas_per_node": lambda change, _node, service, _lower: service.update(max_replicas_per_node=change["to"]),
    "concurrent": lambda change, _node, service, _lower: service.update(concurrent=change["to"]),
    "resources": room,
    "volume": lambda *_: None,
    "assume_lost": lambda *_: None,
}


@FEW
@given(fleets())
def test_the_smallest_change_admits_it(fleet):
    first = planned(*fleet)
    for name in sorted({entry["service"] for entry in first["unplaced"]}):
        question = settled(fleet, first, name)
        without = planned(*question)
        homeless = [entry["slot"] for entry in without["unplaced"] if entry["service"] == name]
        if not homeless:
            continue
        key = f"{name}.{homeless[0]}"
        told = schedule(*question[:3], {**question[3], "explain": [key]})["explain"][key]
        assert told["smallest_change"]
        for lower in (False, True) if told["changes"] else ():
            changed = copy.deepcopy(question)
            apply(changed, told["changes"], lower)
            places = [(one["service"], one["slot"]) for one in schedule(*changed)["placements"]]
            assert (name, homeless[0]) in places, (lower, told["smallest_change"], told["changes"])


NODES = [
    {"name": "n1", "labels": {"disk": "hdd"}, "capacity": {"memory": GIB}},
    {"name": "n2", "labels": {"disk": "ssd"}, "capacity": {"memory": 2 * GIB}},
]


@pytest.mark.parametrize(
    ("service", "extra", "words"),
    [
        ({"reservations": {"memory": 4 * GIB}}, {}, "give n2 2 GiB of memory more (it has 2 GiB for replicas), or"),
        (
            {"reservations": {"memory": GIB + 1}, "constraints": ["node.labels.disk == hdd"]},
            {},
            "without node.labels.d",
        ),
        ({"hosts": ["n3"]}, {"availability": "drain"}, "make n3 active (it is drained)"),
        ({"hosts": ["n3"]}, {"unknown": True}, "wait until n3 answered, or give up what is dead"),
        ({"hosts": ["n3"]}, {"taints": ["gpu=yes:NoExecute"]}, "let fat tolerate gpu=yes:NoExecute of n3"),
        ({"hosts": ["n3"], "ports": [80]}, {"ports": [80]}, "free 80/tcp on n3, or let fat publish another port"),
        ({"hosts": ["n3"], "replicas": 2, "max_replicas_per_node": 1}, {}, "let fat have 2 replicas per host"),
        ({"volumes": ["v"], "ports": [80]}, {"volumes": ["v"], "ports": [80]}, "free 80/tcp on n3"),
        ({"replicas": 2, "constraints": ["node.labels.zone:UNIQUE"]}, {"labels": {"zone": "a"}}, "node.labels.zone:UN"),
        ({"mode": "replicated-job", "replicas": 2, "concurrent": 1}, {}, "wait until others of fat are done, or"),
    ],
)
def test_in_words(service, extra, words):
    question = [[*NODES, {"name": "n3", "capacity": {"memory": 0}, **extra}], [{"name": "fat", **service}], []]
    missing = schedule(*question)["unplaced"]
    key = f"fat.{missing[0]['slot']}"
    assert words in schedule(*question, {"explain": [key]})["explain"][key]["smallest_change"]
