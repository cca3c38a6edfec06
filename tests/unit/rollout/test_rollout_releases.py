"""Releases: what is kept of a deploy that ended well, and how a plan leads back to it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import text_digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import releases
from ansible_collections.stowage.fleet.plugins.module_utils.engine.host import Paths
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from fake_fleet import FakeFleet, compiled, service


def raw(_digest, entry):
    return entry["raw"].encode("latin-1")


class Recorded(FakeFleet):
    """Hosts that keep records as engine.releases does, in memory."""

    def __init__(self):
        super().__init__()
        self.kept = {name: {} for name in self.names}
        self.runs = 0

    def observe(self):
        return {node: {**seen, "releases": self.kept[node]} for node, seen in super().observe().items()}

    def deploy(self, *services, files=None):
        """Plan, carry out, keep. Returns the plan."""
        wanted = {**compiled(*services), "files": files or {}}
        return self.go(self.plan(wanted))

    def go(self, plan):
        state = self.apply(plan)
        self.runs += 1
        if rollout.outcome(state) == "done":
            made = rollout.records(plan, f"20260101T0000{self.runs:02d}Z-abcdef", raw)
            for node in self.names:
                for one in rollout.to_keep(made, self.kept[node]):
                    release = one["name"].split("-")[1]
                    others = [name for name in self.kept[node].get(one["stack"], []) if release not in name]
                    self.kept[node][one["stack"]] = [one["name"], *others]
                    self.texts = {**getattr(self, "texts", {}), one["name"]: one["text"]}
        return plan

    def back(self, stack="shop", to="", present=()):
        """The compiled stacks of a rollback."""
        seen = self.observe()
        kept = rollout.listing(seen)
        names = [one.name for one in rollout.candidates(kept, stack, to)]
        read = {name: rollout.parse_record(self.texts[name], name) for name in names}
        files = {
            (f["digest"] or one["live"]["files"][f["target"]]): {"kind": f["kind"], "name": f["name"]}
            for one in present
            for f in one["template"]["files"]
        }
        now = {**compiled(*present), "files": files}
        aim = rollout.aim(read, kept, seen, stack, to)
        return rollout.restored(read.values(), aim, now, rollout.canary.beside_now(seen))


class Telling(Recorded):
    """Hosts that say what was deployed last, as they are asked where stack files speak of canaries."""

    def _observation(self, at, name):
        newest = [json.loads(self.texts[names[0]]) for names in self.kept[name].values()]
        told = {one["name"]: {"service": one, "files": made["files"]} for made in newest for one in made["services"]}
        return {**super()._observation(at, name), "deployed": told}


def images(fleet, name):
    return sorted(fleet.running(name).values())


def test_back_and_forth():
    fleet = Recorded()
    for version in ("app:1", "app:2", "app:3"):
        fleet.deploy(service("web", image=version, replicas=2))
    fleet.go(fleet.plan(fleet.back()))
    assert images(fleet, "shop_web") == ["app:2", "app:2"]
    fleet.go(fleet.plan(fleet.back()))
    assert images(fleet, "shop_web") == ["app:3", "app:3"], "what was left last is the newest that does not run"
    oldest = rollout.listing(fleet.observe())["shop"][-1]
    fleet.go(fleet.plan(fleet.back(to=oldest.release[:5])))
    assert images(fleet, "shop_web") == ["app:1", "app:1"]
    assert len(fleet.kept["n1"]["shop"]) == 3, "a release that runs again is no new one"


def test_the_newest_release_is_the_aim_when_a_deploy_was_stopped():
    fleet = Recorded()
    fleet.deploy(service("web", image="app:1", replicas=2))
    fleet.deploy(service("web", image="app:2", replicas=2))
    plan = fleet.plan(compiled(service("web", image="app:3", replicas=2)))
    fleet.apply(plan, stop_after=3)
    assert images(fleet, "shop_web") != ["app:2", "app:2"]
    fleet.go(fleet.plan(fleet.back()))
    assert images(fleet, "shop_web") == ["app:2", "app:2"]


def test_other_stacks_stay_what_they_were_deployed_as():
    fleet = Recorded()
    other = service("db", stack="data", image="db:1")
    fleet.deploy(service("web", image="app:1"), other)
    fleet.deploy(service("web", image="app:2"), other)
    newer = service("db", stack="data", image="db:2", template={"files": []})
    fleet.go(fleet.plan(fleet.back(present=[newer])))
    assert images(fleet, "data_db") == ["db:1"]
    assert images(fleet, "shop_web") == ["app:1"]


def test_a_canary_of_another_stack_stays_while_its_files_say_so():
    fleet = Telling()
    rule = {"replicas": "50%", "weight": 50, "match": "", "mirror": None, "hold": None}

    def db(image):
        return service("db", stack="data", image=image, replicas=2, update={"canary": rule}, template={"files": []})

    fleet.deploy(service("web", image="app:1"), db("db:1"))
    fleet.deploy(service("web", image="app:2"), db("db:2"))
    assert images(fleet, "data_db-canary") == ["db:2"]
    plan = fleet.go(fleet.plan(fleet.back(present=[db("db:2")])))
    assert {one["service"] for one in plan["changes"]} == {"shop_web"}
    assert (images(fleet, "data_db"), images(fleet, "data_db-canary")) == (["db:1", "db:1"], ["db:2"])
    assert images(fleet, "shop_web") == ["app:1"]
    fleet.go(fleet.plan(fleet.back(present=[db("db:3")])))
    assert (images(fleet, "data_db"), images(fleet, "data_db-canary")) == (["db:1", "db:1"], []), "nobody wants db:2"


def test_a_stack_without_a_record_and_a_release_that_is_not_kept_are_refused():
    fleet = Recorded()
    with pytest.raises(StowageError, match="STW-RELEASE stack 'shop': no release of it is kept"):
        fleet.back()
    fleet.deploy(service("web"))
    with pytest.raises(StowageError, match="only one release is kept"):
        fleet.back()
    for to in ("ffffff", "ab", "{{ 1 }}"):
        with pytest.raises(StowageError, match=r"STW-RELEASE releases of shop: .* is not kept; known: [0-9a-f]{12}"):
            fleet.back(to=to)


def test_a_rollback_goes_by_the_rollback_policy_and_keeps_the_update_policy_on_record():
    fleet = Recorded()
    policy = {"update": {"parallelism": 1}, "rollback": {"parallelism": 0}}
    fleet.deploy(service("web", image="app:1", replicas=4, **policy))
    fleet.deploy(service("web", image="app:2", replicas=4, **policy))
    plan = fleet.go(fleet.plan(fleet.back()))
    assert {step["wave"] for step in plan["steps"] if step["phase"] == "start"} == {1}
    newest = fleet.kept["n1"]["shop"][0]
    (kept,) = rollout.parse_record(fleet.texts[newest], newest)["services"]
    assert kept["update"]["parallelism"] == 1
    assert "forward" not in kept


def secret(digest):
    return {"files": [{"kind": "secret", "name": "token", "target": "token", "digest": digest}]}


def test_secrets_have_their_present_values_and_are_not_on_record():
    fleet = Recorded()
    entry = {"kind": "secret", "name": "token", "raw": "hush"}
    for version, digest in (("app:1", "aa"), ("app:2", "bb"), ("app:2", "cc")):
        fleet.deploy(service("web", image=version, template=secret(digest)), files={digest: entry})
    assert len(fleet.kept["n1"]["shop"]) == 2, "another value of a secret is no other release"
    assert not [text for text in fleet.texts.values() if "hush" in text]
    now = service("web", image="app:9", template=secret("dd"))
    (wanted,) = fleet.back(present=[now])["services"]
    assert wanted["template"]["image"] == "app:1"
    assert wanted["template"]["files"][0]["digest"] == "dd"
    with pytest.raises(StowageError, match="STW-RELEASE shop_web secret token: no service of the stack has it"):
        fleet.back()


def live_secret(digest):
    file = {"kind": "secret", "name": "token", "target": "/t", "digest": "", "live": True}
    return {"template": {"files": [file]}, "live": {"signal": "HUP", "files": {"/t": digest, "/c": "conf"}}}


def test_secrets_that_change_without_a_restart_are_not_on_record_either():
    fleet = Recorded()
    files = {
        "aa": {"kind": "secret", "name": "token", "raw": "hush"},
        "conf": {"kind": "config", "name": "c", "raw": "c"},
    }
    given = live_secret("aa")
    for version in ("app:1", "app:2"):
        fleet.deploy({**service("web", image=version, template=given["template"]), "live": given["live"]}, files=files)
    assert not [text for text in fleet.texts.values() if "hush" in text]
    present = service("web", image="app:9", template=live_secret("dd")["template"])
    (wanted,) = fleet.back(present=[{**present, "live": live_secret("dd")["live"]}])["services"]
    assert wanted["template"]["files"][0]["digest"] == ""
    assert wanted["live"]["files"] == {"/t": "dd", "/c": "conf"}


def test_configs_are_on_record_whatever_bytes_they_have():
    fleet = Recorded()
    for at, value in enumerate((b"one", b"\xff\x00")):
        digest = text_digest(value)
        mount = {"files": [{"kind": "config", "name": "motto", "target": "/motto", "digest": digest}]}
        fleet.deploy(
            service("web", template=mount),
            files={digest: {"kind": "config", "name": "motto", "raw": value.decode("latin-1")}},
        )
        newest = fleet.kept["n1"]["shop"][0]
        (kept,) = rollout.parse_record(fleet.texts[newest], newest)["files"].values()
        assert kept == {"kind": "config", "name": "motto", **([{"content": "one"}, {"base64": "/wA="}][at])}


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"schema": 1}'])
def test_a_damaged_record_is_refused(text):
    with pytest.raises(StowageError, match="STW-RELEASE release: record 'x' is damaged"):
        rollout.parse_record(text, "x")


def test_a_record_under_another_name_is_refused():
    fleet = Recorded()
    fleet.deploy(service("web"))
    (text,) = fleet.texts.values()
    with pytest.raises(StowageError, match="is damaged"):
        rollout.parse_record(text, "20270101T000000Z-000000000000-000000000000.json")


def named(number, release=None):
    return f"20260101T0000{number:02d}Z-{release or number:012x}-{number:012x}.json"


def test_a_host_keeps_ten_and_one_of_each_release(tmp_path):
    paths = Paths(str(tmp_path))
    for number in range(12):
        assert releases.write(paths, [{"stack": "shop", "name": named(number), "text": str(number)}])
    again = {"stack": "shop", "name": named(20, release=5), "text": "again"}
    assert releases.write(paths, [again], check=True)
    assert releases.write(paths, [again])
    assert not releases.write(paths, [again])
    kept = releases.listed(paths)["shop"]
    assert kept[0] == named(20, release=5)
    assert kept[1:] == [named(number) for number in (11, 10, 9, 8, 7, 6, 4, 3, 2)]
    found, problems = releases.read(paths, {"shop": [kept[0], named(99)], "../etc": ["passwd"]})
    assert [one["text"] for one in found] == ["again"]
    assert [problem.code for problem in problems] == ["STW-RELEASE"] * 2


def test_no_name_leads_out_of_the_records_directory(tmp_path):
    for stack, name in (("..", named(1)), ("shop", "../../x.json"), ("a/b", named(1))):
        with pytest.raises(OSError, match="no name of a release record"):
            releases.write(Paths(str(tmp_path)), [{"stack": stack, "name": name, "text": ""}])
    assert json.dumps(releases.listed(Paths(str(tmp_path)))) == "{}"


def test_a_config_that_is_a_template_is_kept_as_one_and_live_configs_are_kept_too():
    mounted = {"kind": "config", "name": "c", "target": "/c", "digest": "of-template"}
    one = service("web")
    one = {
        **one,
        "template": {**one["template"], "files": [mounted]},
        "live": {"signal": "", "files": {"/d": "of-live"}},
    }
    template = {"driver": "jinja2", "env": {"REGION": "eu"}, "values": {}}
    files = {
        "of-template": {"kind": "config", "name": "c", "raw": "{{ env.REGION }}", "template": template},
        "of-live": {"kind": "config", "name": "d", "raw": "d"},
        "unused": {"kind": "config", "name": "e", "raw": "e"},
    }
    fleet = Recorded()
    fleet.deploy(one, files=files)
    (record,) = [json.loads(text) for text in fleet.texts.values()]
    assert record["files"] == {
        "of-template": {"kind": "config", "name": "c", "template": template, "content": "{{ env.REGION }}"},
        "of-live": {"kind": "config", "name": "d", "content": "d"},
    }
