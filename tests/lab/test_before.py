"""Jobs before a roll on real hosts: once per version, on one host; one that fails stops before the first wave."""

from __future__ import annotations

import os

import pytest
from test_deploy import shop

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-rollout runs it (STOWAGE_LONG=1)"),
]


def stack(version, command="echo migrated"):
    job = f'\n  migrate: {{image: "stowage/app:{version}", entrypoint: [sh, -c, "{command}"]}}'
    return shop(version, more=job).replace(
        "    healthcheck:", "    x-stowage: {before: [migrate]}\n    healthcheck:", 1
    )


def job(fleet):
    return fleet.containers("shop_migrate", everything=True)


def test_a_job_runs_once_per_version_and_stops_the_roll_when_it_fails(fleet):
    fleet.stack(stack("1.0"))
    first = fleet.deploy().ok()
    assert first.text.index("shop_migrate") < first.text.index("shop_web")
    (ran,) = job(fleet)
    assert ran["state"] == "exited"
    assert fleet.deploy().ok().changed == 0, "it ran for this version"
    assert job(fleet) == [ran]
    serving = fleet.containers("shop_web")
    fleet.stack(stack("1.1", command="echo no such table; exit 3"))
    failed = fleet.deploy()
    assert failed.rc != 0
    assert "no such table" in failed.text
    assert fleet.containers("shop_web") == serving, "nothing was rolled"
    fleet.stack(stack("1.1"))
    fleet.deploy().ok()
    (again,) = job(fleet)
    assert again["id"] != ran["id"]
    assert {c["image"] for c in fleet.containers("shop_web")} == {"stowage/app:1.1"}
    assert fleet.deploy().ok().changed == 0
