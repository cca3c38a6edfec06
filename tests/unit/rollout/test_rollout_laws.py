"""The laws of DESIGN 2 that hold for the plan and its steps, on a fleet in memory."""

from __future__ import annotations

import copy
import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from fake_fleet import FakeFleet, compiled, service, volume


def shop(image="app:1", replicas=3, **more):
    return compiled(
        service("web", image=image, replicas=replicas, depends_on=["shop_db"], **more),
        service("db", image="db:1", volumes=[volume("shop_data")], update={"order": "stop-first"}),
        service("agent", image="agent:1", mode="global"),
    )


def deployed(wanted=None):
    fleet = FakeFleet()
    fleet.apply(fleet.plan(wanted or shop()))
    return fleet


def kinds(plan):
    return sorted((c["service"], c["change"]) for c in plan["changes"])


def test_cold_deploy_runs_everything_and_then_the_plan_is_empty():
    fleet = deployed()
    assert len(fleet.running("shop_web")) == 3
    assert len(fleet.running("shop_agent")) == 3
    assert len(fleet.running("shop_db")) == 1
    plan = fleet.plan(shop())
    assert plan["changes"] == []
    assert plan["steps"] == []


def test_dependencies_start_in_an_earlier_wave():
    plan = FakeFleet().plan(shop())
    waves = {
        task["service"]: step["wave"]
        for step in plan["steps"]
        if step["phase"] == "start"
        for share in step["hosts"].values()
        for task in share["tasks"]
    }
    assert waves["shop_db"] < waves["shop_web"]
    assert waves["shop_agent"] == waves["shop_db"] == 1


def test_the_plan_is_the_same_bytes_for_shuffled_input():
    fleet = deployed()
    wanted = shop("app:2", replicas=5)
    reference = rollout.dump(fleet.plan(wanted))
    for seed in range(10):
        chaos = random.Random(seed)
        mixed = copy.deepcopy(wanted)
        chaos.shuffle(mixed["services"])
        nodes = fleet.fleet()
        chaos.shuffle(nodes["nodes"])
        seen = fleet.observe()
        names = list(seen)
        chaos.shuffle(names)
        for observation in seen.values():
            chaos.shuffle(observation["containers"])
            chaos.shuffle(observation["volumes"])
        nodes["nodes"].sort(key=lambda node: node["name"])  # the inventory's reader sorts
        plan = rollout.plan(nodes, mixed, {name: seen[name] for name in names}, fleet.digests, {})
        assert rollout.dump(plan) == reference


def test_scale_changes_only_that_service():
    fleet = deployed()
    before = fleet.running()
    plan = fleet.plan(shop(replicas=5))
    assert kinds(plan) == [("shop_web", "create"), ("shop_web", "create")]
    fleet.apply(plan)
    assert before.items() <= fleet.running().items()
    plan = fleet.plan(shop(replicas=2))
    assert kinds(plan) == [("shop_web", "remove")] * 3
    assert [c["slot"] for c in plan["changes"]] == ["3", "4", "5"]


def test_update_replaces_one_at_a_time_and_never_serves_less():
    fleet = deployed()
    plan = fleet.plan(shop("app:2"))
    assert kinds(plan) == [("shop_web", "replace")] * 3
    state = rollout.begin(plan["serving"])
    for step in plan["steps"]:
        state = fleet._step(plan, state, step)
        assert sum(1 for task in state["serving"] if task["service"] == "shop_web") == 3
        served = {task["name"] for task in state["serving"] if task["service"] == "shop_web"}
        assert served <= set(fleet.running("shop_web")), "traffic to a container that does not run"
    assert set(fleet.running("shop_web").values()) == {"app:2"}
    assert all(c["state"] == "running" for host in fleet.hosts.values() for c in host["containers"].values())


def test_old_containers_stop_only_after_every_host_was_told():
    fleet = deployed()
    plan = fleet.plan(shop("app:2"))
    order = [(step["phase"], step["wave"], step.get("closes")) for step in plan["steps"]]
    one, two = [("start", 1, None), ("endpoints", 1, None)], [("start", 2, 1), ("endpoints", 2, None)]
    assert order == [("prepare", 0, None), *one, *two, ("start", 3, 2), ("endpoints", 3, None), ("remove", 0, 3)]


def test_a_wave_that_waits_or_takes_a_port_of_the_host_starts_when_all_of_the_last_one_is_stopped():
    for more in ({"update": {"delay": 5.0}}, {"template": {"ports": [{"target": 80, "published": 80}]}}):
        plan = deployed(shop(**more)).plan(shop("app:2", **more))
        closing = [(step["phase"], step["closes"]) for step in plan["steps"] if "closes" in step]
        assert closing == [("remove", 3)]


def test_the_last_wave_of_a_stopped_roll_still_stops_what_it_replaced_and_starts_no_more():
    policy = {"update": {"parallelism": 2}}
    fleet = deployed(shop(replicas=4, **policy))
    before = fleet.running("shop_web")
    plan = fleet.plan(shop("app:2", replicas=4, **policy))
    first = next(step for step in plan["steps"] if step["phase"] == "start")
    bad = sorted(first["hosts"])[0]
    share = first["hosts"][bad]
    share["services"] = {key: {**t, "image": "app:bad"} for key, t in share["services"].items()}
    fleet.broken_images.add("app:bad")
    state = fleet.apply(plan)
    assert rollout.outcome(state) == "stopped"
    assert len(state["failed"]) == len(share["tasks"]) == 1
    kept = {task["old"]["name"] for task in share["tasks"]}
    replaced = {task["old"]["name"] for one in first["hosts"].values() for task in one["tasks"]} - kept
    running = fleet.running("shop_web")
    assert replaced
    assert set(before) - set(running) == replaced
    assert sorted(running.values()) == ["app:1"] * 3 + ["app:2"]


def test_a_stop_that_fails_beside_a_start_ends_the_roll_after_that_wave():
    fleet = deployed()
    plan = fleet.plan(shop("app:2"))
    step = next(step for step in plan["steps"] if "closes" in step)
    problem = {"code": "STW-STOP", "place": "container x", "reason": "no", "fix": "look"}
    results = {
        node: {"tasks": [{**task, "ok": True} for task in share["tasks"]], "problems": [problem]}
        for node, share in step["hosts"].items()
    }
    state = rollout.judge(plan, rollout.begin(plan["serving"]), step, results)
    assert state["last_wave"] == 2
    assert state["failed"] == []


def test_stop_first_withdraws_before_it_stops():
    fleet = deployed()
    wanted = shop()
    wanted["services"][1]["template"]["image"] = "db:2"
    plan = fleet.plan(wanted)
    phases = [(step["phase"], step.get("withdraw")) for step in plan["steps"] if step["wave"] == 1]
    old = next(name for name in fleet.running("shop_db"))
    assert phases == [("endpoints", [old]), ("stop", None), ("start", None), ("endpoints", [])]


@pytest.mark.parametrize("parallelism", [1, 2, 0])
def test_a_controller_killed_after_any_step_leaves_nothing_behind(parallelism):
    policy = {"update": {"parallelism": parallelism}}
    steps = len(deployed(shop(**policy)).plan(shop("app:2", replicas=4, **policy))["steps"])
    assert steps >= 4
    for moment in range(steps + 1):
        fleet = deployed(shop(**policy))
        wanted = shop("app:2", replicas=4, **policy)
        fleet.apply(fleet.plan(wanted), stop_after=moment)
        assert len(fleet.running("shop_web")) >= 3
        again = fleet.plan(wanted)
        state = fleet.apply(again)
        assert rollout.outcome(state) == "done"
        assert sorted(fleet.running("shop_web").values()) == ["app:2"] * 4
        assert fleet.plan(wanted)["steps"] == []
        stopped = [c for host in fleet.hosts.values() for c in host["containers"].values() if c["state"] != "running"]
        assert stopped == []


def test_a_bad_image_stops_at_the_first_wave_and_the_old_one_serves():
    fleet = deployed()
    fleet.broken_images.add("app:bad")
    before = fleet.running("shop_web")
    plan = fleet.plan(shop("app:bad"))
    state = fleet.apply(plan)
    assert rollout.outcome(state) == "stopped"
    assert fleet.running("shop_web") == before
    assert len(state["failed"]) == 1
    assert {task["name"] for task in state["serving"] if task["service"] == "shop_web"} == set(before)
    text = "\n".join(rollout.conclusion_lines(plan, state))
    assert "STOPPED" in text
    assert "log: boom" in text


def test_failure_action_continue_goes_through_all_waves():
    fleet = deployed(shop(update={"failure_action": "continue"}))
    fleet.broken_images.add("app:bad")
    state = fleet.apply(fleet.plan(shop("app:bad", update={"failure_action": "continue"})))
    assert len(state["failed"]) == 3
    assert set(fleet.running("shop_web").values()) == {"app:1"}


def test_max_failure_ratio_tolerates_failures():
    fleet = deployed()
    plan = fleet.plan(shop("app:2", update={"max_failure_ratio": 0.4}))
    state = rollout.begin(plan["serving"])
    step = next(s for s in plan["steps"] if s["phase"] == "start")
    node = next(iter(step["hosts"]))
    task = step["hosts"][node]["tasks"][0]
    results = {node: {"tasks": [{**task, "ok": False, "error": "x"}], "problems": []}}
    assert rollout.judge(plan, state, step, results)["last_wave"] is None


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_failure_action_rollback_brings_the_old_ones_back(order):
    policy = {"update": {"failure_action": "rollback", "parallelism": 2, "order": order}, "rollback": {"order": order}}
    fleet = deployed(shop(replicas=4, **policy))
    before = fleet.running("shop_web")
    wanted = shop("app:2", replicas=4, **policy)
    plan = fleet.plan(wanted)
    second = [step for step in plan["steps"] if step["phase"] == "start"][1]
    for share in second["hosts"].values():
        share["services"] = {key: {**t, "image": "app:bad"} for key, t in share["services"].items()}
    fleet.broken_images.add("app:bad")
    state = fleet.apply(plan)
    assert rollout.outcome(state) == "rolled back"
    assert fleet.running("shop_web") == before
    assert {task["name"] for task in state["serving"] if task["service"] == "shop_web"} == set(before)
    assert fleet.plan(shop(replicas=4, **policy))["steps"] == []


def test_a_stopped_container_is_put_back_where_it_was():
    fleet = deployed()
    host = next(h for h in fleet.hosts.values() if any(c["service"] == "shop_web" for c in h["containers"].values()))
    name = next(name for name, c in host["containers"].items() if c["service"] == "shop_web")
    host["containers"][name].update(state="exited", exit_code=137, health="none")
    plan = fleet.plan(shop())
    assert [(c["change"], c["name"]) for c in plan["changes"]] == [("start", name)]
    assert "137" in plan["changes"][0]["reason"]
    fleet.apply(plan)
    assert name in fleet.running("shop_web")


def test_a_removed_service_goes_and_its_volume_stays():
    fleet = deployed()
    wanted = compiled(service("web", image="app:1", replicas=3), service("agent", image="agent:1", mode="global"))
    plan = fleet.plan(wanted)
    assert kinds(plan) == [("shop_db", "remove")]
    fleet.apply(plan)
    assert fleet.running("shop_db") == {}
    assert [v for host in fleet.hosts.values() for v in host["volumes"]] == ["shop_data"]


def test_a_stack_without_a_file_stays_unless_pruned():
    fleet = deployed(compiled(service("web"), service("cms", stack="blog")))
    plan = fleet.plan(compiled(service("web")))
    assert plan["changes"] == []
    assert any("stack blog" in text for text in plan["warnings"])
    plan = fleet.plan(compiled(service("web")), prune_stacks=["blog"])
    assert kinds(plan) == [("blog_cms", "remove")]


def test_partial_observation_removes_and_moves_nothing_it_cannot_see():
    fleet = deployed()
    for lost in fleet.names:
        fleet.down = {lost}
        plan = fleet.plan(shop())
        assert plan["unknown"] == [lost]
        assert [c for c in plan["changes"] if c["change"] in ("remove", "move", "create", "replace")] == []
        assert plan["steps"] == []
        with pytest.raises(StowageError, match="STW-UNREACHABLE"):
            rollout.refuse_unknown(plan, allowed=False)
        rollout.refuse_unknown(plan, allowed=True)


def test_other_hosts_are_served_while_one_is_unknown():
    fleet = deployed()
    fleet.down = {"n3"}
    plan = fleet.plan(shop("app:2"))
    nodes = {node for step in plan["steps"] for node in step["hosts"]}
    assert nodes == {"n1", "n2"}
    held = [task for task in plan["serving"] if task["node"] == "n3"]
    assert held, "what the lost host served is still told to the others"


def test_a_volume_that_vanished_blocks_its_service():
    fleet = deployed()
    host = next(host for host in fleet.hosts.values() if host["volumes"])
    host["volumes"].clear()
    for container in [c for c in host["containers"].values() if c["service"] == "shop_db"]:
        container.update(state="exited", health="none")
    plan = fleet.plan(shop())
    change = next(c for c in plan["changes"] if c["service"] == "shop_db")
    assert change["change"] == "blocked"
    assert "stowage_recreate_volumes=shop_data" in change["reason"]
    assert {step["phase"] for step in plan["steps"]} == {"prepare", "endpoints"}, "only its traffic is withdrawn"
    again = fleet.plan(shop(), recreate_volumes=["shop_data"])
    assert ("shop_db", "start") in kinds(again)


def test_a_volume_nobody_saw_blocks_while_hosts_are_unknown():
    fleet = FakeFleet()
    fleet.down = {"n2"}
    plan = fleet.plan(compiled(service("db", volumes=[volume("shop_data")])))
    assert [c["change"] for c in plan["changes"]] == ["blocked"]
    assert "n2" in plan["changes"][0]["reason"]


def test_endpoint_drift_is_repaired_without_touching_containers():
    fleet = deployed()
    fleet.hosts["n2"]["tasks"] = []
    plan = fleet.plan(shop())
    assert plan["changes"] == []
    assert [(s["phase"], sorted(s["hosts"])) for s in plan["steps"]] == [("prepare", ["n2"]), ("endpoints", ["n2"])]
    fleet.apply(plan)
    assert fleet.plan(shop())["steps"] == []


def test_an_unhealthy_container_is_replaced_and_gets_no_traffic():
    fleet = deployed()
    host = next(h for h in fleet.hosts.values() if any(c["service"] == "shop_web" for c in h["containers"].values()))
    name = next(name for name, c in host["containers"].items() if c["service"] == "shop_web")
    host["containers"][name]["health"] = "unhealthy"
    plan = fleet.plan(shop())
    assert [(c["change"], c["reason"]) for c in plan["changes"]] == [("replace", "it is unhealthy")]
    assert name not in {task["name"] for task in plan["serving"]}


def test_a_tampered_container_is_left_alone_and_named():
    fleet = deployed()
    host = fleet.hosts["n1"]
    name = next(iter(host["containers"]))
    host["containers"][name]["tampered"] = True
    plan = fleet.plan(shop())
    assert name not in {c["replaces"]["name"] for c in plan["changes"] if c["replaces"]}
    assert any(name in text and "STW-TAMPERED" in text for text in plan["warnings"])


def test_a_completed_job_is_not_run_again():
    job = service("migrate", template={"restart": {"condition": "none", "max_attempts": 0}})
    fleet = FakeFleet()
    fleet.apply(fleet.plan(compiled(job)))
    assert fleet.plan(compiled(job))["steps"] == []
    assert fleet.plan(compiled(job))["serving"] == []
    changed = service("migrate", image="app:2", template={"restart": {"condition": "none", "max_attempts": 0}})
    assert kinds(fleet.plan(compiled(changed))) == [("shop_migrate", "replace")]


def test_a_host_lost_in_the_middle_stops_the_roll():
    fleet = deployed()
    plan = fleet.plan(shop("app:2"))
    first = next(step for step in plan["steps"] if step["phase"] == "start")
    fleet.down = set(first["hosts"])
    state = fleet.apply(plan)
    assert rollout.outcome(state) == "stopped"
    assert any(problem["code"] == "STW-UNREACHABLE" for problem in state["problems"])
    fleet.down = set()
    assert list(fleet.running("shop_web").values()).count("app:1") == 3


def test_a_fence_that_is_not_seen_stops_everything_at_once():
    fleet = deployed()
    plan = fleet.plan(shop("app:2"))
    step = next(step for step in plan["steps"] if step["phase"] == "endpoints")
    problem = {"code": "STW-FENCE", "place": "n1", "reason": "old generation", "fix": ""}
    state = rollout.judge(
        plan, rollout.begin(plan["serving"]), step, {n: {"problems": [problem]} for n in step["hosts"]}
    )
    assert state["abort"]
    assert all(rollout.skips(state, later) for later in plan["steps"])


def test_addresses_are_fresh_for_replacements_and_unique():
    fleet = deployed()
    before = {c["ip"] for host in fleet.hosts.values() for c in host["containers"].values()}
    plan = fleet.plan(shop("app:2"))
    new = [c["ip"] for c in plan["changes"]]
    assert len(set(new)) == len(new) == 3
    assert not before & set(new)


def test_a_host_without_a_network_is_refused():
    fleet = FakeFleet(["n1"])
    seen = fleet.observe()
    seen["n1"]["network"]["claim"] = None
    with pytest.raises(StowageError, match=r"STW-NETWORK host n1.*bootstrap"):
        rollout.plan(fleet.fleet(), shop(), seen, fleet.digests, {})


def test_a_first_deploy_beside_a_host_that_is_down_is_held_until_the_user_says_so():
    fleet = FakeFleet()
    fleet.down = {"n3"}
    wanted = compiled(service("web", replicas=2))
    assert {c["change"] for c in fleet.plan(wanted)["changes"]} == {"blocked"}
    plan = fleet.plan(wanted, allow_unknown=True)
    assert kinds(plan) == [("shop_web", "create")] * 2
    assert {c["node"] for c in plan["changes"]} <= {"n1", "n2"}
