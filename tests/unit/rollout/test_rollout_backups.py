# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""May a volume be saved or restored, where, in which steps; and where the inventory may say that backups go."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.rollout import backups, moving
from ansible_collections.stowage.fleet.plugins.module_utils.storage.backups import Repository, read_backup
from fake_fleet import FakeFleet, compiled, service, volume

CLAIM = {"fleet": "test", "stack": "shop", "driver": "local"}
PLAIN = {"driver": "local", "options": [], "bytes": 1000, "files": 3}
RUNS = {"name": "shop_db.1.0", "service": "shop_db", "state": "running", "ours": True}
SNAPSHOTS = [
    {"id": "bbbbbbbb", "time": "2026-11-23T14:00:00", "host": "n1", "tags": ["kind=files"], "paths": ["/x/_data"]},
    {"id": "aaaaaaaa", "time": "2026-11-22T14:00:00", "host": "n1", "tags": ["kind=dump"], "paths": ["/shop_data"]},
]
ELSEWHERE = Repository("host", "n2", "/srv/backups")
HOOK = {"dump": ["pg_dump"], "load": ["psql"]}


def look(**more):
    return {"volume": None, "claim": None, "users": [], "free": 10**6, "missing": [], **more}


def world(hook=None, constraints=(), having=("n1",), **looks):
    """shop_data on n1, mounted by shop_db that runs there; n2 has the repository."""
    fleet = FakeFleet()
    for node in having:
        fleet.hosts[node]["volumes"] = fleet.hosts[node]["claims"] = ["shop_data"]
    mounted = {**volume("shop_data"), **({"backup": hook} if hook else {})}
    wanted = compiled(service("db", volumes=[mounted], placement={"constraints": list(constraints)}))
    found = {"n1": look(volume=PLAIN, claim=CLAIM, users=[RUNS]), "n2": look(snapshots=SNAPSHOTS), "n3": look()}
    return moving.World(fleet.fleet(), wanted, fleet.observe(), {**found, **looks}, fleet.digests)


def wish(**more):
    return backups.Wish(**{"volume": "shop_data", "repository": ELSEWHERE, **more})


def modes(decided):
    assert decided["problems"] == []
    return [(step["mode"], sorted(step["hosts"])) for step in decided["steps"]]


def test_a_backup_to_another_host_goes_over_a_way_of_its_own():
    decided = backups.decide(world(), wish())
    way = [("key", ["n1"]), ("serve", ["n2"])]
    assert modes(decided) == [*way, ("save", ["n1"]), ("close", ["n1", "n2"])]
    assert decided["deploy"] is False
    share = decided["steps"][0]["hosts"]["n1"]
    assert (share["repository"], share["directory"], share["address"]) == (
        "sftp:stowage:/",
        "/srv/backups",
        "192.0.2.2",
    )
    assert share["dump"] == []
    later = {"key": {"n1": {"key": "k"}}, "serve": {"n2": {"host_key": "h"}}}
    told = backups.share_of(decided["steps"][2], "n1", later)
    assert (told["key"], told["host_key"]) == ("k", "h")


@pytest.mark.parametrize(
    ("repository", "location"),
    [
        (Repository("directory", "", "/b"), "/b"),
        (Repository("host", "n1", "/b"), "/b"),
        (Repository("store", "", "s3:x/y"), "s3:x/y"),
    ],
)
def test_what_needs_no_way_has_none(repository, location):
    decided = backups.decide(world(HOOK), wish(repository=repository))
    assert modes(decided) == [("save", ["n1"]), ("close", ["n1"])]
    share = decided["steps"][0]["hosts"]["n1"]
    assert (share["repository"], share["dump"]) == (location, ["pg_dump"])
    assert "while it runs" in decided["steps"][0]["words"]


def test_a_restore_in_place_exchanges():
    decided = backups.decide(world(), wish(restore=True))
    assert [mode for mode, _hosts in modes(decided)] == ["key", "serve", "fetch", "swap", "close"]
    share = decided["steps"][2]["hosts"]["n1"]
    assert (share["snapshot"], share["path"], share["beside"]) == ("bbbbbbbb", "/x/_data", True)
    assert decided["deploy"] is False
    assert "stays as volume shop_data.before on n1" in decided["lines"][-1]


def test_a_restore_on_another_host_is_a_newer_generation():
    decided = backups.decide(world(), wish(restore=True, node="n3"))
    where = dict(modes(decided))
    assert list(where) == ["key", "serve", "fetch", "seal", "commit", "retire", "undo", "close"]
    assert (where["fetch"], where["seal"], where["commit"], where["retire"]) == (["n3"], ["n1"], ["n3"], ["n1"])
    share = decided["steps"][2]["hosts"]["n3"]
    assert (share["generation"], share["beside"], share["from"], share["to"]) == (2, False, "n1", "n3")
    assert decided["deploy"] is True


def test_a_restore_where_nobody_has_it_any_more():
    decided = backups.decide(world(having=(), n1=look()), wish(restore=True, node="n3"))
    assert [mode for mode, _hosts in modes(decided)] == ["key", "serve", "fetch", "commit", "close"]


def test_a_dump_is_loaded_where_the_service_runs():
    decided = backups.decide(world(HOOK), wish(restore=True, snapshot="aaaa"))
    assert [mode for mode, _hosts in modes(decided)] == ["key", "serve", "load", "close"]
    assert decided["steps"][2]["hosts"]["n1"]["load"] == ["psql"]


@pytest.mark.parametrize(
    ("given", "asked", "told"),
    [
        ({}, {"volume": "shop_dat"}, "STW-OPTION volume: 'shop_dat' is not there; did you mean shop_data?"),
        ({"having": ("n1", "n3")}, {}, "volume shop_data is on n1, n3; say which one with -e host=NAME"),
        ({"n1": look(volume=PLAIN, missing=["restic"])}, {}, "STW-TOOLS host n1: has no restic"),
        ({"n2": look(missing=["sshd"])}, {}, "STW-TOOLS host n2: has no sshd"),
        ({"n1": look(volume={**PLAIN, "driver": "nfs"})}, {}, "has driver 'nfs' and 0 options"),
        ({"n1": look(volume=PLAIN, users=[{**RUNS, "ours": False}])}, {}, "is not this fleet's"),
        ({"hook": HOOK, "n1": look(volume=PLAIN)}, {}, "no container that mounts it runs on n1"),
        ({}, {"restore": True, "snapshot": "cccc"}, "'cccc' is not there; known: bbbbbbbb of 2026-11-23T14:00:00"),
        ({"n2": look()}, {"restore": True}, "has no snapshot in n2:/srv/backups"),
        ({}, {"restore": True, "node": "n9"}, "STW-OPTION host: 'n9' is not there"),
        ({"having": ()}, {"restore": True}, "volume shop_data is on no host that answered"),
        ({}, {"restore": True, "snapshot": "aaaa"}, "has no command to load it"),
        ({}, {"restore": True, "snapshot": "aaaa", "node": "n3"}, "it needs the running service, which is on n1"),
        ({"constraints": ["node.hostname == n1"]}, {"restore": True, "node": "n3"}, "STW-PLACEMENT shop_db on n3"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(given, asked, told):
    decided = backups.decide(world(**given), wish(**asked))
    assert decided["steps"] == []
    assert told in "\n".join(str(problem) for problem in decided["problems"])


def test_a_volume_of_one_slot_has_its_service_s_command():
    given = world()
    mounted = {**volume("db-{{.Task.Slot}}"), "backup": HOOK}
    given.observations["n1"]["volumes"][0]["name"] = "db-2"
    named = given._replace(compiled=compiled(service("db", replicas=2, volumes=[mounted])))
    decided = backups.decide(named, wish(volume="db-2"))
    assert decided["problems"] == []
    assert decided["steps"][0]["hosts"]["n1"]["dump"] == ["pg_dump"]


def test_who_lists_the_snapshots():
    assert [backups.reader(wish(), node, "n1") for node in ("n1", "n2", "n3")] == ["", "/srv/backups", ""]
    store = wish(repository=Repository("store", "", "s3:x"))
    assert [backups.reader(store, node, "n1") for node in ("n1", "n2")] == ["s3:x", ""]
    own = wish(repository=Repository("directory", "", "/b"))
    assert [backups.reader(own, node, "n1") for node in ("n1", "n2")] == ["/b", "/b"]


def test_how_it_ended():
    saved = {"snapshot": "abcdefgh", "files": 3, "bytes": 2_000_000, "added": 1_000_000, "stopped": 1.26}
    assert backups.conclusion({"save": {"n1": saved}}) == (
        "SAVED  snapshot abcdefgh: 3 files, 2.0 MB, 1.0 MB of them new; its users were stopped for 1.3 s"
    )
    fetched = {"files": 3, "bytes": 2_000_000}
    assert "its users were stopped for 2.0 s" in backups.conclusion(
        {"fetch": {"n1": fetched}, "swap": {"n1": {"stopped": 2}}}
    )


def test_where_backups_go():
    good = {"password": "correct horse battery", "environment": {"AWS_ACCESS_KEY_ID": "x"}}
    assert read_backup({"repository": "/srv/b/", **good}, ["n1"]) == Repository("directory", "", "/srv/b")
    assert read_backup({"repository": "n1:/srv/b", **good}, ["n1"]) == Repository("host", "n1", "/srv/b")
    assert read_backup({"repository": "s3:https://s/b", **good}, ["n1"]) == Repository("store", "", "s3:https://s/b")
    assert read_backup({"repository": "n1:/srv/b", **good}, ["n1"]).on("n1") == Repository("directory", "", "/srv/b")


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        (None, ["is missing or no mapping"]),
        ({"repository": "/b"}, ["stowage_backup.password"]),
        ({"repository": "n9:/b", "password": "short"}, ["stowage_backup.password", "'n9' is no host of the fleet"]),
        ({"repository": "/b/../c", "password": "x" * 12}, ["is no place for backups"]),
        ({"repository": "/b c", "password": "x" * 12}, ["is no place for backups"]),
        ({"repository": "/", "password": "x" * 12}, ["is no place for backups"]),
        ({"repository": "/b", "password": "x" * 12, "environment": {"a b": "c"}}, ["stowage_backup.environment"]),
        ({"repository": "/b", "password": "x" * 12, "pasword": "y"}, ["'pasword' is not a setting"]),
    ],
)
def test_mistakes_in_where_backups_go(stated, told):
    with pytest.raises(StowageError) as caught:
        read_backup(stated, ["n1"])
    assert len(caught.value.problems) == len(told)
    for text in told:
        assert text in str(caught.value)
    assert "short" not in str(caught.value).replace("shorter", "")
