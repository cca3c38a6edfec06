# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Containers that somebody else started, looked at and taken over on a fake engine; killed at any step, too."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import adopt as module
from ansible_collections.stowage.fleet.plugins.module_utils.engine import adopted

MATCH = json.loads((Path(__file__).parents[2] / "cases" / "adopt" / "match.json").read_text())
IDENTITY = MATCH["running"]["Id"]
DAEMON = {"log-driver": "json-file", "log-opts": {"max-file": "3", "max-size": "10m"}}
NAME = "shop_web.1.0a0b0c0d"
SERVICE = {"name": "shop_web", "mode": "replicated", "spec": "aa", "template": MATCH["template"], "ports": []}
TASK = {
    "id": IDENTITY,
    "name": NAME,
    "stack": "shop",
    "service": "shop_web",
    "slot": "1",
    "node": "n1",
    "ip": "10.128.1.2",
    "spec": "aa",
}
NETWORKS = {"stowage": {"IPAMConfig": {"IPv4Address": "10.128.1.2"}}}


class Killed(BaseException):
    """What a kill -9 looks like from inside."""


class Adopting:
    """A host with a running container of Compose."""

    def __init__(self, host):
        self.host, self.engine, self.routes = host, host.engine, []
        self.engine.known_images = {"stowage/app:1.0": MATCH["image"]}
        self.engine.named_volumes = {"shop_data": {"Name": "shop_data", "Driver": "local"}}
        host.write("etc/docker/daemon.json", json.dumps(DAEMON))

    def add(self, changes=(), **top):
        running = copy.deepcopy(MATCH["running"])
        for part, key, value in changes:
            running[part][key] = value
        self.engine.stranger({**running, **top})

    def put_routes(self, check):
        self.routes.append(check)
        return False

    def look(self, project="shop", services=None):
        share = {"fleet": "lab", "domain": "fleet", "stack": "shop", "project": project, "node": "n1"}
        share["services"] = {"web": SERVICE} if services is None else services
        return module.adopt({"mode": "look", "share": share}, self.host.root, False, self.engine, self.put_routes)

    def take(self, *tasks, check=False, run="r1"):
        share = {"fleet": "lab", "domain": "fleet", "services": {"aa": SERVICE}, "tasks": list(tasks) or [TASK]}
        share["volumes"] = [{"name": "shop_data", "driver": "local", "driver_opts": {}, "labels": {}, "stack": "shop"}]
        who = {"id": run, "holder": "anna@desk", "controller": {}, "ttl": 600}
        request = {"mode": "take", "share": share, "run": who}
        return module.adopt(request, self.host.root, check, self.engine, self.put_routes)

    def state(self):
        """What is left in the end: names, addresses, records, claims."""
        held = {
            name: held["body"].get("NetworkingConfig", {}).get("EndpointsConfig")
            for name, held in self.engine.held.items()
        }
        return held, adopted.records(self.host.paths.adopted), self.host.observe()["volume_claims"]


@pytest.fixture
def adopting(host):
    return Adopting(host)


def test_a_container_that_matches_is_found_with_nothing_to_replace(adopting):
    adopting.add()
    found = adopting.look()
    (one,) = found["containers"]
    assert {key: one[key] for key in ("id", "name", "kind", "service", "number", "state", "adopted", "ip")} == {
        "id": IDENTITY,
        "name": "shop_web_1",
        "kind": "compose",
        "service": "web",
        "number": 1,
        "state": "running",
        "adopted": None,
        "ip": "",
    }
    assert {one["kind"] for one in one["differences"]} == {"kept"}
    assert found["projects"] == ["shop"]
    assert found["problems"] == []
    assert adopting.engine.log == []


def test_other_projects_and_one_off_containers_are_not_found(adopting):
    labels = {**MATCH["running"]["Config"]["Labels"], "com.docker.compose.oneoff": "True"}
    adopting.add([("Config", "Labels", labels)])
    assert adopting.look()["containers"] == []
    assert adopting.look()["projects"] == []
    adopting.add([("Config", "Labels", {})], Name="/stranger", Id="e" * 64)
    assert adopting.look(project="other")["containers"] == []


def test_swarm_s_tasks_are_found_as_such(adopting):
    labels = {
        "com.docker.stack.namespace": "shop",
        "com.docker.swarm.task.id": "24o2ywl2m0jq",
        "com.docker.swarm.task.name": "shop_web.2.24o2ywl2m0jq",
        "com.docker.swarm.service.name": "shop_web",
    }
    adopting.add([("Config", "Labels", labels)])
    (one,) = adopting.look()["containers"]
    assert (one["kind"], one["service"], one["number"], one["differences"]) == ("swarm", "web", 2, [])


def test_taking_over_restarts_nothing_and_observation_sees_a_task(adopting, host):
    adopting.add([("HostConfig", "RestartPolicy", {"Name": "always"})])
    before = host.observe()
    assert before["containers"] == []
    assert before["foreign"]["containers"] == ["shop_web_1"]
    result = adopting.take()
    assert (result["changed"], result["problems"]) == (True, [])
    assert result["tasks"][0]["done"] == [
        "restart policy: always, wanted unless-stopped",
        "address 10.128.1.2",
        f"name {NAME}",
        "record",
    ]
    assert [entry[0] for entry in adopting.engine.log] == ["update", "connect", "rename"]
    calls = adopting.engine.calls
    seen = host.observe()
    assert adopting.engine.calls - calls == 3
    (record,) = seen["containers"]
    assert {key: record[key] for key in ("name", "service", "slot", "spec", "ip", "tampered", "state")} == {
        "name": NAME,
        "service": "shop_web",
        "slot": "1",
        "spec": "aa",
        "ip": "10.128.1.2",
        "tampered": False,
        "state": "running",
    }
    assert seen["foreign"]["containers"] == []
    assert seen["volume_claims"] == ["shop_data"]
    assert seen["lock"] is None
    assert adopting.routes == [False]


def test_taking_over_again_changes_nothing(adopting):
    adopting.add()
    adopting.take()
    log = list(adopting.engine.log)
    again = adopting.take(run="r2")
    assert (again["changed"], again["tasks"][0]["done"], again["problems"]) == (False, [], [])
    assert adopting.engine.log == log
    assert adopting.look()["containers"][0]["adopted"]["slot"] == "1"


def test_check_mode_says_it_and_touches_nothing(adopting, host):
    adopting.add()
    result = adopting.take(check=True)
    assert result["changed"]
    assert result["tasks"][0]["done"] == ["address 10.128.1.2", f"name {NAME}", "record"]
    assert adopting.engine.log == []
    assert adopting.state()[1:] == ({}, [])
    assert host.observe()["lock"] is None
    assert adopting.routes == [True]


@pytest.mark.parametrize("moment", ["update", "connect", "rename", "ensure", "write"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_step_the_second_run_gets_to_the_same_end(adopting, monkeypatch, moment, when):
    adopting.add([("HostConfig", "RestartPolicy", {"Name": "always"})])
    place = {"ensure": module.volumes, "write": adopted}.get(moment, adopting.engine)
    real = getattr(place, moment)

    def killed(*given):
        if when == "after":
            real(*given)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(place, moment, killed)
        with pytest.raises(Killed):
            adopting.take()
    # Until the record is there it is a stranger to everybody: no plan counts on it, none touches it.
    done = moment == "write" and when == "after"
    assert len(adopting.host.observe()["containers"]) == int(done)
    assert adopting.take()["problems"] == []
    held, records, claims = adopting.state()
    assert held == {NAME: NETWORKS}
    assert list(records) == [IDENTITY]
    assert claims == ["shop_data"]


def test_what_changed_since_it_was_looked_at_is_refused(adopting):
    adopting.add([("HostConfig", "Privileged", True)])
    result = adopting.take()
    assert [problem["code"] for problem in result["problems"]] == ["STW-ADOPT-DIFFERS"]
    assert (result["changed"], adopting.engine.log) == (False, [])


@pytest.mark.parametrize("state", ["exited", "paused", "gone"])
def test_what_stopped_since_it_was_looked_at_is_refused(adopting, state):
    if state != "gone":
        adopting.add()
        adopting.engine.held["shop_web_1"]["now"] = (state, "", 0)
    assert [problem["code"] for problem in adopting.take()["problems"]] == ["STW-ADOPT-STOPPED"]
    assert adopting.engine.log == []


def test_a_name_that_another_container_has_is_refused(adopting):
    adopting.add()
    adopting.add([("Config", "Labels", {})], Name=f"/{NAME}", Id="e" * 64)
    assert [problem["code"] for problem in adopting.take()["problems"]] == ["STW-ADOPT-NAME"]
    assert adopting.engine.log == []


def test_two_runs_never_work_on_one_host(adopting, host):
    adopting.add()
    assert host.apply("prepare", run="other")["problems"] == []
    for check in (False, True):
        assert [problem["code"] for problem in adopting.take(check=check)["problems"]] == ["STW-LOCKED"]
    assert host.observe()["lock"]["run"] == "other"


def test_an_adopted_container_stops_and_goes_like_any_other_and_is_forgotten(adopting, host):
    adopting.add()
    adopting.take()
    assert host.apply("prepare")["problems"] == []
    tasks = {"tasks": [{"name": NAME, "service": "shop_web", "slot": "1", "grace": 5}]}
    assert host.apply("stop", {**tasks, "drain": 0})["problems"] == []
    assert host.engine.states() == {NAME: "exited"}
    assert host.apply("remove", tasks)["problems"] == []
    assert host.engine.states() == {}
    assert adopted.records(host.paths.adopted) == {}


def test_renamed_by_hand_it_is_tampered_and_removed_by_hand_it_is_gone(adopting, host):
    adopting.add()
    adopting.take()
    host.engine.rename(IDENTITY, "mine")
    assert [record["tampered"] for record in host.observe()["containers"]] == [True]
    host.engine.remove("mine")
    assert host.observe()["containers"] == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"containers": []}', '{"containers": {"a": {"labels": {"x": 1}}}}'])
def test_a_damaged_file_of_records_makes_nothing_ours(adopting, host, text):
    adopting.add()
    host.write("var/lib/stowage/adopted.json", text)
    assert host.observe()["containers"] == []
    assert adopting.take()["problems"] == []
    assert len(host.observe()["containers"]) == 1


@pytest.mark.parametrize(("api", "mac"), [("1.41", None), ("1.44", "02:42:0a:80:01:02")])
def test_the_mac_address_goes_with_the_address(adopting, api, mac):
    adopting.engine.api = api
    adopting.add()
    adopting.take()
    (connected,) = [entry for entry in adopting.engine.log if entry[0] == "connect"]
    assert connected[1:3] == ("stowage", IDENTITY)
    assert connected[3].get("MacAddress") == mac
