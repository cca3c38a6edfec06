"""The inventory's part of the bad-input table: every mistake one coded refusal, all of them at once."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.fleet import build_fleet

FLEET = {"name": "prod", "domain": "fleet", "nodes": ["n1", "n2"]}
HOSTS = {"n1": {"ansible_host": "192.0.2.1"}, "n2": {"ansible_host": "192.0.2.2", "stowage_labels": {"zone": "a"}}}


def build(fleet=None, hosts=None, runs=("n1", "n2"), ingress=("n1",)):
    return build_fleet(FLEET if fleet is None else fleet, {"mode": "vxlan"}, hosts or HOSTS, runs, ingress)


def hosts(**changed):
    made = copy.deepcopy(HOSTS)
    made["n2"].update(changed)
    return made


def test_a_good_inventory_becomes_sorted_nodes():
    fleet = build()
    assert [node["name"] for node in fleet["nodes"]] == ["n1", "n2"]
    assert fleet["nodes"][1] == {
        "name": "n2",
        "address": "192.0.2.2",
        "labels": {"zone": "a"},
        "role": "worker",
        "availability": "active",
        "reserved": {},
        "ingress": False,
    }


def test_a_host_that_is_only_an_ingress_runs_no_services():
    fleet = build(runs=("n2",))
    assert fleet["nodes"][0]["availability"] == "drain"
    assert fleet["nodes"][0]["ingress"] is True


def test_sizes_are_bytes_and_cpus_are_cores():
    fleet = build(hosts=hosts(stowage_reserved={"memory": "512M", "cpus": "0.5"}))
    assert fleet["nodes"][1]["reserved"] == {"memory": 512 * 2**20, "cpus": 0.5}


@pytest.mark.parametrize(
    ("fleet", "given", "code", "contains"),
    [
        ([], None, "STW-FLEET", "is not set"),
        ({**FLEET, "name": "Prod!"}, None, "STW-NAME", "'Prod!'"),
        ({**FLEET, "name": ""}, None, "STW-NAME", "fleet name"),
        ({**FLEET, "domain": "a..b"}, None, "STW-NAME", "domain"),
        ({**FLEET, "node": ["n1"]}, None, "STW-FLEET", "unknown key"),
        ({**FLEET, "nodes": []}, None, "STW-FLEET", "host names"),
        ({**FLEET, "nodes": "n1"}, None, "STW-FLEET", "host names"),
        ({**FLEET, "nodes": ["n1", "n2", "n3"]}, None, "STW-FLEET", "'n3' is expected"),
        ({**FLEET, "nodes": ["n1"]}, None, "STW-FLEET", "'n2' is in the inventory"),
        ({**FLEET, "nodes": ["n1", "n2", "n2"]}, None, "STW-FLEET", "listed twice"),
        (None, hosts(ansible_host="n2.example"), "STW-INVENTORY", "not an IP address"),
        (None, hosts(ansible_host="-oProxyCommand=id"), "STW-INVENTORY", "not an IP address"),
        (None, hosts(ansible_host="192.0.2.1"), "STW-INVENTORY", "address '192.0.2.1' of host n1"),
        (None, hosts(stowage_availability="drained"), "STW-INVENTORY", "one of active, pause, drain"),
        (None, hosts(stowage_role="boss"), "STW-INVENTORY", "manager, worker"),
        (None, hosts(stowage_labels=["zone"]), "STW-INVENTORY", "not a mapping"),
        (None, hosts(stowage_labels={"ssd": True}), "STW-INVENTORY", "quote it"),
        (None, hosts(stowage_labels={"a b": "c"}), "STW-INVENTORY", "label name"),
        (None, hosts(stowage_reserved={"memory": "lots"}), "STW-INVENTORY", "not an amount"),
        (None, hosts(stowage_reserved={"cpus": -1}), "STW-INVENTORY", "not an amount"),
        (None, hosts(stowage_reserved={"cpus": "nan"}), "STW-INVENTORY", "not an amount"),
        (None, hosts(stowage_reserved={"cpus": True}), "STW-INVENTORY", "not an amount"),
    ],
)
def test_every_mistake_is_refused_with_its_code(fleet, given, code, contains):
    with pytest.raises(StowageError) as caught:
        build(fleet=fleet, hosts=given)
    assert code in {problem.code for problem in caught.value.problems}
    assert contains in str(caught.value)
    assert all(problem.fix for problem in caught.value.problems)


def test_all_mistakes_come_in_one_pass():
    bad = hosts(stowage_role="boss", stowage_availability="off", stowage_reserved={"cpus": -1})
    with pytest.raises(StowageError) as caught:
        build(fleet={**FLEET, "name": "No Good", "nodes": ["n1", "n2", "n9"]}, hosts=bad)
    assert len(caught.value.problems) == 5


def test_host_text_is_escaped_in_messages():
    with pytest.raises(StowageError) as caught:
        build(fleet={**FLEET, "name": "\x1b[31m{{ lookup('pipe', 'id') }}"})
    assert "\x1b" not in str(caught.value)


def test_what_only_placement_reads_is_there_if_stated():
    stated = {
        "stowage_taints": ["gpu=yes:NoSchedule"],
        "stowage_resources": {"gpu": ["GPU-a", "GPU-b"], "licence": 3},
        "stowage_storage": {"fast": "100G", "slow": 5},
    }
    node = build(hosts=hosts(**stated))["nodes"][1]
    assert node["taints"] == ["gpu=yes:NoSchedule"]
    assert node["resources"] == {"gpu": ["GPU-a", "GPU-b"], "licence": 3}
    assert node["storage"] == {"fast": 100 * 2**30, "slow": 5}


@pytest.mark.parametrize(
    ("given", "place", "contains"),
    [
        ({"stowage_taints": ["gpu"]}, "stowage_taints[0]", "write key=value:NoSchedule"),
        ({"stowage_taints": ["gpu:NoShedule"]}, "stowage_taints[0]", "did you mean NoSchedule?"),
        ({"stowage_taints": "gpu:NoSchedule"}, "stowage_taints", "is not a list"),
        ({"stowage_resources": {"gpu": 0.5}}, "stowage_resources.gpu", "not a whole number"),
        ({"stowage_resources": {"gpu": -1}}, "stowage_resources.gpu", "not between 0"),
        ({"stowage_resources": {"gpu": float("nan")}}, "stowage_resources.gpu", "not a finite number"),
        ({"stowage_resources": {"gpu": ["a", "a"]}}, "stowage_resources.gpu", "named twice"),
        ({"stowage_resources": ["gpu"]}, "stowage_resources", "not a mapping"),
        ({"stowage_resources": {"cpus": 4}}, "stowage_resources.cpus", "is observed"),
        ({"stowage_storage": {"fast": "many"}}, "stowage_storage.fast", "not a whole number"),
        ({"stowage_storage": {"fast": -5}}, "stowage_storage.fast", "not between 0"),
        ({"stowage_storage": "fast"}, "stowage_storage", "not a mapping"),
    ],
)
def test_refused_of_what_only_placement_reads(given, place, contains):
    with pytest.raises(StowageError) as caught:
        build(hosts=hosts(**given))
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("STW-INVENTORY", f"host n2: {place}")
    assert contains in str(problem)


def test_a_network_that_is_no_mapping_is_told():
    with pytest.raises(StowageError, match="STW-NETWORK stowage_network: 'vxlan' is not a mapping"):
        build_fleet(FLEET, "vxlan", HOSTS, [], [])
