"""The same plan, byte for byte, under every supported Python and whatever the hash seed."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils import scheduler

ROOT = Path(scheduler.__file__).parents[6]
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
with open(sys.argv[2], encoding="utf-8") as file:
    cases = json.load(file)
for case in cases:
    first = schedule(*case)
    print(json.dumps(first))
    print(json.dumps(schedule(case[0][1:], case[1], first["placements"], case[3])))
"""
VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]


def interpreter(version):
    """A Python of this version that runs (version managers put shims on PATH that do not), or None."""
    homes = [Path("/usr/bin"), Path("/usr/local/bin"), *sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin"))]
    found = [str(home / f"python{version}") for home in homes] + [shutil.which(f"python{version}") or ""]
    for path in found:
        if (
            path
            and Path(path).exists()
            and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return path
    return None


def cases():
    """A few fleets with most kinds of rules, as plain JSON."""
    return [case(random.Random(seed)) for seed in range(4)]


def case(chance):
    nodes = [
        {
            "name": f"n{at:02}",
            "labels": {"zone": chance.choice("abc"), **({"disk": "ssd"} if chance.random() < 0.4 else {})},
            "capacity": {"cpus": chance.choice([4, 8.5]), "memory": chance.choice([8, 16]) << 30},
            "facts": {"kernel": chance.choice(["5.10.3", "6.1"])},
        }
        for at in range(24)
    ]
    services = [
        {
            "name": f"s{at:02}",
            "replicas": chance.randint(1, 9),
            "reservations": {"cpus": chance.choice([0.1, 0.3, 0.7]), "memory": chance.choice([1, 3]) << 29},
            "constraints": chance.choice([[], ["node.labels.disk == ssd"], ["node.facts.kernel version >= 6"]]),
            "preferences": chance.choice([[], [{"spread": "node.labels.zone"}]]),
            "strategy": chance.choice(["spread", "spread", "binpack", "round_robin"]),
            "ports": chance.choice([[], [], [8000 + at]]),
            "max_replicas_per_node": chance.choice([0, 0, 1, 2]),
        }
        for at in range(24)
    ]
    return [nodes, services, [], {}]


@pytest.fixture(scope="module")
def question(tmp_path_factory):
    path = tmp_path_factory.mktemp("pythons") / "cases.json"
    path.write_text(json.dumps(cases()), encoding="utf-8")
    return path


def answer(python, seed, question):
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, "-c", PROGRAM, str(ROOT), str(question)]
    return subprocess.run(command, capture_output=True, check=True, env=environment).stdout


@pytest.fixture(scope="module")
def reference(question):
    found = answer(sys.executable, 0, question)
    assert len(found.splitlines()) == 8
    return found


@pytest.mark.parametrize("seed", [1, 2, 4_294_967_295])
def test_the_hash_seed_does_not_matter(question, reference, seed):
    assert answer(sys.executable, seed, question) == reference


@pytest.mark.parametrize("version", VERSIONS)
def test_the_python_does_not_matter(question, reference, version):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    assert answer(python, 3, question) == reference
