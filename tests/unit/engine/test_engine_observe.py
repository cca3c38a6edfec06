# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records, digests and the Observation: from what an Engine lists, as 20.10 and 28 print it."""

from __future__ import annotations

import json
import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import client, host, labels, observe, records

TASK = {
    "name": "shop_web.1.3fa94c21",
    "stack": "shop",
    "service": "shop_web",
    "slot": "1",
    "spec": "aa",
    "ip": "10.1.0.2",
}


def entry(name="shop_web.1.3fa94c21", state="running", status="Up 5 seconds (healthy)", **given):
    own = labels.task_labels("lab", {**TASK, "name": name})
    return {
        "Id": "f" * 64,
        "Names": [f"/other/{name}", f"/{name}"],
        "Image": "app:1",
        "State": state,
        "Status": status,
        "Labels": own,
        "Ports": [],
        "NetworkSettings": {"Networks": {"stowage": {"IPAMConfig": {"IPv4Address": "10.1.0.2"}, "IPAddress": ""}}},
        **given,
    }


@pytest.mark.parametrize(
    ("status", "health", "code"),
    [
        ("Up 5 seconds", "none", 0),
        ("Up Less than a second (health: starting)", "starting", 0),
        ("Up About a minute (healthy)", "healthy", 0),
        ("Up 2 hours (unhealthy)", "unhealthy", 0),
        ("Up 2 hours (Paused)", "none", 0),
        ("Exited (137) 2 minutes ago", "none", 137),
        ("Exited (0) 3 weeks ago", "none", 0),
        ("Restarting (1) Less than a second ago", "none", 1),
        ("Created", "none", 0),
        ("Dead", "none", 0),
        ("", "none", 0),
    ],
)
def test_status_text(status, health, code):
    assert (records.health_of(status), records.exit_code_of(status)) == (health, code)


def test_record_of_a_container():
    assert records.container(entry()) == {
        "id": "f" * 12,
        "name": "shop_web.1.3fa94c21",
        "stack": "shop",
        "service": "shop_web",
        "slot": "1",
        "spec": "aa",
        "ip": "10.1.0.2",
        "state": "running",
        "exit_code": 0,
        "health": "healthy",
        "image": "app:1",
        "tampered": False,
    }


def test_address_comes_from_the_label_where_the_network_forgot_it():
    assert records.container(entry(NetworkSettings={"Networks": {"stowage": {"IPAMConfig": None}}}))["ip"] == "10.1.0.2"


def test_changed_labels_are_tampered_and_another_fleet_is_a_stranger():
    changed = entry(Labels={**entry()["Labels"], "stowage.service": "db"})
    other = entry("x", Labels=labels.task_labels("other", {**TASK, "name": "x"}))
    system = entry("stowage-ingress", Labels={"stowage.system": "stowage-ingress"})
    found = records.containers([changed, other, system], "lab")
    assert [(c["name"], c["tampered"]) for c in found] == [("shop_web.1.3fa94c21", True)]
    assert records.strangers([changed, other, system], "lab") == ["x"]


def observation(containers, volumes=(), claims=(), endpoints="e", claim=None):
    return {
        "containers": records.containers(containers, "lab"),
        "volumes": records.volumes(volumes),
        "volume_claims": list(claims),
        "endpoints": {"digest": endpoints, "told": endpoints},
        "network": {"claim": claim},
    }


def objects(*args, **kwargs):
    return records.objects(observation(*args, **kwargs), "lab")


def test_objects_do_not_depend_on_order_or_health_or_uptime():
    entries = [entry(f"c{n}") for n in range(6)]
    wanted = objects(entries)
    shuffled = [{**one, "Status": "Up 9 days (unhealthy)"} for one in entries]
    random.Random(7).shuffle(shuffled)
    found = objects(shuffled)
    assert found == wanted
    assert list(found) == sorted(found)


@pytest.mark.parametrize(
    "change",
    [
        {"Id": "e" * 64},
        {"State": "exited", "Status": "Exited (0) 1 second ago"},
        {"Labels": {**entry()["Labels"], "stowage.spec": "bb"}},
    ],
)
def test_objects_show_what_a_plan_relies_on(change):
    assert objects([entry(**change)]) != objects([entry()])


def test_objects_show_volumes_endpoints_and_claim():
    volume = {"Name": "v", "Driver": "local", "Labels": None, "CreatedAt": "t1"}
    base = objects([], [volume], ["v"])
    assert objects([], [{**volume, "CreatedAt": "t2"}], ["v"])["volume v"] != base["volume v"]
    assert objects([], [], ["v"])["volume v"] != base["volume v"]
    assert "volume v" not in objects([], [volume])
    assert objects([], endpoints="f")["endpoints"] != base["endpoints"]
    assert objects([], claim={"block": "x"})["network"] != base["network"]


def test_nameless_volumes_are_left_out():
    assert records.volumes([{"Name": "a" * 64, "Driver": "local"}, {"Name": "b", "Driver": "local"}])[0]["name"] == "b"


TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0B4DA8C0:D431 0C4DA8C0:0016 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
"""
TCP6 = """  sl  local_address                         remote_address                        st
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 0 0 0
   1: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 0A 00000000:00000000 0 0 0
"""
UDP = """  sl  local_address rem_address   st
   0: 00000000:0043 00000000:0000 07 00000000:00000000 0 0 0
   1: 00000000:9C40 00000000:0000 07 00000000:00000000 0 0 0
"""


def test_listening_sockets(tmp_path):
    (tmp_path / "net").mkdir()
    for name, text in (("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)):
        (tmp_path / "net" / name).write_text(text)
    found = host.listening(str(tmp_path))
    assert found == {
        ("0.0.0.0", 80, "tcp"),
        ("127.0.0.1", 8080, "tcp"),
        ("::", 22, "tcp"),
        ("::1", 53, "tcp"),
        ("0.0.0.0", 67, "udp"),
    }
    own = [entry(Ports=[{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 80, "Type": "tcp"}, {"PrivatePort": 9}])]
    assert [port["port"] for port in host.foreign_ports(found, own)] == [22, 53, 67, 8080]


def test_network_state_is_read_tolerantly(tmp_path):
    path = tmp_path / "network.json"
    for text in ("", "[]", "{}", '{"node": "n1", "table": []}', '{"node": "n1", "table": {"nodes": {"n1": 3}}}'):
        path.write_text(text)
        assert host.network(str(path))["claim"] is None
    path.write_text(json.dumps({"node": "n1", "table": {"nodes": {"n1": {"block": "b", "address": "a"}, "a": {}}}}))
    found = host.network(str(path))
    assert (found["claim"]["block"], found["address"], list(found["table"])) == ("b", "a", ["a", "n1"])


def test_engine_labels(tmp_path):
    (tmp_path / "daemon.json").write_text('{"labels": ["zone=a", "ssd"]}')
    assert host.engine_labels(str(tmp_path / "daemon.json")) == {"ssd": "", "zone": "a"}
    assert host.engine_labels(str(tmp_path / "none")) == {}


def test_observing_takes_three_calls_however_many_containers(ours, task):
    ours.start(*[task(n) for n in range(1, 6)])
    ours.engine.calls = 0
    found = ours.observe()
    assert ours.engine.calls == 3
    assert [c["state"] for c in found["containers"]] == ["running"] * 5
    assert found["node"] == "n1"
    assert found["capacity"]["memory"] == 2048 * 1024
    assert found["network"]["claim"]["block"] == "10.128.1.0/24"
    assert found["lock"]["run"] == "r1"
    assert found["busy"] is False
    assert found == json.loads(json.dumps(found))


def test_a_host_without_an_engine_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    found = observe.observe_host("lab", str(tmp_path))
    assert found["observation"] is None
    assert found["problem"]["code"] == "STW-ENGINE"


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("app", ("app", "latest")),
        ("app:1", ("app", "1")),
        ("r:5000/shop/app", ("r:5000/shop/app", "latest")),
        ("r:5000/shop/app:2", ("r:5000/shop/app", "2")),
        ("r:5000/app:2@sha256:ab", ("r:5000/app", "sha256:ab")),
        ("app@sha256:ab", ("app", "sha256:ab")),
    ],
)
def test_image_reference(image, wanted):
    assert client.split_reference(image) == wanted


def test_text_of_a_host_is_printed_escaped():
    assert client.printable("a\x1b[31m\n  b\x00é\u202e", 80) == "a\\x1b[31m b\\x00\\xe9\\u202e"
    assert client.printable("x" * 50, 10) == "x" * 7 + "..."
