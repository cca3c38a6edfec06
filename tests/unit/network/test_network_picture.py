"""The network as the hosts tell of it: values, lines, picture (golden files in tests/cases/network_view)."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.network.paths import judge, problems, warnings
from ansible_collections.stowage.fleet.plugins.module_utils.network.view import lines, view

CASES = Path(__file__).parents[2] / "cases" / "network_view"
NAMES = sorted(path.name for path in CASES.iterdir())


def way(underlay=1500, tunnel=1500, wanted=1500):
    return {"to": "n2", "address": "192.0.2.2", "wanted": wanted, "underlay": underlay, "tunnel": tunnel, "ms": 0.1}


@pytest.mark.parametrize("name", NAMES)
def test_golden(name):
    folder = CASES / name
    given = json.loads((folder / "given.json").read_text())
    made = view(given["fleet"], given["told"], given["services"])
    picture = made.pop("picture")
    outcome = {
        "view.json": json.dumps(made, indent=1, sort_keys=True) + "\n",
        "lines.txt": "\n".join(lines(made)) + "\n",
        "picture.svg": picture,
    }
    for file, text in outcome.items():
        if os.environ.get("STOWAGE_GOLDEN"):
            (folder / file).write_text(text)
        assert text == (folder / file).read_text(), f"{name}/{file}; STOWAGE_GOLDEN=1 writes them anew"
    ElementTree.fromstring(picture)
    assert not re.search(r"[^\x20-\x7e\n]", outcome["lines.txt"]), "what a host said is escaped"


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (way(), "up"),
        (way(underlay=0), "up"),
        (way(underlay=1372), "narrow"),
        (way(tunnel=1372), "narrow"),
        (way(underlay=0, tunnel=900), "narrow"),
        (way(tunnel=0), "closed"),
        (way(underlay=0, tunnel=0), "silent"),
    ],
)
def test_judgment(one, state):
    assert judge(one) == state


def test_a_black_hole_is_named_with_path_and_size():
    (found,) = problems("n1", [way(), way(underlay=1372, tunnel=1380), way(tunnel=0)], 50)
    assert (found.code, found.place) == ("STW-MTU", "n1 to n2 (192.0.2.2)")
    assert "packets of 1500 bytes are lost, 1372 bytes pass" in found.reason
    assert "stowage_network.mtu: 1322" in found.fix
    (least,) = problems("n1", [way(underlay=1300)], 50)
    assert "stowage_network.mtu" not in least.fix, "no network is that small"


def test_silence_and_closed_tunnels_are_warnings():
    silent, closed = warnings("n1", [way(underlay=0, tunnel=0), way(), way(tunnel=0)], 4789)
    assert "nothing comes back" in silent
    assert "allow UDP 4789 there" in closed
