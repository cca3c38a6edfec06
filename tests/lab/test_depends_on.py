"""depends_on on real hosts: conditions are waited for, what needs nothing rolls beside, a failure ends the roll."""

from __future__ import annotations

import os
from datetime import datetime

import pytest

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-rollout runs it (STOWAGE_LONG=1)"),
]
STACK = """
services:
  db:
    image: stowage/app:1.0
    environment: {{START_DELAY: "3", ROLL: "{roll}"}}
    healthcheck: &health
      test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"]
      interval: 1s
      timeout: 2s
      retries: 9
  seed:
    image: stowage/app:1.0
    entrypoint: [sh, -c, "sleep 2; echo {roll}; exit {code}"]
    depends_on: {{db: {{condition: service_healthy}}}}
    deploy: {{restart_policy: {{condition: none}}}}
  early:
    image: stowage/app:1.0
    environment: {{START_DELAY: "6", ROLL: "{roll}"}}
    healthcheck: *health
  started:
    image: stowage/app:1.0
    environment: {{ROLL: "{roll}"}}
    depends_on: {{db: {{condition: service_started}}}}
  web:
    image: stowage/app:1.0
    environment: {{ROLL: "{roll}"}}
    depends_on:
      db: {{condition: service_healthy}}
      seed: {{condition: service_completed_successfully}}
    deploy: {{replicas: 2}}
"""


def moment(text):
    """Seconds of a time as Docker writes it: nanoseconds are more than datetime reads."""
    whole, _point, rest = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{rest or 0}")


def times(fleet, service):
    """When the tasks of a service began and ended, in seconds."""
    shape = "{{.State.StartedAt}} {{.State.FinishedAt}}"
    found = []
    for container in fleet.containers(f"shop_{service}", everything=True):
        text = fleet.shell(container["node"], f"docker inspect -f '{shape}' {container['id']}")
        found.append(tuple(moment(word) for word in text.split()))
    return found


def test_conditions_are_waited_for_and_what_needs_nothing_goes_beside(fleet):
    fleet.stack(STACK.format(roll=1, code=0))
    fleet.deploy().ok()
    ((db, _end),) = times(fleet, "db")
    ((seed, seeded),) = times(fleet, "seed")
    ((early, _end),) = times(fleet, "early")
    ((started, _end),) = times(fleet, "started")
    assert seed >= db + 3, "db serves three seconds after it began"
    assert all(began >= seeded for began, _end in times(fleet, "web"))
    assert abs(early - db) < 2, "it depends on nothing: side by side"
    assert started >= db
    assert fleet.deploy().ok().changed == 0


def test_a_dependency_that_fails_ends_the_roll_before_its_users(fleet):
    fleet.stack(STACK.format(roll=1, code=0))
    fleet.deploy().ok()
    web = fleet.containers("shop_web")
    fleet.stack(STACK.format(roll=2, code=4))
    run = fleet.deploy()
    assert run.rc != 0
    assert "shop_seed.1" in run.text
    assert fleet.containers("shop_web") == web, "what needs it was not begun"
    fleet.stack(STACK.format(roll=3, code=0))
    fleet.deploy().ok()
    assert not {c["id"] for c in fleet.containers("shop_web")} & {c["id"] for c in web}
