# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What if and why: lines for people, from the same question that the plan asks."""

from __future__ import annotations

import json
import re

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError, raise_all
from ansible_collections.stowage.fleet.plugins.plugin_utils import asking
from fake_fleet import FakeFleet, compiled, service, volume

GROUPS = {"stowage_nodes": ["n1", "n2", "n3"], "rack2": ["n2", "n3", "jump"]}
UNASKED = dict.fromkeys(("without", "without_group", "add_hosts", "scale"), None)


def running(*services, names=("n1", "n2", "n3")):
    fleet = FakeFleet(names)
    wanted = compiled(*services)
    fleet.apply(fleet.plan(wanted))
    return fleet, wanted


def asked(fleet, wanted, **options):
    return rollout.asked_of(fleet.fleet(), wanted, fleet.observe(), options)


def lines(fleet, wanted, **given):
    args = {**UNASKED, "survive": False, "allow_unknown": False, **given}
    raise_all(asking.problems(args, GROUPS, fleet.fleet(), wanted["services"]))
    question, _blocked = asked(fleet, wanted)
    return rollout.what_if_lines(question, asking.wish(args, GROUPS)[0])


def web(**given):
    return service("web", replicas=3, reservations={"cpus": 2, "memory": 0}, **given)


def test_without_a_host_its_tasks_move():
    fleet, wanted = running(web())
    found = lines(fleet, wanted, without="n3")
    assert found[0] == "WHAT IF  without n3"
    assert re.match(r"  > shop_web\.\d +n3 -> n[12] +n3 is assumed lost", found[1])
    assert found[2:] == ["  1 to move"]
    assert not fleet.plan(wanted)["steps"]


def test_without_a_group_there_may_be_no_home():
    fleet, wanted = running(web())
    found = lines(fleet, wanted, without_group="rack2")
    assert found[0] == "WHAT IF  without n2 n3"
    assert [line[2] for line in found[1:-1]] == [">", "!"]
    assert "needs 2 cpus, 0 free" in found[2]
    assert found[-1] == "  1 to move, 1 without a home"


def test_more_hosts_and_other_scale_together():
    fleet, wanted = running(web())
    found = lines(fleet, wanted, add_hosts="2*n2", scale="web=9")
    assert found[0] == "WHAT IF  with 2 more hosts like n2, shop_web scaled to 9"
    assert found[-1] == "  6 to add"
    assert {line.split()[2] for line in found[1:-1]} >= {"n2-copy1", "n2-copy2"}
    assert lines(fleet, wanted, add_hosts='[{"name": "new", "capacity": {"cpus": 1}}]')[-1] == "  nothing changes"
    assert lines(fleet, wanted, add_hosts=[{"name": "new"}], scale={"shop_web": 4})[-1] == "  1 to add"


def test_what_is_not_carried_out_yet_counts_as_if_it_were():
    """A plan that starts everything and the fleet that it leads to give the same answers."""
    fleet, wanted = running(web())
    fresh = FakeFleet(("n1", "n2", "n3"))
    for given in ({"without": "n3"}, {"add_hosts": "2"}, {"scale": "web=2"}, {"without": "n1", "survive": True}):
        assert lines(fresh, wanted, **given) == lines(fleet, wanted, **given)
    assert lines(fresh, wanted, add_hosts="2") == ["WHAT IF  with 2 more hosts like n1", "  nothing changes"]


def test_volumes_of_a_lost_host_are_lost():
    fleet, wanted = running(service("db", volumes=[volume("data")]))
    node = fleet.plan(wanted)["reasons"]["shop_db.1"]["node"]
    found = lines(fleet, wanted, without=[node])
    assert "data" in found[1]
    assert found[-1] == "  1 without a home"


def test_survival_names_who_would_have_no_home():
    fleet, wanted = running(web(), service("db", volumes=[volume("data")]))
    node = fleet.plan(wanted)["reasons"]["shop_db.1"]["node"]
    found = lines(fleet, wanted, survive="true")
    assert found[0] == "SURVIVAL  lose any one host"
    (report,) = [line for line in found if line.strip().startswith(node)]
    assert "1 would have no home" in report
    assert any("! shop_db.1" in line and "data" in line for line in found)
    assert found[-1] == "  2 of 3 hosts can be lost"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"without": "n4"}, ["no host is called 'n4'", "known: n1, n2, n3"]),
        ({"without_group": "rack3"}, ["no group is called 'rack3'", "did you mean rack2?"]),
        ({"scale": "wbe=9"}, ["no service is called 'wbe'", "did you mean web?"]),
        ({"scale": "shop_wbe=9"}, ["did you mean shop_web"]),
        ({"scale": "web=many"}, ["'many' is no number of replicas"]),
        ({"scale": "web"}, ["'' is no number of replicas"]),
        ({"scale": "web=-1"}, ["'-1' is no number"]),
        ({"scale": "web=1000000000"}, ["'1000000000' is no number of replicas", "at most 1000000"]),
        ({"add_hosts": "many"}, ["'many' is no number of hosts"]),
        ({"add_hosts": "3*n9"}, ["no host is called 'n9'"]),
        ({"add_hosts": "99999"}, ["is no number of hosts", "at most 10000"]),
        ({"add_hosts": "[{"}, ["is no list in YAML or JSON"]),
        ({"add_hosts": ["n4"]}, ["is no list of nodes"]),
        ({"add_hosts": [{"name": "n1"}]}, ["2 nodes have this name"]),
        ({"survive": "maybe"}, ["neither true nor false"]),
    ],
)
def test_refused(given, words):
    fleet, wanted = running(web())
    with pytest.raises(StowageError) as caught:
        lines(fleet, wanted, **given)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_all_mistakes_of_all_options_at_once():
    fleet, wanted = running(web())
    wrong = {"without": "n9", "without_group": "rakc", "scale": "wbe=9", "add_hosts": "many", "survive": "maybe"}
    with pytest.raises(StowageError) as caught:
        lines(fleet, wanted, **wrong, allow_unknown="perhaps")
    places = {problem.place for problem in caught.value.problems}
    assert places == {*wrong, "stowage_allow_unknown"}
    assert {problem.code for problem in caught.value.problems} == {"STW-OPTION"}


def test_why_a_task_is_where_it_is():
    fleet, wanted = running(web())
    question, blocked = asked(fleet, wanted)
    found = rollout.why_lines(question, ["web.3", "shop_web.9"], blocked)
    assert re.match(r"WHY  shop_web\.3  stays  n\d: .+", found[0])
    assert found[-1] == "WHY  shop_web.9  is not wanted: no such slot"
    with pytest.raises(StowageError, match=r"did you mean shop_web"):
        rollout.why_lines(question, ["shop_wbe.1"], blocked)


def test_why_of_a_service_tells_of_all_its_tasks():
    fleet, wanted = running(web(), service("agent", mode="global"))
    question, blocked = asked(fleet, wanted)
    told = [line.split("  ")[1] for line in rollout.why_lines(question, ["web", "agent"], blocked) if line[0] == "W"]
    assert told == [f"shop_web.{slot}" for slot in (1, 2, 3)] + [f"shop_agent.n{number}" for number in (1, 2, 3)]


def test_why_a_task_has_no_home_or_is_blocked():
    fleet, _wanted = running(service("db", volumes=[volume("data")]))
    for host in fleet.hosts.values():
        host["volumes"].clear()
    wanted = compiled(service("db", volumes=[volume("data")]), service("big", reservations={"cpus": 9, "memory": 0}))
    question, blocked = asked(fleet, wanted)
    found = rollout.why_lines(question, ["big.1", "db.1"], blocked)
    assert "no home" in found[0]
    assert "needs 9 cpus" in " ".join(found)
    assert found[-1].startswith("WHY  shop_db.1  blocked: volume data was made on")


def test_a_saved_observation_gives_the_same_plan():
    fleet, wanted = running(web())
    text = rollout.dump_observations("test", fleet.observe())
    again = rollout.parse_observations(text, "o.json", fleet.fleet())
    assert rollout.plan(fleet.fleet(), wanted, again, fleet.digests, {}) == fleet.plan(wanted)
    text = rollout.dump_observations("test", {"n1": fleet.observe()["n1"], "left": fleet.observe()["n2"]})
    assert list(rollout.parse_observations(text, "o.json", fleet.fleet())) == ["n1"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "holds no observations"),
        ('{"schema": 2, "fleet": "test", "observations": {}}', "holds no observations of schema 1"),
        ('{"schema": 1, "fleet": "prod", "observations": {}}', "is of fleet 'prod', this is test"),
        ('{"schema": 1, "fleet": "test", "observations": {"n1": {}}}', "host 'n1': schema is missing"),
        ('{"schema": 1, "fleet": "test", "observations": {"n1": 5}}', "host 'n1': schema is missing"),
    ],
)
def test_what_is_no_saved_observation(text, words):
    with pytest.raises(StowageError, match=re.escape(words)):
        rollout.parse_observations(text, "o.json", FakeFleet().fleet())


def test_what_a_host_says_is_printed_escaped():
    fleet, wanted = running(web())
    told = json.loads(json.dumps(fleet.observe()))
    told["n1"]["volumes"].append({"name": "\x1b[31mred", "driver": "local", "stack": "", "labels": {}})
    question, _blocked = rollout.asked_of(fleet.fleet(), wanted, told, {})
    assert all(
        line.isprintable() for line in rollout.what_if_lines(question, rollout.Wish(without=["n1"], survive=True))
    )


def test_rebalance_is_an_option_of_the_plan():
    assert asking.rebalance("4") == {"rebalance": {"max_moves": 4}}
    assert asking.rebalance({"max_moves": 2, "stateful": True}) == {"rebalance": {"max_moves": 2, "stateful": True}}
    assert asking.rebalance(None) == {}
    fleet, wanted = running(web())
    question, _blocked = asked(fleet, wanted, rebalance={"max_moves": 4})
    assert question.options["rebalance"] == {"max_moves": 4}
    with pytest.raises(StowageError, match=r"options\.rebalance\.max_moves"):
        fleet.plan(wanted, **asking.rebalance("some"))
