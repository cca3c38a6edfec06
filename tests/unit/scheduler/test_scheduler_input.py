"""What schedule() takes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.stowage.fleet.plugins.filter.schedule import FilterModule
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule

ROOT = Path(__file__).resolve().parents[3]


def placed(result):
    return [(p["service"], p["slot"], p["node"]) for p in result["placements"]]


def test_names_are_enough():
    result = schedule([{"name": "n1"}], [{"name": "web"}])
    assert placed(result) == [("web", 1, "n1")]
    assert set(result) == {"placements", "unplaced", "moves", "reasons", "warnings"}


def test_nothing_gives_nothing():
    assert schedule([], []) == {"placements": [], "unplaced": [], "moves": [], "reasons": {}, "warnings": []}


def test_null_keys_are_missing_keys():
    node = dict.fromkeys(
        ["labels", "role", "availability", "platform", "ip", "capacity", "ports", "volumes", "unknown"]
    )
    service = dict.fromkeys(
        ["mode", "replicas", "reservations", "ports", "constraints", "strategy", "hosts", "volumes"]
    )
    assert placed(schedule([{**node, "name": "n1"}], [{**service, "name": "web"}], None, None)) == [("web", 1, "n1")]


def test_generators_and_tuples_are_lists():
    result = schedule(({"name": n} for n in ("n1", "n2")), ({"name": "web", "replicas": 2},), iter(()), {})
    assert sorted(node for _service, _slot, node in placed(result)) == ["n1", "n2"]


def test_arguments_are_left_as_they_are():
    nodes = [{"name": "n1", "labels": {"a": "b"}, "capacity": {"cpus": 1}, "ports": [80], "volumes": ["v"]}]
    services = [{"name": "web", "replicas": 3, "ports": [81], "preferences": [{"spread": "node.labels.a"}]}]
    current = [{"service": "web", "slot": 2, "node": "n1"}]
    before = copy.deepcopy((nodes, services, current))
    result = schedule(nodes, services, current, {})
    result["placements"][0]["node"] = "changed"
    result["unplaced"][0]["rejected"].clear()
    assert (nodes, services, current) == before


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1, -0.5, 1e30, True, "1", [1]])
@pytest.mark.parametrize("name", ["cpus", "memory", "gpu"])
def test_amounts_that_are_none(name, number):
    for nodes, services in (
        ([{"name": "n1", "capacity": {name: number}}], []),
        ([{"name": "n1", "reserved": {name: number}}], []),
        ([], [{"name": "web", "reservations": {name: number}}]),
    ):
        with pytest.raises(StowageError, match=f"STW-SCHEDULE .*{name}: "):
            schedule(nodes, services)


@pytest.mark.parametrize("replicas", [-1, 10**9, 1.0, "3", True, float("nan")])
def test_replicas_that_are_none(replicas):
    with pytest.raises(StowageError, match="replicas"):
        schedule([], [{"name": "web", "replicas": replicas}])


def test_all_replicas_together_have_a_limit():
    with pytest.raises(StowageError, match="2000000 replicas in all"):
        schedule([], [{"name": "a", "replicas": 10**6}, {"name": "b", "replicas": 10**6}])


@pytest.mark.parametrize("bad", ["x", 5, {"name": "n1"}])
def test_lists_that_are_none(bad):
    with pytest.raises(StowageError, match="STW-SCHEDULE"):
        schedule(bad, [])
    with pytest.raises(StowageError, match="STW-SCHEDULE"):
        schedule([], bad)
    with pytest.raises(StowageError, match="STW-SCHEDULE"):
        schedule([], [], bad)


@pytest.mark.parametrize("bad", ["x", 5, None, ["x"]])
def test_entries_that_are_none(bad):
    for arguments in (([bad], []), ([], [bad]), ([], [], [bad])):
        with pytest.raises(StowageError, match="STW-SCHEDULE"):
            schedule(*arguments)


def test_a_key_that_is_no_typo_is_a_warning():
    result = schedule([{"name": "n1", "comment": "rack 4"}], [{"name": "web", "owner": "me"}])
    assert [text.split(": ")[1] for text in result["warnings"]] == [
        "the key 'comment' is unknown and has no effect",
        "the key 'owner' is unknown and has no effect",
    ]


def test_text_from_outside_is_escaped():
    with pytest.raises(StowageError) as caught:
        schedule([{"name": "n1"}], [{"name": "web\x1b[31m", "hosts": ["n1\x07"]}])
    assert "\x1b" not in str(caught.value)
    assert "\x07" not in str(caught.value)


def test_slots_that_came_as_text_are_numbers():
    result = schedule(
        [{"name": "n1"}, {"name": "n2"}], [{"name": "web"}], [{"service": "web", "slot": "1", "node": "n2"}]
    )
    assert placed(result) == [("web", 1, "n2")]
    assert result["moves"] == []


def test_the_mode_may_change():
    nodes = [{"name": "n1"}, {"name": "n2"}]
    current = [{"service": "web", "slot": 1, "node": "n1"}]
    result = schedule(nodes, [{"name": "web", "mode": "global"}], current)
    assert placed(result) == [("web", "n1", "n1"), ("web", "n2", "n2")]
    assert [(m["slot"], m["from"], m["to"], m["cause"]) for m in result["moves"]] == [("1", "n1", None, "surplus")]
    back = schedule(nodes, [{"name": "web"}], result["placements"])
    assert len(back["placements"]) == 1
    assert [(m["slot"], m["to"]) for m in back["moves"]] == [("n1", None), ("n2", None)]


def test_the_filter_gives_what_the_function_gives():
    nodes, services = [{"name": "n1"}], [{"name": "web", "replicas": 2}]
    place = FilterModule().filters()["schedule"]
    assert place(nodes, services) == schedule(nodes, services)
    with pytest.raises(AnsibleFilterError, match="STW-SCHEDULE"):
        place(nodes, [{"name": "web", "replicas": -1}])


def interpreters():
    """Other Pythons on this machine, where there are any."""
    found = {sys.executable}
    for version in ("3.9", "3.13"):
        roots = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        named = shutil.which(f"python{version}")
        for candidate in [*map(str, roots), *([named] if named else [])]:
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
                found.add(candidate)
                break
    return sorted(found)


PROGRAM = """
import hashlib, json, sys
sys.path.insert(0, sys.argv[1])
from plugins.module_utils.scheduler import schedule
nodes = [{"name": f"n{i}", "labels": {"zone": f"z{i % 3}", "disk": "ssd" if i % 4 else "hdd"}, "ip": f"10.0.0.{i}",
          "capacity": {"cpus": 1.1 * (1 + i % 3), "memory": (i % 5) << 30}, "unknown": i == 7} for i in range(30)]
services = [{"name": f"s{i}", "replicas": i % 9, "reservations": {"cpus": 0.1 * (i % 4), "memory": i << 24},
             "strategy": ("spread", "binpack", "round_robin")[i % 3], "ports": [80] if i % 5 == 0 else [],
             "constraints": ["node.labels.disk == SSD"] if i % 2 else [],
             "volumes": [f"v{i % 4}"] if i % 6 == 0 else [],
             "preferences": [{"spread": "node.labels.zone"}] if i % 3 else []} for i in range(40)]
current = [{"service": f"s{i}", "slot": 1 + i % 4, "node": f"n{(i * 7) % 33}"} for i in range(40)]
print(hashlib.sha256(json.dumps(schedule(nodes, services, current, {})).encode()).hexdigest())
"""


def test_the_same_bytes_on_any_python_and_any_hash_seed():
    digests = set()
    for python in interpreters():
        for seed in ("0", "1", "4711"):
            environment = {**os.environ, "PYTHONHASHSEED": seed}
            command = [python, "-c", PROGRAM, str(ROOT)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            digests.add(done.stdout.strip())
    assert len(digests) == 1
