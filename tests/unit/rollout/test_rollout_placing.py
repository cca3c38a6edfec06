# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the plan asks of the scheduler: what blocked services hold counts, devices and ports go to the host and back."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.engine import labels, payload, records
from ansible_collections.stowage.fleet.plugins.module_utils.fleet import schedulable_nodes
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import placing
from ansible_collections.stowage.fleet.plugins.module_utils.rollout.steps import start_task
from fake_fleet import FakeFleet, compiled, service, volume

DEVICES, PORTS = {"gpu": {"GPU-a": 1.0, "GPU-b": 1.0}}, {"8000-8010/tcp": 8003}


def blocked_fleet(**given):
    """A host on which a service runs whose volume has gone since."""
    fleet = FakeFleet(["n1"])
    db = service("db", volumes=[volume("data")], **given)
    fleet.apply(fleet.plan(compiled(db)))
    fleet.hosts["n1"]["volumes"].clear()
    return fleet, db


def test_what_a_blocked_service_reserves_is_not_given_away():
    fleet, db = blocked_fleet(reservations={"cpus": 3, "memory": 0})
    web = service("web", replicas=2, reservations={"cpus": 1, "memory": 0})
    plan = fleet.plan(compiled(db, web))
    kinds = {(c["service"], c["slot"]): (c["change"], c["reason"]) for c in plan["changes"]}
    assert kinds[("shop_db", "*")][0] == "blocked"
    assert kinds[("shop_web", "1")][0] == "create"
    assert kinds[("shop_web", "2")][0] == "blocked"
    assert "needs 1 cpus, 0 free" in kinds[("shop_web", "2")][1]
    assert "(blocked)" not in str(plan["reasons"])
    assert [c for c in plan["changes"] if c["service"] == "shop_db"] == [c for c in plan["changes"] if c["slot"] == "*"]


def test_a_port_of_a_blocked_service_is_bound():
    port = {"target": 80, "published": 8080, "protocol": "tcp", "mode": "host"}
    fleet, db = blocked_fleet(ports=[port])
    plan = fleet.plan(compiled(db, service("web", ports=[port])))
    (web,) = [change for change in plan["changes"] if change["service"] == "shop_web"]
    assert web["change"] == "blocked"
    assert "8080/tcp" in web["reason"]


def test_affinities_to_a_blocked_service_find_its_stand_ins():
    fleet, db = blocked_fleet()
    web = service("web", placement={"affinities": [{"service": "shop_db", "required": True, "anti": True}]})
    held = [{"service": "shop_db", "slot": 1, "node": "n1"}]
    nodes = schedulable_nodes(fleet.fleet(), fleet.observe())
    asked = placing.question(nodes, {"shop_db": db, "shop_web": web}, held, {"shop_db"}, {})
    pins = [one for one in asked.services if one["name"].endswith(placing.PIN)]
    assert [one["hosts"] for one in pins] == [["n1"]]
    turned = next(one for one in asked.services if one["name"] == "shop_web")["affinities"]
    assert turned == [{"group": pins[0]["groups"][0], "required": True, "anti": True}]


def test_what_the_inventory_says_reaches_the_scheduler():
    fleet = FakeFleet(["n1"])
    stated = fleet.fleet()
    given = {"taints": ["gpu:NoSchedule"], "storage": {"fast": 5}, "resources": {"gpu": ["GPU-a"]}}
    stated["nodes"][0].update(given)
    (node,) = schedulable_nodes(stated, fleet.observe())
    assert node["taints"] == ["gpu:NoSchedule"]
    assert node["storage"] == {"fast": 5}
    assert node["capacity"] == {"cpus": 4, "memory": 8 * 2**30, "gpu": ["GPU-a"]}
    assert node["facts"]["engine"]["version"] == "20.10.24"
    (unknown,) = schedulable_nodes(stated, {})
    assert unknown["capacity"] == {"gpu": ["GPU-a"]}


def test_devices_and_ports_go_to_the_host_and_come_back():
    wanted = service("web")
    change = {"change": "create", "service": "shop_web", "slot": "1", "node": "n1", "spec": "s", "replaces": None}
    change.update({"name": "shop_web.1.x", "ip": "10.0.0.2", "do": "create", "devices": DEVICES, "ports": PORTS})
    task = start_task(change, wanted)
    template = {
        "image": "app:1",
        "environment": {"A": "b"},
        "ports": [{"target": 80, "published": 8000, "published_end": 8010, "protocol": "tcp", "mode": "host"}],
    }
    body = payload.container(template, task, {"fleet": "lab", "domain": "fleet", "gateway": "", "api": "1.41"})["body"]
    assert body["Env"] == ["A=b", "DOCKER_RESOURCE_GPU=GPU-a,GPU-b"]
    assert body["HostConfig"]["PortBindings"]["80/tcp"] == [{"HostIp": "", "HostPort": "8003"}]
    seen = records.container({"Id": "1" * 64, "Names": ["/shop_web.1.x"], "Labels": body["Labels"], "State": "running"})
    assert not seen["tampered"]
    held = placing.held_entries({"shop_web": wanted}, {("shop_web", "1"): [{**seen, "node": "n1"}]}, [])
    assert held == [{"service": "shop_web", "slot": 1, "node": "n1", "devices": DEVICES, "ports": PORTS}]


def test_changed_labels_of_devices_are_tampered_with():
    task = {"name": "x", "stack": "s", "service": "s_w", "slot": "1", "spec": "d", "ip": "10.0.0.2", "devices": DEVICES}
    made = labels.task_labels("lab", task)
    assert not labels.tampered("x", made)
    assert labels.tampered("x", {**made, "stowage.devices": "{}"})
    without = {key: value for key, value in made.items() if key != "stowage.devices"}
    assert labels.tampered("x", without)


def test_labels_that_say_nonsense_are_nothing():
    for text in ("", "[", "5", '{"gpu": 1}', '{"gpu": {"a": 2}}', '{"gpu": {"a": true}}', "[" * 100_000):
        assert records.given({"stowage.devices": text}) == {}
    for text in ('{"8000-8010/tcp": "8003"}', '{"8000-8010/tcp": 0}', "null"):
        assert records.given({"stowage.ports": text}) == {}
