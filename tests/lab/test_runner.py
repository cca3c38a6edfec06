"""Through ansible-runner, as AWX runs jobs: a plan is approved by its digest, steps are events as they happen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest
from test_deploy import shop

RUNNER = os.environ.get("STOWAGE_ANSIBLE_RUNNER", "")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        not (os.environ.get("STOWAGE_LONG") and RUNNER), reason="long: make test-rollout runs it (with ansible-runner)"
    ),
]


def job(fleet, private, playbook, *arguments):
    """A playbook through ansible-runner: its return code, and its events in order."""
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    environment = {**fleet.environment(), "PATH": path, "PYTHONPATH": RUNNER}
    words = " ".join(["-i", str(fleet.directory / "hosts.yml"), *arguments])
    argv = [sys.executable, "-m", "ansible_runner", "run", str(private), "-p", f"stowage.fleet.{playbook}"]
    argv += [
        "--project-dir",
        str(fleet.directory),
        f"--cmdline={words}",
        "--ident",
        playbook,
        "--rotate-artifacts",
        "1",
    ]
    private.mkdir(exist_ok=True)
    done = subprocess.run(argv, env=environment, cwd=fleet.directory, capture_output=True, check=False, timeout=400)
    files = sorted(
        (private / "artifacts" / playbook / "job_events").glob("*.json"), key=lambda p: int(p.name.split("-")[0])
    )
    return done.returncode, [json.loads(file.read_text()) for file in files if "partial" not in file.name]


def approved(events):
    (stats,) = [event for event in events if event["event"] == "playbook_on_stats"]
    return stats["event_data"]["artifact_data"]["stowage_approved"]


def test_a_workflow_of_plan_and_deploy(fleet, tmp_path):
    fleet.stack(shop("1.0"))
    fleet.deploy().ok()
    fleet.stack(shop("1.1"))
    rc, events = job(fleet, tmp_path / "plan", "plan")
    assert rc == 0
    digest = approved(events)
    assert f"plan {digest[:12]}" in "".join(event["stdout"] for event in events)
    # Git moves between the approval and the deploy: nothing happens.
    before = fleet.containers()
    fleet.stack(shop("1.1", replicas=3))
    rc, events = job(fleet, tmp_path / "moved", "deploy", "-e", f"stowage_approved={digest}")
    assert rc != 0
    assert "STW-STALE" in "".join(event["stdout"] for event in events)
    assert fleet.containers() == before
    fleet.stack(shop("1.1"))
    rc, events = job(fleet, tmp_path / "deploy", "deploy", "-e", f"stowage_approved={digest}")
    assert rc == 0
    assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.1"}
    assert max(len(event["stdout"]) for event in events) <= 1000
    steps = [event for event in events if event["stdout"].lstrip().startswith("wave ")]
    assert len(steps) >= 4
    told = [datetime.fromisoformat(event["created"].replace("Z", "+00:00")) for event in steps]
    assert (told[-1] - told[0]).total_seconds() > 2, "as they happen, not all at the end"
    for words in (": running", "ready: shop_web", "with traffic: shop_web", ": stopped", ": removed"):
        assert any(words in event["stdout"] for event in events), words
