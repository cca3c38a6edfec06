# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""References to a store of secrets: what is one, and what stands for a version in a plan."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import references, settings
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

FILES = {"kind": "secret", "name": "shop_db", "target": "/run/secrets/db", "uid": "0", "gid": "0", "mode": 292}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("vault:shop/web#password", ("shop/web", "password")),
        ("vault:a#b", ("a", "b")),
        ("vault:shop/web", None),
        ("vault:shop/../web#x", None),
        ("vault:/shop#x", None),
        ("vault:shop//web#x", None),
        ("vault:.hidden#x", None),
        ("vault:shop#", None),
        ("vault:shop?x#y", None),
        ("shop/web#x", None),
        ("vault:" + "a" * 200 + "#x", None),
    ],
)
def test_what_a_reference_is(text, found):
    assert references.parse(text) == (references.Reference(*found) if found else None)


def whole(tmp_path, extra=""):
    path = tmp_path / "shop.yml"
    path.write_text(
        "services: {web: {image: 'a:1', secrets: [db, {source: db, target: twice}]" + extra + "}}\n"
        "secrets: {db: {x-stowage: {from: 'vault:shop#db'}}}\n"
    )
    made = compile_services("shop", load(str(path)), str(tmp_path))
    return {"services": made["services"], "files": made["files"]}


def version(number):
    return references.version_digest("shop", "shop_db", "vault:shop#db", references.Version(number, "t"))


def test_a_version_takes_the_placeholder_s_place_and_the_label_says_which(tmp_path):
    stack = whole(tmp_path)
    key = next(iter(stack["files"]))
    assert key == references.placeholder("shop", "shop_db", "vault:shop#db")
    made = references.filled(stack, {key: version(3)}, {key: {"version": 3}}, {})
    (service,) = made["services"]
    assert [one["digest"] for one in service["template"]["files"]] == [version(3)] * 2
    assert json.loads(service["template"]["labels"][references.LABEL]) == {"shop_db": version(3)}
    assert made["files"][version(3)] == {
        "kind": "secret", "name": "shop_db", "stack": "shop", "reference": "vault:shop#db", "version": 3
    }  # fmt: skip
    assert version(3) != version(4)
    assert version(3) != references.version_digest("shop", "shop_db", "vault:shop#db", references.Version(3, "later"))


def test_a_store_that_is_away_leaves_what_runs_as_it_is(tmp_path):
    stack = whole(tmp_path)
    running = [{"service": "shop_web", "secrets": {"shop_db": version(3)}}] * 2
    (service,) = references.filled(stack, {}, {}, references.known(running))["services"]
    assert {one["digest"] for one in service["template"]["files"]} == {version(3)}
    torn = [*running, {"service": "shop_web", "secrets": {"shop_db": version(4)}}]
    assert references.known(torn) == {}
    assert references.filled(stack, {}, {}, {})["files"] == stack["files"]


def test_configs_of_a_signal_keep_their_digests_outside_the_template(tmp_path):
    stack = whole(tmp_path, extra=", x-stowage: {on_change: 'signal:HUP'}")
    key = next(iter(stack["files"]))
    (service,) = references.filled(stack, {key: version(5)}, {}, {})["services"]
    assert {one["digest"] for one in service["template"]["files"]} == {""}
    assert set(service["live"]["files"].values()) == {version(5)}
    assert references.LABEL not in service["template"].get("labels", {})


def test_only_what_starts_needs_values():
    task = {"spec": "s"}
    share = {"services": {"s": {"files": [{**FILES, "digest": "d1"}, {**FILES, "digest": "d2"}]}}, "tasks": [task]}
    entries = {"d1": {"reference": "vault:a#b"}, "d2": {"path": "x"}, "d3": {"reference": "vault:a#c"}}
    steps = [{"phase": "prepare", "hosts": {"n1": {}}}, {"phase": "start", "hosts": {"n1": share}}]
    assert references.needed({"steps": steps, "files": entries}) == {"d1": entries["d1"]}
    assert references.needed({"steps": steps[:1], "files": entries}) == {}


GOOD = {"address": "https://bao.example:8200", "auth": {"method": "approle", "role_id": "r", "secret_id_file": "f"}}


def test_good_settings_are_read():
    found = settings.read({**GOOD, "mount": "stowage", "version": 1})
    assert (found.address, found.mount, found.version, found.auth["role_id"]) == (GOOD["address"], "stowage", 1, "r")
    assert settings.read({"address": "http://127.0.0.1:8200"}).auth == {"method": "token"}


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        (None, "is not stated"),
        ([], "is no mapping"),
        ({}, "is no address"),
        ({"address": "bao"}, "is no address"),
        ({"address": "http://bao.example:8200"}, "plain HTTP"),
        ({"address": "https://u:p@bao.example"}, "is no address"),
        ({**GOOD, "adress": 1}, "unknown key"),
        ({**GOOD, "version": 3}, "no version"),
        ({**GOOD, "mount": "../sys"}, "not usable"),
        ({**GOOD, "timeout": True}, "no number of seconds"),
        ({**GOOD, "auth": {"method": "ldap"}}, "is unknown"),
        ({**GOOD, "auth": {"method": "approle", "secret_id": "x"}}, "role_id is missing"),
        ({**GOOD, "auth": {"method": "approle", "role_id": "r"}}, "nothing that proves"),
        ({**GOOD, "auth": {"method": "approle", "role_id": "r", "secret_id": "x", "wrapped_secret_id": "y"}}, "and"),
        ({**GOOD, "auth": {"method": "jwt", "role": "r", "jwt": "x", "token": "s3cret"}}, "unknown key"),
    ],
)
def test_bad_settings_are_told_without_a_value(stated, words):
    with pytest.raises(StowageError) as error:
        settings.read(stated)
    assert words in str(error.value)
    assert {problem.code for problem in error.value.problems} == {"STW-VAULT"}
    assert "s3cret" not in str(error.value)
