# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Storage classes: what the hosts mount, and where volumes of a class are."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.storage import classes
from fake_fleet import FakeFleet, compiled, service, volume

NFS = {"fstype": "nfs", "source": "filer:/export"}
ALONE = {"fstype": "glusterfs", "source": "n1:/v", "options": "backup-volfile-servers=n2", "single_writer": True}


def test_a_host_mounts_the_classes_it_has():
    units = classes.mount_units(
        {"shared": NFS, "db-disk": ALONE, "other": NFS | {"path": "/other"}}, ["shared", "db-disk"]
    )
    assert [(one["name"], one["unit"], one["path"], one["packages"]) for one in units] == [
        ("db-disk", "srv-stowage-db\\x2ddisk.mount", "/srv/stowage/db-disk", ["glusterfs-client"]),
        ("shared", "srv-stowage-shared.mount", "/srv/stowage/shared", ["nfs-common"]),
    ]
    text = units[0]["text"].splitlines()
    for line in (
        "What=n1:/v",
        "Where=/srv/stowage/db-disk",
        "Type=glusterfs",
        "Before=docker.service stowage-owners.service",
    ):
        assert line in text
    assert "Options=backup-volfile-servers=n2" in text
    assert not any(line.startswith("Options") for line in units[1]["text"].splitlines())


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        ("nfs", "stowage_storage_classes: is 'nfs', no mapping"),
        ({"Shared!": NFS}, "'Shared!' is no name of a class"),
        ({"a": "nfs"}, "stowage_storage_classes.a: is 'nfs', no mapping"),
        ({"a": {"fstype": "nfs"}}, "stowage_storage_classes.a.source: is missing"),
        ({"a": {"source": "x:/y"}}, "stowage_storage_classes.a.fstype: is missing"),
        ({"a": NFS | {"option": "ro"}}, "stowage_storage_classes.a.option: is not a setting of a class"),
        ({"a": NFS | {"options": "rw\nExecStart=x"}}, "stowage_storage_classes.a.options: "),
        ({"a": NFS | {"source": "%h:/x"}}, "stowage_storage_classes.a.source: "),
        ({"a": NFS | {"path": "/srv/../etc"}}, "is no plain absolute path"),
        ({"a": NFS | {"path": "relative"}}, "is no plain absolute path"),
        ({"a": NFS | {"single_writer": "yes"}}, "'yes' is neither true nor false"),
        ({"a": NFS | {"packages": "nfs-common"}}, "is 'nfs-common', no list"),
        ({"a": NFS | {"path": "/x"}, "b": NFS | {"path": "/x"}}, "is mounted at /x, like a"),
    ],
)
def test_a_mistake_in_a_class_is_told(stated, told):
    with pytest.raises(StowageError) as caught:
        classes.read_classes(stated)
    assert any(told in str(problem) for problem in caught.value.problems), caught.value
    assert {problem.code for problem in caught.value.problems} == {"STW-STORAGE"}


def test_every_mistake_is_told_at_once():
    with pytest.raises(StowageError) as caught:
        classes.read_classes({"a": {"fstyp": "nfs"}, "b": NFS | {"path": "x"}})
    assert len(caught.value.problems) == 4


def placed(order="stop-first", **given):
    one = service("db", volumes=[{**volume("shop_data"), "class": "db"}], update={"order": order}, **given)
    return classes.place_volumes([one], classes.read_classes({"db": ALONE}), "test")


def test_a_volume_of_a_class_is_a_directory_there():
    described = classes.read_classes({"many": NFS, "db": ALONE})
    wanted = service("db", volumes=[{**volume("a"), "class": "many"}, {**volume("b"), "class": "db"}, volume("c")])
    (found,), _problems = classes.place_volumes([wanted], described, "test")
    assert [one.get("directory") for one in found["volumes"]] == [
        "/srv/stowage/many/test/a",
        "/srv/stowage/db/test/b",
        None,
    ]
    devices = [one["driver_opts"].get("device") for one in found["volumes"]]
    assert devices == ["/srv/stowage/many/test/a", "/run/stowage/owned/b", None]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"replicas": 2}, "has a single writer, 2 replicas would write"),
        ({"mode": "global"}, "has a single writer, a global service would write"),
        ({"order": "start-first"}, "has a single writer, order is start-first"),
    ],
)
def test_a_single_writer_is_never_two(given, told):
    _services, problems = placed(**given)
    assert [problem.reason for problem in problems] == [f"class db {told}"]


def test_a_single_writer_that_moves_is_stopped_first():
    fleet = FakeFleet()
    described = fleet.fleet()
    for node in described["nodes"]:
        node["storage"] = ["db"]
    fleet.fleet = lambda: described
    (one,), _problems = placed(placement={"hosts": ["n1"]})
    fleet.apply(fleet.plan(compiled(one)))
    moved = {**one, "placement": {**one["placement"], "hosts": ["n2"]}}
    plan = fleet.plan(compiled(moved))
    assert [change["change"] for change in plan["changes"]] == ["move"]
    phases = [(step["phase"], sorted(step["hosts"])) for step in plan["steps"]]
    assert phases.index(("stop", ["n1"])) < phases.index(("start", ["n2"]))
