"""Certificates by ACME: what is asked for, what is due, how lego is called."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import acme, certificates, issuing
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import certificates as controller_side
from certificate_maker import make_pair

STATED = {"email": "ops@example.org", "certificates": [["shop.example", "www.shop.example"], ["api.example"]]}
HOSTS = ["n1", "n2"]


def test_the_first_ingress_host_is_the_issuer_if_none_is_stated():
    assert acme.read_acme(STATED, HOSTS)["issuer"] == "n1"
    assert acme.read_acme({**STATED, "issuer": "n2"}, HOSTS)["issuer"] == "n2"


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "nobody"},
        {"email": 5},
        {"server": "http://plain.example/dir"},
        {"issuer": "n3"},
        {"port": 0},
        {"port": "8402"},
        {"renew_days": 0},
        {"key_type": "dsa"},
        {"ca_file": "pebble.pem"},
        {"mail": "x"},
        {"certificates": []},
        {"certificates": ["shop.example"]},
        {"certificates": [["*.shop.example"]]},
        {"certificates": [["shop_a.example"]]},
        {"certificates": [["../../etc/passwd"]]},
        {"certificates": [["shop"]]},
        {"certificates": [["a.example"], ["a.example", "b.example"]]},
    ],
)
def test_settings_of_another_form_are_refused(wrong):
    with pytest.raises(StowageError) as caught:
        acme.read_acme({**STATED, **wrong}, HOSTS)
    assert [problem.code for problem in caught.value.problems] == ["STW-ACME-OPTION"]
    with pytest.raises(StowageError):
        acme.read_acme(None, HOSTS)
    with pytest.raises(StowageError):
        acme.read_acme(STATED, [])


def test_a_certificate_is_due_if_there_is_none_or_another_or_few_days_are_left():
    have = {"names": ["b.example", "a.example"], "ends": 100 * 86400, "matches": True}
    names = ["a.example", "b.example"]
    assert acme.due(names, None, 0, 30) == "there is none"
    assert acme.due(names, {**have, "matches": False}, 0, 30) == "there is none"
    assert acme.due(names, have, 60 * 86400, 30) == ""
    assert acme.due(names, have, 80 * 86400, 30) == "20 day(s) left"
    assert acme.due(names, have, 180 * 86400, 30) == "0 day(s) left"
    assert acme.due([*names, "c.example"], have, 0, 30) == "the one there is for a.example, b.example"


def test_lego_answers_on_the_issuers_own_address():
    settings = acme.read_acme(STATED, HOSTS)
    argv = acme.command(settings, ["shop.example", "www.shop.example"], "192.0.2.11")
    assert argv[0] == "lego"
    assert argv[-1] == "run"
    assert [argv[at + 1] for at, word in enumerate(argv) if word == "--domains"] == ["shop.example", "www.shop.example"]
    assert argv[argv.index("--http.port") + 1] == "192.0.2.11:8402"


def test_every_ingress_host_forwards_challenges_to_the_issuer_before_all_other_routes():
    made = certificates.certificates_file([], "acme", {"address": "192.0.2.11", "port": 8402})
    http = json.loads(made["text"])["http"]
    assert http["services"]["stowage-acme"]["loadBalancer"]["servers"] == [{"url": "http://192.0.2.11:8402"}]
    for name in ("stowage-acme", "stowage-acme-tls"):
        assert http["routers"][name]["rule"] == "PathPrefix(`/.well-known/acme-challenge/`)"
        assert http["routers"][name]["priority"] > 10**9
    assert f"/.stowage/gen/{made['generation']}" in http["routers"]["stowage-acme-gen"]["rule"]
    other = certificates.certificates_file([], "acme", {"address": "192.0.2.12", "port": 8402})
    assert other["generation"] != made["generation"]


def test_what_lego_says_comes_back_and_what_it_has_is_read(tmp_path):
    calls = []

    def run(argv, **more):
        calls.append((argv, more["env"].get("LEGO_CA_CERTIFICATES")))
        good = argv[0] == "good"
        return subprocess.CompletedProcess(argv, 0 if good else 1, "x" * 900 + " 403 :: unauthorized")

    orders = [{"name": "a.example", "command": ["good"]}, {"name": "b.example", "command": ["bad"]}]
    (problem,) = issuing.issue(orders, "/etc/ca.pem", str(tmp_path), run)
    assert (problem.code, problem.place) == ("STW-ACME", "certificate b.example")
    assert "403 :: unauthorized" in problem.reason
    assert len(problem.reason) < 700
    assert [call[1] for call in calls] == ["/etc/ca.pem"] * 2
    certificate, key = make_pair("a.example")
    folder = tmp_path / "var/lib/stowage/acme/certificates"
    folder.mkdir()
    (folder / "a.example.crt").write_text(certificate)
    (folder / "a.example.key").write_text(key)
    pairs = issuing.stored(["a.example", "b.example"], str(tmp_path))
    assert list(pairs) == ["a.example"]
    assert controller_side.facts_or_none(pairs["a.example"])["names"] == ["a.example"]
    assert controller_side.facts_or_none({"certificate": "x", "key": "y"}) is None
    with pytest.raises(ValueError, match="not a host name"):
        issuing.stored(["../shadow"], str(tmp_path))


def test_without_lego_it_says_so(tmp_path):
    orders = [{"name": "a.example", "command": [str(tmp_path / "no-lego")]}]
    (problem,) = issuing.issue(orders, root=str(tmp_path))
    assert "lego cannot be run" in problem.reason
