# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sets of secrets: names, mounts, what is written where, what is kept, and what goes again."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import text_digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import boot_secrets, secret_sets, sets

TASK = {"name": "shop_web.1.abc", "service": "shop_web"}


def wanted(name, value, **given):
    base = {"kind": "secret", "name": f"shop_{name}", "target": f"/run/secrets/{name}", "digest": text_digest(value)}
    return {**base, "uid": "0", "gid": "0", "mode": 0o444, **given}


def sent(*values):
    return {text_digest(value): base64.b64encode(value.encode()).decode() for value in values}


def made(*secrets, taken=(), task=None):
    return secret_sets.secret_set(secrets, task or TASK, taken)


def deliver(ours, found, *values, **more):
    return sets.deliver(ours.paths, [found], sent(*values), **more)


def mode_of(path):
    return oct(os.stat(path).st_mode & 0o7777)


def test_a_set_is_named_by_all_that_it_is_and_not_by_the_order():
    one, two = wanted("a", "x"), wanted("b", "y")
    base = made(one, two)
    assert made(two, one) == base
    others = [{"digest": "0"}, {"uid": "1"}, {"gid": "1"}, {"mode": 0o400}, {"target": "/run/secrets/c"}]
    assert len({made({**one, **other}, two)["path"] for other in others} | {base["path"]}) == 6
    assert made() is None
    assert secret_sets.mounts(None) == []


def test_what_lies_elsewhere_is_mounted_alone():
    found = made(wanted("a", "x"), wanted("b", "y", target="/etc/app/key"))
    targets = [(mount["Target"], mount["Source"].rpartition("/")[0].rpartition("/")[2]) for mount in mounts(found)]
    assert [target for target, _kind in targets] == ["/run/secrets", "/etc/app/key"]
    assert targets[1][1] == "one"


def mounts(found):
    return secret_sets.mounts(found)


@pytest.mark.parametrize("taken", ["/run/secrets", "/run/secrets/other"])
def test_a_mount_of_the_services_own_below_run_secrets_takes_the_directory(taken):
    assert [m["Target"] for m in mounts(made(wanted("a", "x"), taken=[taken]))] == ["/run/secrets/a"]
    assert [m["Target"] for m in mounts(made(wanted("a", "x"), taken=["/run"]))] == ["/run/secrets"]


def test_a_set_is_written_whole_with_owners_modes_and_open_directories(ours):
    found = made(wanted("a", "x", mode=0o400, uid="70", gid="71"), wanted("deep/b", "y"))
    assert deliver(ours, found, "x", "y") == (True, {})
    folder = Path(ours.paths.secrets) / found["path"]
    assert (folder / "dir/a").read_text() == "x"
    assert (os.stat(folder / "dir/a").st_uid, os.stat(folder / "dir/a").st_gid) == (70, 71)
    assert [mode_of(folder / at) for at in ("dir", "dir/a", "dir/deep", "dir/deep/b")] == [
        "0o755",
        "0o400",
        "0o755",
        "0o444",
    ]
    assert mode_of(folder) == "0o700"
    assert deliver(ours, found) == (False, {})
    (folder / "dir/a").write_text("evil")
    assert deliver(ours, found, "x", "y") == (True, {})
    assert (folder / "dir/a").read_text() == "x"


def test_nothing_is_written_under_check_nor_if_one_is_not_there(ours):
    found = made(wanted("a", "x"), wanted("b", "y"))
    assert deliver(ours, found, "x", "y", check=True) == (True, {})
    changed, missing = deliver(ours, found, "x")
    assert (changed, list(missing)) == (False, [text_digest("y")])
    assert str(missing[text_digest("y")]).startswith("STW-SECRET secret shop_b: is not on the host and was not sent")
    assert not os.path.exists(os.path.join(ours.paths.secrets, "sets"))


def test_a_set_beyond_what_can_be_kept_is_refused(ours):
    big = "x" * (500 * 1024)
    found = made(wanted("a", big), wanted("b", big), wanted("c", big))
    _changed, missing = deliver(ours, found, big)
    assert "at most 1024000 are allowed" in str(missing[text_digest(big)])


def test_sets_go_when_no_container_mounts_them(ours):
    old, new = made(wanted("a", "x")), made(wanted("a", "y"))
    live = made(wanted("a", "z", live=True))
    for found, value in ((old, "x"), (new, "y"), (live, "z")):
        deliver(ours, found, value)
    left = os.path.join(ours.paths.secrets, "sets/shop_web/.half.1")
    os.mkdir(left)
    mounted = [mount["Source"] for mount in mounts(new)]
    assert sets.prune(ours.paths, mounted, [TASK["name"]], check=True) is True
    assert os.path.exists(left)
    assert sets.prune(ours.paths, mounted, [TASK["name"]]) is True
    assert os.listdir(os.path.join(ours.paths.secrets, "sets/shop_web")) == [new["path"].rpartition("/")[2]]
    assert os.listdir(os.path.join(ours.paths.secrets, "live")) == [TASK["name"]]
    assert sets.prune(ours.paths, mounted, [TASK["name"]]) is False
    assert sets.prune(ours.paths, [], []) is True
    assert sets._present(ours.paths) == []


def test_live_secrets_change_in_place_and_by_rename(ours):
    one, two = wanted("a", "x", live=True), wanted("b", "x", live=True, target="/etc/key")
    found = made(one, two)
    assert found["path"] == "live/shop_web.1.abc"
    deliver(ours, found, "x")
    folder = Path(ours.paths.secrets) / found["path"]
    alone = next((folder / "one").iterdir())
    inodes = [os.stat(path).st_ino for path in (folder / "dir", alone)]
    again = made({**one, "digest": text_digest("yy")}, {**two, "digest": text_digest("yy")})
    assert again["path"] == found["path"]
    assert deliver(ours, again, "yy") == (True, {})
    assert ((folder / "dir/a").read_text(), alone.read_text()) == ("yy", "yy")
    assert [os.stat(path).st_ino for path in (folder / "dir", alone)] == inodes


def test_a_container_without_its_secrets_is_told(ours, task):
    file = wanted("a", "x")
    ours.start(task(), template={"files": [file]}, secrets=sent("x"))
    assert "lacks" not in ours.observe()["containers"][0]
    sets.prune(ours.paths, [], [])
    assert ours.observe()["containers"][0]["lacks"] == "secrets"


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("/run/stowage/secrets/sets/shop_web/abc/dir", "secrets"),
        ("/run/stowage/secrets/live/shop_web.1.abc/dir", "secrets"),
        ("/run/stowage/secrets/0123abcd", "place"),
        ("/srv/other", ""),
    ],
)
def test_secrets_that_no_delivery_brings_back_have_no_place(ours, source, word):
    assert sets.lacks(ours.paths, {"Mounts": [{"Source": source}]}) == word


def test_a_packed_set_is_the_same_again_and_nothing_else_is_taken():
    one = {"path": "sets/a/b", "files": [{"at": "dir/x", "uid": "1", "gid": "2", "mode": 256, "content": b"\n\x00{"}]}
    assert boot_secrets.unpack(boot_secrets.pack(one)) == one
    for bad in ({**one, "path": "../x"}, {**one, "files": [{**one["files"][0], "at": "dir/../../x"}]}):
        with pytest.raises(ValueError, match="set"):
            boot_secrets.unpack(boot_secrets.pack(bad))
    with pytest.raises(ValueError, match="set"):
        boot_secrets.unpack(boot_secrets.pack(one) + b"more")


@pytest.fixture
def creds(monkeypatch):
    """A stand-in for systemd-creds: it knows the name that it encrypted for, and no more."""

    def run(*command, given=None):
        if command[1] == "encrypt":
            return command[2].encode() + b"|" + given[::-1]
        name, _bar, data = Path(command[3]).read_bytes().partition(b"|")
        if name.decode() != command[2]:
            raise boot_secrets.SecretsError("Embedded credential name does not match")
        return data[::-1]

    monkeypatch.setattr(boot_secrets, "_run", run)


def test_kept_sets_come_back_and_others_copies_are_refused(ours, creds):
    root, bundles = ours.paths.secrets, ours.paths.bundles
    files = [{"at": "dir/a", "uid": "0", "gid": "0", "mode": 0o400, "content": b"hush"}]
    boot_secrets.keep(bundles, {"path": "sets/s/one", "files": files}, "auto")
    boot_secrets.keep(bundles, {"path": "sets/s/two", "files": files}, "auto")
    assert sorted(os.listdir(bundles)) == ["sets.s.one.cred", "sets.s.two.cred"]
    assert mode_of(os.path.join(bundles, "sets.s.one.cred")) == "0o600"
    os.replace(os.path.join(bundles, "sets.s.one.cred"), os.path.join(bundles, "sets.s.two.cred"))
    boot_secrets.keep(bundles, {"path": "sets/s/one", "files": files}, "auto")
    os.makedirs(root, exist_ok=True)
    assert boot_secrets.restore(root, bundles) == ["sets.s.two"]
    path = os.path.join(root, "sets/s/one/dir/a")
    assert (Path(path).read_bytes(), mode_of(path)) == (b"hush", "0o400")
    assert boot_secrets.restore(root, bundles) == ["sets.s.two"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_memory_is_mounted_over_what_was_there(tmp_path):
    root = str(tmp_path / "secrets")
    os.makedirs(root + "/sub")
    Path(root, "old").write_text("x")
    os.chmod(root + "/old", 0o400)
    try:
        assert boot_secrets.ensure_memory(root) is True
    except boot_secrets.SecretsError:
        pytest.skip("no right to mount here")
    try:
        assert boot_secrets.own_mount(root) in boot_secrets.MEMORY_FILESYSTEMS
        assert boot_secrets.ensure_memory(root) is False
        assert (Path(root, "old").read_text(), mode_of(root + "/old")) == ("x", "0o400")
        assert os.path.isdir(root + "/sub")
        assert not os.path.exists(root + ".new")
    finally:
        subprocess.run(["umount", root], check=True)
