"""A host's files: what is written, written once, read back, and taken away."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import programs
from ansible_collections.stowage.fleet.plugins.module_utils.network import converge, host
from ansible_collections.stowage.fleet.plugins.module_utils.network.api import NetworkError, allocate, claim

NODES = [{"name": f"n{n}", "address": f"192.0.2.{n}"} for n in (1, 2)]


@pytest.fixture
def state():
    return {**allocate({}, NODES, {}, "lab"), "name": "n1"}


@pytest.fixture
def written(tmp_path, state):
    files = host.files(state)
    moved = {str(tmp_path) + path: content for path, content in files.items()}
    assert host.write(moved, check=True) == list(moved)
    assert not list(tmp_path.iterdir())
    assert host.write(moved, check=False) == list(moved)
    return tmp_path, moved


def test_files_are_written_once_and_drift_is_seen(written):
    root, files = written
    assert host.write(files, check=False) == []
    (root / "etc/stowage/base.nft").chmod(0o600)
    (root / "etc/stowage/network.json").write_text("x")
    damaged = [str(root / "etc/stowage/network.json"), str(root / "etc/stowage/base.nft")]
    assert host.write(files, check=False) == damaged
    assert not list(root.rglob("*.stowage-new"))


def test_the_claim_is_read_back(written, state):
    root, _files = written
    path = str(root / "etc/stowage/network.json")
    assert claim(path) == {
        **state["nodes"]["n1"],
        "fleet": "lab",
        "name": "n1",
        "mode": "vxlan",
        "cidr": "10.128.0.0/12",
        "mtu": 1450,
        "vips": "10.143.0.0/16",
    }
    assert converge.load_state(path) == state
    assert claim(path + ".absent") is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"node": "n1", "table": {"nodes": {}}}', '{"node": 1, "table": 2}'])
def test_a_damaged_claim_is_said_so(tmp_path, text):
    path = tmp_path / "network.json"
    path.write_text(text)
    with pytest.raises(NetworkError, match="damaged"):
        claim(str(path))


def test_the_installed_script_stands_alone(written):
    root, _files = written
    script = root / "usr/local/lib/stowage/stowage-net"
    assert script.read_bytes().startswith(b"#!/usr/bin/python3\n")
    assert script.stat().st_mode & 0o777 == 0o755
    # -I -S: neither this repository nor any installed package is in reach.
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "--help"], text=True, capture_output=True, check=True
    )
    assert "--check" in done.stdout


def test_the_state_is_complete_json(written):
    root, _files = written
    held = json.loads((root / "etc/stowage/network.json").read_text())
    assert (held["schema"], held["node"], sorted(held["table"]["nodes"])) == (1, "n1", ["n1", "n2"])


@pytest.mark.parametrize("kind", [str, str.encode])
def test_the_script_is_the_source_whatever_the_loader_gives(monkeypatch, kind):
    """Ansible's loader on the controller gives bytes, a zip file gives text."""

    class Loader:
        def get_source(self, name):
            assert name == "stowage_tried.thing"
            return kind("# source\n")

    spec = SimpleNamespace(loader=Loader(), submodule_search_locations=None)
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda name: spec)
    assert programs.source("stowage_tried.thing") == "# source\n"


def test_a_program_is_the_same_bytes_each_time(state):
    first, second = (host.files(state)[host.SCRIPT] for _time in range(2))
    assert first == second
    assert len(first[0]) < 60000
