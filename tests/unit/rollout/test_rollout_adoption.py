# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which running containers become tasks: slots, addresses, refusals, and the plan that proves it."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import adoption, adoption_text
from fake_fleet import FakeFleet, compiled, service, volume

REPLACE = {"kind": "replace", "words": "command differs", "update": {}}
KEPT = {"kind": "kept", "words": "asks Docker and the host for names, not the fleet", "update": {}}
ASK = adoption.Wish("shop", "shop")
DO = adoption.Wish("shop", "shop", "shop")
PART = adoption.Wish("shop", "shop", "shop", True)


def found(short="web", number=1, **given):
    name = f"shop_{short}_{number}"
    base = {
        "id": digest([name, given.get("at", "")]),
        "name": name,
        "kind": "compose",
        "service": short,
        "number": number,
        "state": "running",
        "health": "none",
        "image": "app:1",
        "ip": "",
        "published": [],
        "adopted": None,
        "differences": [KEPT],
    }
    given.pop("at", None)
    return {**base, **given}


def world(surveys, *services, fleet=None, **changes):
    fleet = fleet or FakeFleet()
    answers = {
        node: {
            "containers": surveys.get(node, []),
            "projects": ["shop"] if surveys.get(node) else [],
            "names": {one["name"]: one["id"] for one in surveys.get(node, [])},
        }
        for node in {*fleet.names, *surveys}
    }
    made = adoption.World(
        fleet.fleet(), compiled(*(services or [service("web")])), fleet.observe(), answers, fleet.digests
    )
    return made._replace(**changes)


def fates(decided):
    return {one["found"]["name"]: (one["fate"], one["service"], one["slot"]) for one in decided["candidates"]}


def adopt(fleet, decided):
    """Do to the fake hosts what host_adopt does to real ones."""
    for node, share in decided["shares"].items():
        for task in share["tasks"]:
            one = next(c["found"] for c in decided["candidates"] if c["task"] is task)
            fleet.hosts[node]["containers"][task["name"]] = {
                **{key: task[key] for key in ("name", "stack", "service", "slot", "spec", "ip")},
                **{key: one[key] for key in ("state", "health", "image")},
                "id": one["id"][:12],
                "exit_code": 0,
                "tampered": False,
            }


def test_what_matches_is_taken_over_and_the_plan_is_empty():
    fleet, data = FakeFleet(), service("db", volumes=[volume("shop_data")])
    fleet.hosts["n2"]["volumes"] = ["shop_data"]
    web = service("web", replicas=2)
    surveys = {"n2": [found(number=1), found(number=2), found("db")]}
    decided = adoption.decide(world(surveys, web, data, fleet=fleet), DO)
    assert (decided["problems"], decided["changes"]) == ([], [])
    assert fates(decided) == {
        "shop_web_1": ("take", "shop_web", "1"),
        "shop_web_2": ("take", "shop_web", "2"),
        "shop_db_1": ("take", "shop_db", "1"),
    }
    tasks = decided["shares"]["n2"]["tasks"]
    assert sorted(task["ip"] for task in tasks) == ["10.128.1.2", "10.128.1.3", "10.128.1.4"]
    assert decided["shares"]["n2"]["volumes"] == [{**volume("shop_data"), "stack": "shop"}]
    adopt(fleet, decided)
    after = world(surveys, web, data, fleet=fleet)
    assert adoption.remaining(after, "shop") == []
    steps = fleet.plan(compiled(web, data))["steps"]
    assert {step["phase"] for step in steps} == {"prepare", "endpoints"}
    # From then on it is a task like any other.
    rolled = fleet.plan(compiled(service("web", replicas=2, image="app:2"), data))
    assert [change["change"] for change in rolled["changes"]] == ["replace", "replace"]
    gone = fleet.plan({**compiled(data), "stacks": ["shop"]})
    assert [change["change"] for change in gone["changes"]] == ["remove", "remove"]


def test_the_same_question_has_the_same_answer():
    surveys = {"n1": [found(number=2), found(number=1)], "n2": [found(number=3)]}
    web = service("web", replicas=3)
    first = adoption.decide(world(surveys, web), ASK)
    shuffled = {node: list(reversed(containers)) for node, containers in reversed(surveys.items())}
    again = adoption.decide(world(shuffled, web), ASK)

    def by_id(decided):
        return {one["found"]["id"]: one["task"] for one in decided["candidates"]}

    assert by_id(first) == by_id(again)


def test_a_number_that_is_taken_gets_the_lowest_free_slot_and_the_rest_is_too_much():
    surveys = {"n1": [found(number=1), found(number=7)], "n2": [found(number=1, at="n2")]}
    decided = adoption.decide(world(surveys, service("web", replicas=2)), DO)
    assert [(one["node"], one["fate"], one["slot"]) for one in decided["candidates"]] == [
        ("n1", "take", "1"),
        ("n1", "surplus", ""),
        ("n2", "take", "2"),
    ]
    assert [problem.code for problem in decided["problems"]] == ["STW-ADOPT-SURPLUS"]


def test_fewer_containers_than_replicas_is_told_as_what_the_next_deploy_adds():
    decided = adoption.decide(world({"n1": [found()]}, service("web", replicas=2)), DO)
    assert decided["problems"] == []
    assert [(change["change"], change["slot"]) for change in decided["changes"]] == [("create", "2")]
    lines = adoption_text.adoption_lines(decided, DO, [])
    assert any("+ shop_web.2" in line for line in lines)
    assert not any("plan is empty" in line for line in lines)


def test_slots_of_a_global_service_are_hosts():
    surveys = {"n1": [found()], "n2": [found(at="n2"), found(number=2, at="n2")]}
    decided = adoption.decide(world(surveys, service("web", mode="global")), ASK)
    assert [(one["fate"], one["slot"]) for one in decided["candidates"]] == [
        ("take", "n1"),
        ("take", "n2"),
        ("surplus", ""),
    ]


@pytest.mark.parametrize(
    ("given", "code", "fate"),
    [
        ({"differences": [REPLACE]}, "STW-ADOPT-DIFFERS", "differs"),
        ({"state": "exited"}, "STW-ADOPT-STOPPED", "stopped"),
        ({"state": "paused"}, "STW-ADOPT-STOPPED", "stopped"),
        ({"kind": "swarm"}, "STW-ADOPT-SWARM", "swarm"),
    ],
)
def test_what_cannot_be_taken_over_stops_all_unless_a_part_is_enough(given, code, fate):
    surveys = {"n1": [found(), found(number=2, **given)]}
    whole = world(surveys, service("web", replicas=2))
    decided = adoption.decide(whole, DO)
    assert [problem.code for problem in decided["problems"]] == [code]
    assert fates(decided)["shop_web_2"][0] == fate
    part = adoption.decide(whole, PART)
    assert part["problems"] == []
    assert [task["slot"] for task in part["shares"]["n1"]["tasks"]] == ["1"]
    lines = adoption_text.adoption_lines(decided, ASK, ["n3"])
    assert any("n3  did not answer" in line for line in lines)
    assert any(adoption_text.WORDS[fate] in line for line in lines)


def test_a_container_that_the_plan_would_move_is_not_what_is_wanted():
    web = service("web", placement={"constraints": ["node.hostname == n2"]})
    decided = adoption.decide(world({"n1": [found()]}, web), DO)
    (one,) = decided["candidates"]
    assert (one["fate"], decided["shares"]) == ("differs", {})
    assert one["words"][0].startswith("the plan would move it: ")
    assert [problem.code for problem in decided["problems"]] == ["STW-ADOPT-DIFFERS"]


def test_services_that_the_stack_has_not_are_left_alone():
    decided = adoption.decide(world({"n1": [found(), found("old")]}), DO)
    assert fates(decided)["shop_old_1"] == ("unknown", "", "")
    assert decided["problems"] == []


def test_what_is_adopted_already_is_left_as_it_is():
    one = found(adopted={"service": "shop_web", "slot": "1", "spec": "x", "tampered": False})
    fleet = FakeFleet()
    fleet.apply(fleet.plan(compiled(service("web"))))
    decided = adoption.decide(world({"n1": [one]}, fleet=fleet), DO)
    assert (decided["shares"], decided["problems"]) == ({}, [])
    assert adoption_text.adoption_lines(decided, DO, [])[-1] == "  nothing to do"


def test_an_address_that_a_broken_run_gave_stays():
    surveys = {"n1": [found(number=1), found(number=2, ip="10.128.0.2")]}
    decided = adoption.decide(world(surveys, service("web", replicas=2)), DO)
    assert {task["slot"]: task["ip"] for task in decided["shares"]["n1"]["tasks"]} == {
        "1": "10.128.0.3",
        "2": "10.128.0.2",
    }


def test_ports_that_it_publishes_itself_are_not_in_its_own_way():
    fleet = FakeFleet()
    web = service("web", ports=[{"target": 80, "published": 8080, "protocol": "tcp", "mode": "host"}])
    whole = world({"n1": [found(published=[["8080", "tcp"]])]}, web, fleet=fleet)
    seen = whole.observations["n1"]["foreign"]
    seen["ports"].append({"ip": "0.0.0.0", "port": 8080, "protocol": "tcp"})
    blocked = adoption.decide(whole, DO)
    whole.surveys["n1"]["containers"][0]["published"] = [[8080, "tcp"]]
    decided = adoption.decide(whole, DO)
    assert (decided["changes"], decided["problems"]) == ([], [])
    assert blocked["changes"] != []


def test_a_name_that_another_container_has_is_refused_even_for_a_part():
    whole = world({"n1": [found()]})
    name = adoption.decide(whole, DO)["shares"]["n1"]["tasks"][0]["name"]
    whole.surveys["n1"]["names"][name] = "e" * 64
    assert [problem.code for problem in adoption.decide(whole, PART)["problems"]] == ["STW-ADOPT-NAME"]


def refused(work):
    with pytest.raises(StowageError) as caught:
        work()
    return [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("wish", "codes"),
    [
        (adoption.Wish("", ""), ["STW-ADOPT-STACK"]),
        (adoption.Wish("shup", "shop"), ["STW-ADOPT-STACK"]),
        (adoption.Wish("shop", "shop", "shup"), ["STW-ADOPT-CONFIRM"]),
        (adoption.Wish("shup", "shop", "shop"), ["STW-ADOPT-STACK", "STW-ADOPT-CONFIRM"]),
    ],
)
def test_what_is_asked_for_is_checked_first(wish, codes):
    assert refused(lambda: adoption.refuse(wish, ["shop"])) == codes
    adoption.refuse(ASK, ["shop"])


def test_no_such_project_and_hosts_outside_the_fleet_and_hosts_without_network():
    assert refused(lambda: adoption.decide(world({}), ASK)) == ["STW-ADOPT-PROJECT"]
    assert refused(lambda: adoption.decide(world({"old": [found()]}), ASK)) == ["STW-ADOPT-HOST"]
    bare = world({"n1": [found()]})
    bare.observations["n1"]["network"]["claim"] = None
    assert refused(lambda: adoption.decide(bare, ASK)) == ["STW-NETWORK"]


def test_an_adoption_that_the_plan_does_not_bear_out_is_an_error():
    shares = {"n1": {"tasks": [{"service": "shop_web", "slot": "1"}]}}
    change = {"service": "shop_web", "slot": "1", "change": "replace", "reason": "it is unhealthy"}
    other = {**change, "slot": "2", "change": "create"}
    assert [problem.code for problem in adoption.unproved([change, other], shares)] == ["STW-ADOPT-PLAN"]
    assert adoption.unproved([other], shares) == []
