"""The fleet's Docker network: when it is left alone, made anew, or refused. The Engine is played by its answers."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import networks
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError

pytest.importorskip("docker")

ENTRY = {"block": "10.128.5.0/24", "gateway": "10.128.5.1"}


def want(mtu=1450, major=20):
    return networks.wanted("lab", ENTRY, "10.128.5.224/27", mtu, major)


class Engine:
    """What an APIClient answers, and what it was told."""

    def __init__(self, network=None, containers=()):
        self.network, self.names, self.told = network, list(containers), []

    def networks(self, names=None):
        found = [{"Name": "stowage-other", "Id": "2", "IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}]}}]
        return found + ([self.network] if self.network else [])

    def inspect_network(self, _ident):
        return self.network

    def containers(self, all, filters):
        assert (all, filters) == (True, {"network": ["stowage"]})
        return [{"Id": name, "Names": [f"/{name}"]} for name in self.names]

    def create_network(self, name, driver, options, ipam, labels):
        self.told.append(f"create {name}")
        config = {"Driver": driver, "Options": options, "IPAM": ipam, "Labels": labels}
        self.network = copy.deepcopy({"Name": name, "Id": "1", **config})

    def remove_network(self, _ident):
        self.told.append("remove")
        self.network = None


def made(major=20, **options):
    engine = Engine(**options)
    engine.create_network(
        "stowage", "bridge", want()["options"], {"Config": [want()["config"]]}, want(major=major)["labels"]
    )
    engine.told = []
    return engine


def test_it_is_made_once():
    engine = Engine()
    assert networks.keep(engine, want(), check=True) == (["create Docker network stowage"], [])
    assert engine.told == []
    assert networks.keep(engine, want(), check=False) == (["create Docker network stowage"], [])
    assert networks.keep(engine, want(), check=False) == ([], [])
    assert engine.told == ["create stowage"]


def test_a_different_one_is_made_anew_while_nobody_is_on_it():
    engine = made()
    engine.network["Options"]["com.docker.network.bridge.enable_ip_masquerade"] = "true"
    changes, _warnings = networks.keep(engine, want(), check=False)
    assert "enable_ip_masquerade: 'true', not 'false'" in changes[0]
    assert engine.told == ["remove", "create stowage"]


def test_it_is_not_made_anew_under_containers_even_stopped_ones():
    engine = made(containers=["shop_web.1"])
    engine.network["IPAM"]["Config"][0]["Subnet"] = "10.128.9.0/24"
    with pytest.raises(StowageError, match=r"STW-NETWORK .*1 containers are on it: 'shop_web.1'; drain the host first"):
        networks.keep(engine, want(), check=False)
    assert engine.told == []


def test_another_mtu_under_containers_is_a_warning():
    changes, warnings = networks.keep(made(containers=["a"]), want(mtu=1400), check=False)
    assert changes == []
    assert "'1450', not '1400'" in warnings[0]


def test_one_made_before_gateway_modes_is_made_anew_by_an_engine_that_knows_them():
    assert networks.keep(made(major=27), want(major=28), check=True)[0] != []
    assert networks.keep(made(major=20), want(major=27), check=True)[0] == []
    assert networks.keep(made(major=28), want(major=29), check=True)[0] == []


def test_it_is_removed_only_when_empty():
    with pytest.raises(StowageError, match="STW-NETWORK"):
        networks.remove(made(containers=["a"]), check=False)
    engine = made()
    assert networks.remove(engine, check=False) == ["remove Docker network stowage"]
    assert networks.remove(engine, check=False) == []


def test_foreign_networks_are_those_that_are_not_ours():
    assert networks.networks(made()) == {"stowage-other": ["10.1.0.0/24"]}


@pytest.mark.parametrize(
    ("info", "found"),
    [
        ({"DefaultAddressPools": [{"Base": "10.200.0.0/16", "Size": 24}]}, ["10.200.0.0/16"]),
        ({}, list(networks.BUILT_IN_POOLS)),
    ],
)
def test_pools_are_those_that_the_engine_was_told_or_its_own(info, found):
    engine = Engine()
    engine.info = lambda: info
    assert networks.pools(engine) == found
