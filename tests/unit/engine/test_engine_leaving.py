"""What a fleet has in an Engine: told, taken away; what belongs to others stays, or stops the destruction."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import leaving, networks
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError

BRIDGE = "com.docker.network.bridge.name"


class Api:
    """The networks of an Engine, and who is on them."""

    def __init__(self, **attached):
        self.attached = attached
        self.held = [
            {"Name": "bridge", "Id": "1", "Options": {BRIDGE: "docker0"}},
            {"Name": "stowage", "Id": "2", "Options": {BRIDGE: "stw0"}},
            {"Name": "stowage-10.5.0.0-24", "Id": "3", "Options": {BRIDGE: "stw0abcdef01"}},
            {"Name": "stowage-blog", "Id": "4", "Options": {}},
        ]

    def networks(self, names=None):
        return [entry for entry in self.held if names is None or entry["Name"] in names]

    def inspect_network(self, identity):
        return next(entry for entry in self.held if entry["Id"] == identity)

    def containers(self, all, filters):
        return [{"Id": name, "Names": [f"/{name}"]} for name in self.attached.get(filters["network"][0], ())]

    def remove_network(self, identity):
        self.held = [entry for entry in self.held if entry["Id"] != identity]


class Engine:
    """Containers and volumes of two fleets and of nobody."""

    def __init__(self, **attached):
        self.api, self.told = Api(**attached), []

    def containers(self):
        labels = {"web": {"stowage.fleet": "lab"}, "ingress": {"stowage.system": "ingress"}, "mine": {}}
        labels["other"] = {"stowage.fleet": "else"}
        return [{"Names": [f"/{name}"], "Labels": found} for name, found in labels.items()]

    def volumes(self):
        return [{"Name": "data", "Labels": {"stowage.fleet": "lab"}}, {"Name": "theirs", "Labels": None}]

    def remove(self, name, anonymous):
        self.told.append((name, anonymous))

    def remove_volume(self, name):
        self.told.append(name)


@pytest.mark.parametrize("volumes", [False, True])
def test_only_what_is_the_fleets_goes(volumes):
    pytest.importorskip("docker")
    engine = Engine(stowage=["web"])
    found = leaving.holdings(engine, "lab")
    leaving.refuse_strangers(found)
    told = leaving.remove(engine, found, volumes, check=True)
    assert engine.told == []
    assert leaving.remove(engine, found, volumes, check=False) == told
    assert engine.told == [("ingress", volumes), ("web", volumes), *(["data"] if volumes else [])]
    assert [entry["Name"] for entry in engine.api.networks()] == ["bridge", "stowage-blog"]
    assert told[:2] == ["remove container ingress", "remove container web"]
    assert [entry["Name"] for entry in networks.own(engine.api)] == []


def test_containers_of_others_on_our_networks_are_named():
    pytest.importorskip("docker")
    with pytest.raises(StowageError, match="containers that are not the fleet's are on it: 'mine'"):
        leaving.refuse_strangers(leaving.holdings(Engine(stowage=["web", "mine"]), "lab"))
