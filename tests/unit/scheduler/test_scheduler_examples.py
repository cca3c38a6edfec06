"""The examples of the filter's documentation, and of docs/scheduling.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]


def documented():
    return yaml.safe_load(
        yaml.safe_load((ROOT / "plugins/filter/schedule.yml").read_text(encoding="utf-8"))["EXAMPLES"]
    )


def handbook():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/scheduling.md").read_text(encoding="utf-8"), re.DOTALL)
    return [task for block in blocks if "stowage.fleet.schedule" in block for task in yaml.safe_load(block)]


@pytest.mark.parametrize(("tasks", "says"), [(documented(), "n1: the only host with room"), (handbook(), 'slot"?: 6')])
def test_examples_run(tmp_path, tasks, says):
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), "utf-8")
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-i",
        "localhost,",
        "-c",
        "local",
        str(playbook),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "default"}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(says, run.stdout)
