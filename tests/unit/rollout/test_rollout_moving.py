# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""May a volume be moved, in which steps, and which of them follow when one fails."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import moving
from fake_fleet import FakeFleet, compiled, service, volume

CLAIM = {"fleet": "test", "stack": "shop", "driver": "local"}
PLAIN = {"driver": "local", "options": [], "bytes": 1000, "files": 3}
DONE = {"changed": True, "problems": []}
FAILED = {"changed": True, "problems": [{"code": "STW-MOVE", "place": "volume", "reason": "no", "fix": ""}]}
WISH = moving.Wish("shop_data", "n3")


def look(**more):
    return {"volume": None, "claim": None, "users": [], "free": 10**6, "missing": [], **more}


def world(services=None, **looks):
    """shop_data on n1, mounted by shop_db."""
    fleet = FakeFleet()
    fleet.hosts["n1"]["volumes"] = fleet.hosts["n1"]["claims"] = ["shop_data"]
    found = {"n1": look(volume=PLAIN, claim=CLAIM), "n2": look(), "n3": look(), **looks}
    wanted = compiled(*(services or [service("db", volumes=[volume("shop_data")])]))
    return moving.World(fleet.fleet(), wanted, fleet.observe(), found, fleet.digests)


def test_the_steps_of_a_move():
    decided = moving.decide(world(), WISH)
    assert decided["problems"] == []
    assert (decided["source"], decided["services"], decided["resumed"]) == ("n1", ["shop_db"], False)
    where = {step["mode"]: sorted(step["hosts"]) for step in decided["steps"]}
    assert where["seed"] == where["verify"] == where["commit"] == ["n3"]
    assert where["serve"] == where["seal"] == where["retire"] == where["undo"] == ["n1"]
    assert where["close"] == ["n1", "n3"]
    share = decided["steps"][0]["hosts"]["n3"]
    assert (share["generation"], share["address"], share["stack"]) == (2, "192.0.2.1", "shop")
    assert any("copy while everything runs" in line for line in moving.decision_lines(decided, WISH))


def test_a_move_that_stopped_goes_on():
    incoming = look(volume=PLAIN, claim={**CLAIM, "state": "incoming", "generation": 2, "peer": "n1"})
    decided = moving.decide(world(n3=incoming), WISH)
    assert decided["problems"] == []
    assert decided["resumed"]


ANCHORED = service("db", volumes=[volume("shop_data")], placement={"constraints": ["node.hostname == n1"]})


@pytest.mark.parametrize(
    ("wish", "given", "told"),
    [
        (moving.Wish("shop_dat", "n3"), {}, "STW-OPTION volume: 'shop_dat' is not there; did you mean shop_data?"),
        (moving.Wish("shop_data", "n9"), {}, "STW-OPTION to: 'n9' is not there"),
        (moving.Wish("shop_data", ""), {}, "STW-OPTION to: is missing"),
        (moving.Wish("shop_data", "n1"), {}, "STW-OPTION to: 'n1' has it already"),
        (moving.Wish("shop_data", "n3", port=0), {}, "STW-OPTION port: 0 is no port"),
        (WISH, {"n1": look(volume=PLAIN, claim=None)}, "move it by hand: it is external"),
        (WISH, {"n1": look(volume={**PLAIN, "driver": "nfs"}, claim=CLAIM)}, "only plain local volumes"),
        (WISH, {"n1": look(volume={**PLAIN, "options": ["type"]}, claim=CLAIM)}, "only plain local volumes"),
        (WISH, {"n3": look(volume=PLAIN)}, "n3 has a volume of this name that is no copy of it"),
        (WISH, {"n3": look(free=1049)}, "STW-VOLUME host n3: needs 1050 bytes, 1049 are free"),
        (WISH, {"n3": look(missing=["rsync"])}, "STW-TOOLS host n3: has no rsync"),
        (
            WISH,
            {"n1": look(volume=PLAIN, claim=CLAIM, users=[{"name": "x", "ours": False, "state": "running"}])},
            "container x on n1 mounts it and is not this fleet's",
        ),
        (WISH, {"services": [ANCHORED]}, "STW-PLACEMENT shop_db on n3"),
        (
            WISH,
            {"services": [service("db", mode="global", volumes=[volume("shop_data")])]},
            "global service shop_db has one on every host; there is nothing to move",
        ),
    ],
)
def test_what_is_against_a_move_is_told_before_it(wish, given, told):
    decided = moving.decide(world(**given), wish)
    assert decided["steps"] == []
    assert any(told in str(problem) for problem in decided["problems"]), decided["problems"]


def followed(**results):
    """The modes that follow after these results, in order; results: {mode: node's result}."""
    found = {mode: {"n1": result} for mode, result in results.items()}
    steps = moving.decide(world(), WISH)["steps"]
    return [step["mode"] for step in steps if step["mode"] not in found and moving.may(step, found)]


def test_what_follows_a_step_that_failed():
    assert followed()[:2] == ["open", "serve"]
    assert "undo" not in followed()
    assert followed(open=DONE, serve=FAILED) == ["close"]
    early = {"open": DONE, "serve": DONE, "seed": DONE, "ready": DONE}
    assert followed(**early, seal=FAILED) == ["undo", "close"]
    assert followed(**early, seal=DONE, verify=FAILED) == ["undo", "close"]
    # No answer to the commit: it may have happened, so the old copy must not serve.
    assert followed(**early, seal=DONE, verify=DONE, commit={"began": 1.0}) == ["close"]
    assert followed(**early, seal=DONE, verify=DONE, commit=DONE) == ["retire", "close"]


def test_both_sides_must_count_the_same():
    sealed, verified = {**DONE, "files": 3, "bytes": 9}, {**DONE, "files": 3, "bytes": 8}
    found = {"seal": {"n1": sealed}, "verify": {"n3": verified}}
    (problem,) = moving.problems_of(moving.judged(found))
    assert str(problem).startswith("STW-MOVE n3: verify volume: the source has 3 files of 9 bytes, the copy 3 of 8")
    assert moving.problems_of(moving.judged({"seal": {"n1": sealed}, "verify": {"n3": sealed}})) == []
