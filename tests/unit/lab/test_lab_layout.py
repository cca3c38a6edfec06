# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names, addresses, steps and access of a lab."""

from __future__ import annotations

import ipaddress
import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.lab import (
    Action,
    access,
    containers,
    default_subnet,
    difference,
    inventory,
    known_hosts,
    layout,
    node_container,
    registry_container,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True)
STATES = st.sampled_from(["running", "exited", "created", "paused", "dead"])
KEYS = {f"n{i}": f"ssh-ed25519 AAAA{i}" for i in range(1, 11)}


def test_the_default_lab_has_its_promised_addresses():
    lab = layout("lab", 3)
    assert (lab.subnet, lab.gateway, lab.registry_endpoint) == ("172.30.77.0/24", "172.30.77.1", "172.30.77.2:5000")
    assert [(h.name, h.container, h.address) for h in lab.hosts] == [
        ("n1", "lab-n1", "172.30.77.11"),
        ("n2", "lab-n2", "172.30.77.12"),
        ("n3", "lab-n3", "172.30.77.13"),
    ]


@given(NAMES)
def test_other_labs_never_take_the_default_labs_network(name):
    net = ipaddress.IPv4Network(default_subnet(name))
    assert net.subnet_of(ipaddress.IPv4Network("172.30.0.0/16"))
    assert net.prefixlen == 24
    assert (str(net) == "172.30.77.0/24") == (name == "lab")


def test_a_given_subnet_is_used():
    assert layout("x", 10, "10.9.8.0/27").hosts[-1].address == "10.9.8.20"


def test_all_mistakes_are_told_at_once():
    with pytest.raises(StowageError) as caught:
        layout("Lab!", 11, "10.0.0.0/28")
    assert [p.code for p in caught.value.problems] == ["STW-LAB-NAME", "STW-LAB-HOSTS", "STW-LAB-SUBNET"]
    assert "11 hosts" in str(caught.value)


@pytest.mark.parametrize("subnet", ["10.0.0.1/24", "fd00::/64", "nonsense", "10.0.0.0/30"])
def test_a_wrong_subnet_is_refused(subnet):
    with pytest.raises(StowageError, match="STW-LAB-SUBNET"):
        layout("x", 1, subnet)


def test_a_new_lab_is_created_registry_first():
    lab = layout("a", 2)
    assert difference(lab, {}) == [Action("create", c) for c in ("a-registry", "a-n1", "a-n2")]


@given(st.dictionaries(st.sampled_from(["a-registry", "a-n1", "a-n2", "a-n3", "a-n9"]), STATES))
def test_steps_lead_to_the_lab_and_then_there_are_none(found):
    lab = layout("a", 2)
    after = dict(found)
    for step in difference(lab, found):
        if step.verb == "remove":
            del after[step.container]
        else:
            assert (step.container in after) == (step.verb != "create")
            after[step.container] = "running"
    assert after == {"a-registry": "running", "a-n1": "running", "a-n2": "running"}
    assert difference(lab, after) == []


def test_a_host_is_not_privileged_and_carries_its_labels():
    lab = layout("a", 1)
    body = node_container(lab, lab.hosts[0], "image", "ssh-ed25519 AAAA")
    assert "Privileged" not in body["HostConfig"]
    assert body["HostConfig"]["CapDrop"] == ["SYS_RESOURCE"]
    assert body["Labels"] == {
        "stowage.lab": "a",
        "stowage.lab.role": "node",
        "stowage.lab.host": "n1",
        "stowage.lab.host_key": "ssh-ed25519 AAAA",
    }
    assert body["NetworkingConfig"]["EndpointsConfig"]["stowage-a"]["IPAMConfig"] == {
        "IPv4Address": lab.hosts[0].address
    }


def test_the_registry_is_open_to_this_machine_only():
    lab = layout("a", 1)
    bindings = registry_container(lab, "image")["HostConfig"]["PortBindings"]
    assert {binding["HostIp"] for ports in bindings.values() for binding in ports} == {"127.0.0.1"}
    # The images outlive the lab: the shared volume has no lab's label.
    assert containers.REGISTRY_VOLUME in json.dumps(registry_container(lab, "image"))


def test_the_inventory_says_how_to_reach_and_what_to_expect():
    lab = layout("lab", 4)
    data = inventory(lab, KEYS, "/lab")["all"]
    group = data["children"]["stowage_nodes"]
    assert data["vars"]["stowage_fleet_nodes"] == ["n1", "n2", "n3", "n4"]
    assert [host["stowage_labels"]["zone"] for host in group["hosts"].values()] == ["a", "b", "c", "a"]
    assert [name for name, host in group["hosts"].items() if host["stowage_labels"].get("ingress")] == ["n1"]
    assert "StrictHostKeyChecking=yes" in group["vars"]["ansible_ssh_common_args"]
    assert list(data["children"]["stowage_ingress"]["hosts"]) == ["n1"]


def test_a_host_made_anew_has_another_control_socket():
    lab = layout("lab", 1)
    assert access.control_path(lab, "n1", "old") != access.control_path(lab, "n1", "new")


def test_known_hosts_drops_comments():
    assert known_hosts(layout("lab", 1), {"n1": "ssh-ed25519 AAAA me@there"}) == "172.30.77.11 ssh-ed25519 AAAA\n"


def test_daemon_json_is_written_as_the_engine_role_writes_it():
    from ansible.plugins.filter.core import to_nice_json

    lab = layout("lab", 1)
    config = inventory(lab, KEYS, "/lab")["all"]["children"]["stowage_nodes"]["vars"]["stowage_engine_config"]
    assert access.engine_config_text(lab) == to_nice_json(config) + "\n"
