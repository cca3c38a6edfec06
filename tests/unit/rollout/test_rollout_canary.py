"""Canaries: what is held, what runs beside it, what promotes it, what ends it, and what is remembered of that."""

from __future__ import annotations

import random

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from fake_fleet import FakeFleet, compiled, service

RULE = {"replicas": "25%", "weight": 25, "match": "", "mirror": None, "hold": None}


class Remembering(FakeFleet):
    """Hosts that keep what was deployed, and what was aborted."""

    def __init__(self, *names):
        super().__init__(*names)
        self.deployed, self.aborted, self.forgetful = {}, {}, set()

    def _observation(self, at, name):
        seen = super()._observation(at, name)
        told = {} if name in self.forgetful else {"deployed": self.deployed, "aborted": self.aborted}
        return {**seen, **told}

    def deploy(self, *services, **options):
        """Plan and carry out, and remember how it ended; the plan."""
        made = self.plan(compiled(*services), **options)
        state = self.apply(made)
        assert rollout.outcome(state) == "done", state["failed"]
        if made["steps"]:
            for record in rollout.records(made, "20261124T000000Z-abcdef", lambda _digest, _entry: b""):
                self.deployed = {one["name"]: {"service": one, "files": record["files"]} for one in record["services"]}
            self.aborted = made.get("aborted", self.aborted)
        return made

    def images(self, name):
        return sorted(self.running(name).values())


def web(image, replicas=4, rule=None, **more):
    return service("web", image=image, replicas=replicas, update={"canary": rule or RULE}, **more)


@pytest.fixture
def fleet():
    """Four tasks of web, of version 1."""
    made = Remembering()
    made.deploy(web("app:1"))
    return made


def refused(fleet, *services, **options):
    with pytest.raises(StowageError) as caught:
        fleet.plan(compiled(*services), **options)
    return [(problem.code, problem.place, problem.reason) for problem in caught.value.problems]


def refused_whole(fleet, *services, **options):
    with pytest.raises(StowageError) as caught:
        fleet.plan(compiled(*services), **options)
    return [problem.as_dict() for problem in caught.value.problems]


def test_the_first_deploy_has_no_canary(fleet):
    assert fleet.images("shop_web") == ["app:1"] * 4
    assert "canaries" not in fleet.plan(compiled(web("app:1")))
    assert fleet.plan(compiled(web("app:1")))["steps"] == []


def test_a_new_version_begins_beside_the_old_one_and_stays_there(fleet):
    made = fleet.deploy(web("app:2"))
    assert fleet.images("shop_web") == ["app:1"] * 4
    assert fleet.images("shop_web-canary") == ["app:2"]
    assert made["canaries"]["shop_web"]["state"] == "held"
    assert {one["service"] for one in made["changes"]} == {"shop_web-canary"}
    beside = made["services"]["shop_web-canary"]
    assert beside["canary"] == {"of": "shop_web", "weight": 25, "match": "", "mirror": None}
    assert not beside.get("vip")
    text = "\n".join(rollout.plan_lines(made))
    assert (
        "canary shop_web: app:1 -> app:2 on 1 task(s): 25 % of the requests; stowage.fleet.promote or abort decides"
        in text
    )
    again = fleet.plan(compiled(web("app:2")))
    assert (again["steps"], again["canaries"]) == ([], made["canaries"])


def routed(image, *names):
    ports = {f"traefik.http.services.{name}.loadbalancer.server.port": "8080" for name in names}
    rules = {f"traefik.http.routers.{name}.rule": f"Host(`{name}.example`)" for name in names}
    return web(image, labels={"traefik.enable": "true", **rules, **ports})


@pytest.mark.parametrize("names", [("web",), ("web", "more"), ("api", "web")])
def test_a_version_that_keeps_a_traefik_service_may_be_a_canary(names):
    fleet = Remembering()
    fleet.deploy(routed("app:1", "web"))
    assert fleet.plan(compiled(routed("app:2", *names)))["canaries"]["shop_web"]["state"] == "held"


def test_a_version_with_other_traefik_services_would_get_no_request():
    fleet = Remembering()
    fleet.deploy(routed("app:1", "web", "shop"))
    ((code, place, reason),) = refused(fleet, routed("app:2", "api"))
    assert (code, place) == ("STW-CANARY", "shop_web x-stowage.canary")
    assert reason == "its labels speak of Traefik service 'api', and requests go to 'shop', 'web': it would get none"
    fleet.deploy(routed("app:2", "web"))
    assert fleet.deploy(routed("app:2", "web"), promote=["shop_web"])["steps"]


def test_what_is_lost_while_it_is_held_comes_back_as_it_was(fleet):
    fleet.deploy(web("app:2"))
    for host in fleet.hosts.values():
        for name in [n for n in host["containers"] if n.startswith(("shop_web.1", "shop_web.2"))]:
            del host["containers"][name]
    made = fleet.deploy(web("app:2", replicas=5))
    assert {one["change"] for one in made["changes"]} == {"create"}
    assert fleet.images("shop_web") == ["app:1"] * 5, "also when it grows meanwhile"


def test_a_promotion_rolls_the_service_and_takes_the_canary_away(fleet):
    fleet.deploy(web("app:2"))
    made = fleet.deploy(web("app:2"), promote=["shop_web"])
    assert fleet.images("shop_web") == ["app:2"] * 4
    assert fleet.images("shop_web-canary") == []
    starts = [step for step in made["steps"] if step["phase"] == "start"]
    assert len(starts) == 4, "by its own update policy"
    assert fleet.plan(compiled(web("app:2")))["steps"] == []


def test_a_promotion_that_was_interrupted_goes_on(fleet):
    fleet.deploy(web("app:2"))
    made = fleet.plan(compiled(web("app:2")), promote=["shop_web"])
    fleet.apply(made, stop_after=4)
    assert sorted(set(fleet.images("shop_web"))) == ["app:1", "app:2"]
    fleet.deploy(web("app:2"))
    assert fleet.images("shop_web") == ["app:2"] * 4
    assert fleet.images("shop_web-canary") == []


def test_one_that_was_aborted_does_not_come_again_by_itself(fleet):
    fleet.deploy(web("app:2"))
    fleet.deploy(web("app:2"), abort=["shop_web"])
    assert (fleet.images("shop_web"), fleet.images("shop_web-canary")) == (["app:1"] * 4, [])
    again = fleet.plan(compiled(web("app:2")))
    assert again["steps"] == []
    assert "was aborted, the old version stays" in "\n".join(rollout.plan_lines(again))
    made = fleet.deploy(web("app:3"))
    assert fleet.images("shop_web-canary") == ["app:3"]
    assert made["aborted"] == {}, "what is not wanted any more is forgotten"


def test_an_aborted_one_is_tried_again_on_demand(fleet):
    fleet.deploy(web("app:2"))
    fleet.deploy(web("app:2"), abort=["shop_web"])
    fleet.deploy(web("app:1"))
    assert fleet.images("shop_web-canary") == []
    assert "stowage_retry=shop_web" in str(refused_whole(fleet, web("app:2"), promote=["shop_web"]))
    made = fleet.deploy(web("app:2"), retry=["shop_web"])
    assert (fleet.images("shop_web-canary"), made["aborted"]) == (["app:2"], {})
    assert fleet.plan(compiled(web("app:2")))["steps"] == []


def test_what_keeps_a_service_s_tasks_apart_keeps_its_canary_s_apart_and_not_from_the_old_ones():
    rule = {"service": "shop_web", "domain": "node.hostname", "required": True, "anti": True}
    fleet = Remembering()
    fleet.deploy(web("app:1", 3, placement={"affinities": [rule]}))
    made = fleet.deploy(web("app:2", 3, placement={"affinities": [rule]}))
    assert fleet.images("shop_web-canary") == ["app:2"]
    assert made["services"]["shop_web-canary"]["placement"]["affinities"][0]["service"] == "shop_web-canary"


def test_another_version_replaces_the_canary_and_the_old_one_ends_it(fleet):
    fleet.deploy(web("app:2"))
    fleet.deploy(web("app:3"))
    assert (fleet.images("shop_web"), fleet.images("shop_web-canary")) == (["app:1"] * 4, ["app:3"])
    fleet.deploy(web("app:1"))
    assert (fleet.images("shop_web"), fleet.images("shop_web-canary")) == (["app:1"] * 4, [])


def test_without_a_record_it_is_held_and_the_plan_says_what_that_means(fleet):
    fleet.forgetful = {"n1", "n2"}
    made = fleet.deploy(web("app:2"))
    assert fleet.images("shop_web") == ["app:1"] * 4
    (blocked,) = [one for one in made["changes"] if one["change"] == "blocked"]
    assert "what is lost of it is not replaced; promote or abort the canary" in blocked["reason"]
    assert rollout.records(made, "20261124T000000Z-abcdef", lambda _digest, _entry: b"") == []
    fleet.deploy(web("app:2"), promote=["shop_web"])
    assert fleet.images("shop_web") == ["app:2"] * 4


def test_a_single_host_s_word_is_not_taken(fleet):
    fleet.forgetful = {"n2", "n3"}
    made = fleet.plan(compiled(web("app:2")))
    assert made["canaries"]["shop_web"]["known"] is False


@pytest.mark.parametrize(
    ("options", "contains"),
    [
        ({"promote": ["shop_wbe"]}, "is no service of a stack file"),
        ({"promote": ["shop_db"]}, "has no canary now"),
        ({"abort": ["shop_db"]}, "has no canary now"),
        ({"promote": ["shop_web"]}, "0 of 1 tasks of its canary run this version"),
        ({"abort": ["shop_web"]}, "no canary of it runs"),
    ],
)
def test_what_cannot_be_promoted_or_aborted(options, contains):
    fleet = Remembering()
    fleet.deploy(web("app:1"), service("db"))
    ((code, place, reason),) = refused(fleet, web("app:2"), service("db"), **options)
    assert (code, place) == ("STW-CANARY", " ".join([next(iter(options)), repr(next(iter(options.values()))[0])]))
    assert contains in reason


def test_a_canary_that_is_not_healthy_or_of_another_version_is_not_promoted(fleet):
    fleet.deploy(web("app:2"))
    assert "0 of 1" in refused(fleet, web("app:3"), promote=["shop_web"])[0][2]
    for host in fleet.hosts.values():
        for name, container in host["containers"].items():
            if name.startswith("shop_web-canary"):
                container["health"] = "unhealthy"
    assert "0 of 1" in refused(fleet, web("app:2"), promote=["shop_web"])[0][2]


def test_a_service_that_has_the_canary_s_name_is_refused(fleet):
    ((code, place, _reason),) = refused(fleet, web("app:2"), service("web-canary"))
    assert (code, place) == ("STW-CANARY", "service shop_web")


def test_who_lets_the_service_in_lets_its_canary_in(fleet):
    rules = {"closed": True, "allow": [{"from": "shop_web", "ports": [["tcp", 5432, 5432]]}]}
    fleet.deploy(web("app:1"), service("db", **rules))
    made = fleet.deploy(web("app:2"), service("db", **rules))
    assert [one["from"] for one in made["services"]["shop_db"]["allow"]] == ["shop_web", "shop_web-canary"]
    assert fleet.deployed["shop_db"]["service"]["allow"] == rules["allow"], "a record knows nothing of canaries"
    promoted = fleet.plan(compiled(web("app:2"), service("db", **rules)), promote=["shop_web"])
    addresses = {c["ip"] for h in fleet.hosts.values() for c in h["containers"].values() if "canary" in c["name"]}
    assert {m["service"] for m in promoted["members"] if m["ip"] in addresses} == {"shop_web"}, "as long as it drains"


def test_a_time_to_hold_is_told(fleet):
    made = fleet.plan(compiled(web("app:2", rule={**RULE, "hold": 600.0})))
    assert rollout.canary.hold(made["canaries"]) == {"seconds": 600.0, "services": ["shop_web"]}
    assert "promoted after 600 s" in "\n".join(rollout.plan_lines(made))
    assert rollout.canary.hold({"shop_web": {**made["canaries"]["shop_web"], "state": "aborted"}}) == {}


def test_the_same_input_in_any_order_gives_the_same_plan(fleet):
    fleet.deploy(web("app:1"), service("db"), service("api"))
    wanted = [web("app:2"), service("db"), service("api")]
    made = fleet.plan(compiled(*wanted))
    for seed in range(5):
        random.Random(seed).shuffle(wanted)
        assert digest(fleet.plan(compiled(*wanted))) == digest(made)


def test_status_says_what_is_held(fleet):
    fleet.deploy(web("app:2"))
    settled = rollout.canary.settle(compiled(web("app:2")), fleet.observe(), {})
    found = rollout.status(fleet.fleet(), settled.compiled["services"], fleet.observe(), settled.found)
    assert found["services"]["shop_web"]["image"] == "app:1"
    assert "25 % of the requests" in found["services"]["shop_web"]["notes"][0]
    assert found["services"]["shop_web-canary"]["running"] == 1
    assert found["unwanted"] == []
