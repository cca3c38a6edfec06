# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each new key of nodes, services, current and options: what it becomes, and every refusal. Tables of data."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import reading_current, reading_nodes
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.model import SHARE, UNLIMITED
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.reader import Reader
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler.reading import read

NAN, INF = float("nan"), float("inf")


def node(**given: Any) -> Any:
    return read([{"name": "n1", **given}], [], None, None).nodes[0]


def service(nodes: Any = None, **given: Any) -> Any:
    return read(nodes or [{"name": "n1"}], [{"name": "web", **given}], None, None).services[0]


def problems(*arguments: Any) -> list[Any]:
    with pytest.raises(StowageError) as caught:
        read(*(*arguments, None, None, None)[:4])
    return caught.value.problems


def test_taints() -> None:
    stated = ["gpu=yes:NoSchedule", "old:NoExecute", "slow=:PreferNoSchedule"]
    assert [tuple(taint) for taint in node(taints=stated).taints] == [
        ("gpu", "yes", "NoSchedule"),
        ("old", "", "NoExecute"),
        ("slow", "", "PreferNoSchedule"),
    ]


def test_tolerations() -> None:
    stated = ["gpu", "gpu=yes", "gpu=:NoSchedule", "old:NoExecute", "*"]
    assert {tuple(one) for one in service(tolerations=stated).tolerations} == {
        ("gpu", None, None),
        ("gpu", "yes", None),
        ("gpu", "", "NoSchedule"),
        ("old", None, "NoExecute"),
        ("*", None, None),
    }


def test_devices_have_names_and_shares() -> None:
    request = read(
        [{"name": "n1", "capacity": {"gpu": ["b", "a", "c"], "fpga": 2}, "reserved": {"gpu": 1}}], [], None, None
    )
    assert request.dimensions == ("cpus", "memory", "fpga", "gpu")
    made = request.nodes[0]
    assert made.devices == {3: {"a": SHARE, "b": SHARE}}  # the reserve takes the last
    assert made.capacity[2:] == [2 * SHARE, 2 * SHARE]
    demands = read(
        [{"name": "n1", "capacity": {"gpu": ["a"]}}], [{"name": "w", "reservations": {"gpu": 0.25}}], None, None
    )
    assert demands.services[0].demands == ((2, SHARE // 4),)


def test_storage() -> None:
    assert node(storage={"fast": 100, "slow": None}).storage == {"fast": 100}
    assert node(storage=["fast", "slow"]).storage == {"fast": UNLIMITED, "slow": UNLIMITED}


def test_volumes_with_a_class() -> None:
    stated = ["a", {"name": "b", "class": "fast", "size": 5}, {"name": "c", "shared": True, "class": "net"}]
    made = service(volumes=stated)
    assert made.volumes == ("a", "b")
    assert made.classes == (("fast", 5, "b"), ("net", 0, "c"))
    assert made.stateful
    assert not service(volumes=stated, stateful=False).stateful
    assert not service(volumes=[{"name": "c", "shared": True}]).stateful


def test_ranges_of_ports() -> None:
    made = service(ports=[{"published": 8000, "published_end": 8010}, {"published": 9000, "published_end": 9000}, 80])
    assert [str(one) for one in made.ranges] == ["8000-8010/tcp"]
    assert [str(one) for one in made.ports] == ["80/tcp", "9000/tcp"]


def test_rules_of_counts() -> None:
    made = service(
        constraints=["hostname:UNIQUE", "node.labels.rack:CLUSTER:r1"],
        preferences=[{"spread": "node.labels.zone", "max_skew": 1}, {"spread": "node.labels.row"}],
    )
    assert [tuple(rule) for rule in made.rules] == [
        ("cluster", "node.labels.rack", 0, "r1"),
        ("max_per", "node.hostname", 1, ""),
        ("skew", "node.labels.zone", 1, ""),
    ]
    assert made.preferences == ("node.labels.zone", "node.labels.row")
    assert [str(one) for one in made.constraints] == ["node.labels.rack == r1"]


def test_affinities() -> None:
    made = service(
        affinities=[
            {"service": "db"},
            {"group": "heavy", "domain": "NODE.labels.rack", "required": True, "anti": True},
            {"service": "web", "anti": True, "weight": 100},
        ]
    )
    assert [tuple(one) for one in made.affinities] == [
        ("", "heavy", "node.labels.rack", True, 0, True),
        ("db", "", "node.hostname", False, 10, False),
        ("web", "", "node.hostname", False, 100, True),
    ]


def test_the_rest() -> None:
    made = service(groups=["b", "a", "b"], priority=-5, preempt=True, mode="replicated-job", concurrent=2)
    assert (made.groups, made.priority, made.preempt, made.concurrent) == (("a", "b"), -5, True, 2)
    asked = {"rebalance": {"max_moves": 4, "stateful": True}, "repair_moves": 0, "explain": ["web.1"]}
    options = read([], [{"name": "web"}], None, asked).options
    assert (options.rebalance_moves, options.rebalance_stateful, options.repair_moves) == (4, True, 0)
    assert options.explain == ("web.1",)
    assert read([], [], None, None).options[3:] == (0, False, 4, ())


def test_current_tells_what_is_held() -> None:
    entry = {
        "service": "web",
        "slot": 1,
        "node": "n1",
        "devices": {"gpu": {"a": 0.5}},
        "ports": {"8000-8010/tcp": 8003},
    }
    (held,) = read([{"name": "n1"}], [{"name": "web"}], [entry, copy.deepcopy(entry)], None).current
    assert held.devices == {"gpu": {"a": SHARE // 2}}
    assert held.ports == {"8000-8010/tcp": 8003}


@pytest.mark.parametrize(
    ("given", "place", "reason", "fix"),
    [
        ({"taints": ["gpu"]}, "taints[0]", "is no taint", "key=value:NoSchedule"),
        ({"taints": ["gpu:NoShedule"]}, "taints[0]", "'NoShedule' is not known", "did you mean NoSchedule?"),
        ({"taints": [5]}, "taints[0]", "5 is not a string", ""),
        ({"taints": "gpu:NoSchedule"}, "taints", "is not a list", ""),
        ({"capacity": {"gpu": ["a", "a"]}}, "capacity.gpu", "'a' is named twice", ""),
        ({"capacity": {"gpu": [""]}}, "capacity.gpu", "neither a number nor a list of names", ""),
        ({"capacity": {"cpus": ["a"]}}, "capacity.cpus", "is an amount", ""),
        ({"capacity": {"gpu": 0.5}}, "capacity.gpu", "not a whole number of pieces", ""),
        ({"reserved": {"gpu": 0.5}}, "reserved.gpu", "not a whole number of pieces", ""),
        ({"storage": {"fast": -1}}, "storage.fast", "not between 0", ""),
        ({"storage": {"fast": NAN}}, "storage.fast", "not a whole number", ""),
        ({"storage": {"fast": 10**30}}, "storage.fast", "not between 0", ""),
        ({"storage": "fast"}, "storage", "is not a mapping", ""),
        ({"facts": ["a"]}, "facts", "is not a mapping", ""),
        ({"facts": {1: 2}}, "facts", "the key 1 is not a string", ""),
        ({"ports": [{"port": 80, "published_end": 90}]}, "ports", "is a range", ""),
        ({"tains": []}, "", "unknown key 'tains'", "did you mean taints?"),
    ],
)
def test_refused_of_nodes(given: Any, place: str, reason: str, fix: str) -> None:
    (problem,) = problems([{"name": "n1", **given}], [])
    assert (problem.code, problem.place) == ("STW-SCHEDULE", f"node 'n1'.{place}".rstrip("."))
    assert reason in problem.reason
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("given", "place", "reason", "fix"),
    [
        ({"tolerations": ["a:b:c"]}, "tolerations[0]", "is no toleration", ""),
        ({"tolerations": ["a:NoExec"]}, "tolerations[0]", "'NoExec' is not known", "NoExecute"),
        ({"tolerations": ["*:NoExecute"]}, "tolerations[0]", "is no toleration", "* for all"),
        ({"groups": ["a", ""]}, "groups[1]", "has no name", ""),
        ({"priority": 1.5}, "priority", "1.5 is not a whole number from -1000", ""),
        ({"priority": True}, "priority", "True is not a whole number", ""),
        ({"priority": -1001}, "priority", "-1001 is not", ""),
        ({"priority": 10**7}, "priority", "is not a whole number from -1000 to 1000000", ""),
        ({"preempt": "yes"}, "preempt", "neither true nor false", ""),
        ({"stateful": 1}, "stateful", "neither true nor false", ""),
        ({"concurrent": 2}, "concurrent", "replicated services run all at once", "replicated-job"),
        ({"concurrent": -1, "mode": "replicated-job"}, "concurrent", "-1 is not between", ""),
        ({"replicas": 10**9}, "replicas", "1000000000 is not between 0 and 1000000", ""),
        ({"volumes": [{"name": "v", "clas": "fast"}]}, "volumes[0]", "unknown key 'clas'", "did you mean class?"),
        ({"volumes": [{"name": "v", "size": 5}]}, "volumes[0]", "a size but no class", ""),
        ({"volumes": [{"name": "v", "class": "f", "size": -5}]}, "volumes[0].size", "not between", ""),
        ({"volumes": [{"name": "v", "class": ""}]}, "volumes[0].class", "has no name", ""),
        ({"preferences": [{"spread": "node.labels.z", "max_skew": 0}]}, "preferences[0].max_skew", "between 1", ""),
        ({"preferences": [{"spread": "node.labels.z", "skew": 1}]}, "preferences[0]", "unknown key 'skew'", "max_skew"),
        ({"affinities": [{}]}, "affinities[0]", "names not just one", ""),
        ({"affinities": [{"service": "a", "group": "b"}]}, "affinities[0]", "names not just one", ""),
        ({"affinities": [{"service": "a", "domain": "rack"}]}, "affinities[0].domain", "no key of a domain", ""),
        ({"affinities": [{"service": "a", "weight": 0}]}, "affinities[0].weight", "0 is not between 1 and 100", ""),
        ({"affinities": [{"service": "a", "weight": 5, "required": True}]}, "affinities[0]", "required and has a", ""),
        ({"affinities": [{"service": "a", "requird": True}]}, "affinities[0]", "unknown key", "did you mean required?"),
        ({"affinities": {"service": "a"}}, "affinities", "is not a list", ""),
        ({"ports": [{"published": 90, "published_end": 80}]}, "ports[0]", "90 to 80 is no range", ""),
        ({"ports": [{"published_end": 80}]}, "ports[0]", "0 to 80 is no range", ""),
        ({"ports": [80, {"published": 80, "published_end": 81}, 81]}, "ports", "no port left", ""),
        ({"reservations": {"gpu": 0.5}}, "reservations.gpu", "no host names its devices", "stowage_resources"),
        ({"reservations": {"gpu": 1.5}}, "reservations.gpu", "not a whole number of pieces", ""),
        ({"reservations": {"gpu": 1e-9}}, "reservations.gpu", "less than a millionth", ""),
    ],
)
def test_refused_of_services(given: Any, place: str, reason: str, fix: str) -> None:
    (problem,) = problems([{"name": "n1"}], [{"name": "web", **given}])
    assert (problem.code, problem.place) == ("STW-SCHEDULE", f"service 'web'.{place}")
    assert reason in problem.reason
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"constraints": ["hostname:UNIQUE", "hostname:CLUSTER"], "replicas": 2},
            ["hostname:UNIQUE", "hostname:CLUSTER"],
        ),
        (
            {"constraints": ["hostname:MAX_PER:2", "hostname:CLUSTER"], "replicas": 3},
            ["MAX_PER:2", "CLUSTER", "2 of 3"],
        ),
        ({"constraints": ["node.labels.r:CLUSTER", "node.labels.r:GROUP_BY:2"]}, ["CLUSTER", "GROUP_BY:2"]),
        ({"constraints": ["node.labels.r:CLUSTER:a", "node.labels.r:CLUSTER:b"]}, ["CLUSTER:a", "CLUSTER:b"]),
        (
            {"affinities": [{"service": "db", "required": True}, {"service": "db", "required": True, "anti": True}]},
            ["affinity and anti_affinity to service db over node.hostname"],
        ),
    ],
)
def test_rules_that_exclude_each_other(given: Any, words: list[str]) -> None:
    (problem,) = problems([{"name": "n1"}], [{"name": "web", **given}])
    assert problem.code == "STW-CONTRADICTION"
    assert all(word in problem.reason for word in words), problem.reason


@pytest.mark.parametrize(
    ("entry", "place", "reason"),
    [
        ({"devices": {"gpu": {"a": 2}}}, "devices.gpu", "no part of a device"),
        ({"devices": {"gpu": {"a": NAN}}}, "devices.gpu", "no part of a device"),
        ({"devices": {"cpus": {"a": 1}}}, "devices.cpus", "no part of a device"),
        ({"devices": {"gpu": 1}}, "devices.gpu", "is not a mapping"),
        ({"ports": {"8000-8010/tcp": 9000}}, "ports", "no port of the range"),
        ({"ports": {"8000": 8000}}, "ports", "no port of the range"),
        ({"ports": {"8000-8010/tcp": "8000"}}, "ports.8000-8010/tcp", "not a whole number"),
        ({"divices": {}}, "", "unknown key"),
    ],
)
def test_refused_of_current(entry: Any, place: str, reason: str) -> None:
    found = problems([{"name": "n1"}], [{"name": "web"}], [{"service": "web", "slot": 1, "node": "n1", **entry}])
    assert found[0].place == f"current[0].{place}".rstrip(".")
    assert reason in found[0].reason


@pytest.mark.parametrize(
    ("options", "place", "reason", "fix"),
    [
        ({"rebalance": {"moves": 1}}, "options.rebalance", "unknown key", "max_moves"),
        ({"rebalance": {"max_moves": -1}}, "options.rebalance.max_moves", "not between", ""),
        ({"rebalance": 5}, "options.rebalance", "is not a mapping", ""),
        ({"repair_moves": 101}, "options.repair_moves", "not between 0 and 100", ""),
        ({"explain": ["wbe.1"]}, "options.explain", "no slot of a service", "did you mean web.1?"),
        ({"explain": "web.1"}, "options.explain", "is not a list", ""),
    ],
)
def test_refused_of_options(options: Any, place: str, reason: str, fix: str) -> None:
    (problem,) = problems([], [{"name": "web"}], None, options)
    assert problem.place == place
    assert reason in problem.reason
    assert fix in problem.fix


def test_doubts_have_near_names() -> None:
    nodes = [
        {"name": "n1", "labels": {"zone": "north", "rack": "r1"}, "storage": ["fast"], "facts": {"kernel": "6.1"}},
        {"name": "n2", "labels": {"zone": "south"}},
    ]
    services = [
        {
            "name": "web",
            "constraints": ["node.labels.zone in (nroth, x)", "node.hostname == n3 || node.facts.kernl exists"],
            "preferences": [{"spread": "node.labels.zne"}],
            "affinities": [{"service": "dbs"}, {"group": "hevy"}],
            "volumes": [{"name": "v", "class": "fats"}],
        },
        {"name": "db", "groups": ["heavy"]},
    ]
    assert list(read(nodes, services, None, None).warnings) == [
        "web: node.facts.kernl exists || node.hostname == n3: no host has the fact kernl; near: kernel",
        "web: node.facts.kernl exists || node.hostname == n3: no host has node.hostname n3",
        "web: node.labels.zone in (nroth, x): no host has node.labels.zone nroth; near: north, south",
        "web: no host has the node label zne; near: zone",
        "web: affinities: no group 'hevy'; near: heavy",
        "web: affinities: no service 'dbs'; near: db",
        "web: volume 'v': no host has the storage class 'fats'; near: fast",
    ]


QUICK = {
    "name": "n1",
    "id": "x",
    "labels": {"a": "b"},
    "engine_labels": {},
    "role": "manager",
    "availability": "pause",
    "platform": {"os": "linux", "arch": "arm64"},
    "ip": "10.0.0.1",
    "capacity": {"cpus": 1.5, "memory": 1024, "gpu": 2},
    "reserved": {"cpus": 0.1},
    "ports": [{"ip": "0.0.0.0", "port": 22, "protocol": "tcp"}, {"ip": "::", "port": 53, "protocol": "udp"}],
    "volumes": ["v"],
    "unknown": True,
    "facts": {"a": 1},
}


PLAIN = (
    "name",
    "id",
    "hostname",
    "role",
    "availability",
    "os",
    "arch",
    "ip",
    "unknown",
    "volumes",
    "taints",
    "storage",
)
MAPPINGS = ("labels", "engine_labels", "facts", "storage")


@pytest.mark.parametrize("key", [*QUICK, None])
@pytest.mark.parametrize("odd", [None, "keep", "", 0, 1.5, NAN, [], {}, {"a": None}, {1: 2}, [""], ["x"], True, -1])
def test_the_quick_way_gives_what_the_closer_look_gives(key: Any, odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = {**QUICK, **({key: odd} if key and odd != "keep" else {})}

    def outcome() -> Any:
        reader = Reader()
        made = reading_nodes.read_node(reader, raw, 0)
        parts = {name: getattr(made.node, name) for name in PLAIN}
        parts.update({name: dict(getattr(made.node, name)) for name in MAPPINGS})
        told = repr((parts, made[1:], made.node.ports._bound))
        return told if not reader.problems else reader.problems, reader.warnings

    quick = outcome()
    monkeypatch.setattr(reading_nodes, "quick_nodes", lambda values: None)
    assert quick == outcome()


def test_true_is_not_one() -> None:
    read([{"name": "n1", "capacity": {"cpus": 1}}], [], None, None)
    assert problems([{"name": "n1", "capacity": {"cpus": True}}], [])[0].reason == "True is not a number"


@pytest.mark.parametrize("odd", [None, True, 1.0, "1", "n1", "x", [], {"a": 1}])
@pytest.mark.parametrize("key", ["service", "slot", "node", "devices", None])
def test_current_read_quickly_is_what_the_closer_look_gives(
    key: Any, odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [{"name": "n1"}, {"name": "n2"}]
    services = [{"name": "web", "replicas": 2}, {"name": "all", "mode": "global"}]
    current = [
        {"service": "web", "slot": 2, "node": "n1"},
        {"service": "all", "slot": "n1", "node": "n1"},
        {"service": "web", "slot": 1, "node": "n2"},
        {"service": "web", "slot": 2, "node": "n1"},
    ]
    if key:
        current[2] = {**current[2], key: odd}

    def outcome() -> Any:
        try:
            return [*read(nodes, services, current, None).current]
        except StowageError as error:
            return error.problems

    quick = outcome()
    monkeypatch.setattr(reading_current, "_quick", lambda *arguments: None)
    assert quick == outcome()
