"""Canaries on real hosts, under load through the real Traefik: a share, a rule, promoted, aborted; nothing is lost."""

from __future__ import annotations

import json
import os
import urllib.request

import pytest
from test_rollout import Load, shown

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-rollout runs it (STOWAGE_LONG=1)"),
]
STACK = """
services:
  web:
    image: stowage/app:{version}
    healthcheck:
      test: [CMD, curl, -fsS, "http://127.0.0.1:8080/health"]
      interval: 1s
      timeout: 2s
      retries: 3
    x-stowage:
      drain: 3s
      canary: {canary}
    deploy:
      replicas: 4
      update_config: {{parallelism: 2, order: start-first}}
      labels:
        traefik.enable: "true"
        traefik.http.routers.shop.rule: Host(`shop.localhost`)
        traefik.http.routers.shop.entrypoints: web
        traefik.http.services.shop.loadbalancer.server.port: "8080"
"""
SHARE = "{weight: 25, match: 'Header(`X-Canary`, `1`)'}"


def stack(version, canary=SHARE):
    return STACK.format(version=version, canary=canary)


def images(fleet, service="shop_web"):
    return {c["image"].split(":")[1] for c in fleet.containers(service)}


def asked(fleet, times, **headers):
    """The versions that answer so many requests."""
    found = []
    for _time in range(times):
        address = f"http://{fleet.address(fleet.nodes[0])}/"
        request = urllib.request.Request(address, headers={"Host": "shop.localhost", **headers})
        with urllib.request.urlopen(request, timeout=5) as answer:
            found.append(json.load(answer)["version"])
    return found


@pytest.fixture
def serving(fleet):
    """Four tasks of 1.0 that serve."""
    fleet.stack(stack("1.0"))
    fleet.deploy().ok()
    return fleet


def test_a_canary_is_seen_and_promoted_and_another_one_is_aborted(serving, capsys):
    fleet = serving
    fleet.stack(stack("1.1"))
    shown_first = fleet.deploy("--check", "--diff").ok()
    assert "canary shop_web: stowage/app:1.0 -> stowage/app:1.1 on 1 task(s): 25 % of the requests" in shown_first.text
    assert images(fleet, "shop_web-canary") == set()
    with Load(fleet) as load:
        fleet.deploy().ok()
        assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.0"}, {"1.1"})
        share = asked(fleet, 200).count("1.1")
        assert 30 <= share <= 70, share
        assert set(asked(fleet, 20, **{"X-Canary": "1"})) == {"1.1"}
        assert fleet.deploy().ok().changed == 0, "it stays until somebody decides"
        assert "25 % of the requests" in fleet.play("status").ok().text
        fleet.play("promote", "-e", "service=shop_web").ok()
        assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.1"}, set())
        assert fleet.deploy().ok().changed == 0
        fleet.stack(stack("1.0"))
        fleet.deploy().ok()
        assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.1"}, {"1.0"})
        fleet.play("abort", "-e", "service=shop_web").ok()
        assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.1"}, set())
        again = fleet.deploy().ok()
        assert again.changed == 0
        assert "was aborted, the old version stays" in again.text
    shown(capsys, "canary, promoted; canary, aborted", load.report)
    assert load.report["failed"] == 0, load.report["failures"]
    assert set(asked(fleet, 40)) == {"1.1"}
    refused = fleet.play("promote", "-e", "service=shop_wbe")
    assert refused.rc != 0
    assert "STW-CANARY" in refused.text


def test_what_is_lost_of_a_held_service_comes_back_as_it_was(serving):
    fleet = serving
    fleet.stack(stack("1.1"))
    fleet.deploy().ok()
    lost = fleet.containers("shop_web")[0]
    fleet.shell(lost["node"], f"docker rm -f {lost['id']}")
    fleet.deploy().ok()
    assert len(fleet.containers("shop_web")) == 4
    assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.0"}, {"1.1"})
    fleet.stack(stack("1.0"))
    fleet.deploy().ok()
    assert images(fleet, "shop_web-canary") == set(), "the old version in Git ends the canary"


def test_blue_and_green_and_a_time_to_hold(serving, capsys):
    """All requests go to the new side at once, and it is promoted by itself."""
    fleet = serving
    fleet.stack(stack("1.1", "{replicas: 100%, weight: 100, hold: 5s}"))
    with Load(fleet) as load:
        run = fleet.deploy().ok()
    shown(capsys, "blue and green, promoted after 5 s", load.report)
    assert load.report["failed"] == 0, load.report["failures"]
    assert "the canary of shop_web holds for 5 s" in run.text
    assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.1"}, set())
    assert fleet.deploy().ok().changed == 0


BLOG = "services: {{web: {{image: 'stowage/app:{version}', x-stowage: {{drain: 1s}}}}}}"


def test_a_rollback_of_another_stack_leaves_the_canary(serving):
    fleet = serving
    inventory = fleet.directory / "group_vars/all/two.yml"
    inventory.write_text(json.dumps({"stowage_stacks": {"shop": "stacks/shop.yml", "blog": "stacks/blog.yml"}}))
    try:
        for version in ("1.0", "1.1"):
            fleet.stack(BLOG.format(version=version), "blog")
            fleet.deploy().ok()
        fleet.stack(stack("1.1"))
        fleet.deploy().ok()
        before = {container["id"] for container in fleet.containers("shop_web-canary")}
        assert len(before) == 1
        fleet.play("rollback", "-e", "stack=blog").ok()
        assert images(fleet, "blog_web") == {"1.0"}
        assert {container["id"] for container in fleet.containers("shop_web-canary")} == before
        assert images(fleet) == {"1.0"}
        assert set(asked(fleet, 20, **{"X-Canary": "1"})) == {"1.1"}
    finally:
        inventory.unlink()
        fleet.stack(None, "blog")


def test_a_version_with_another_traefik_service_is_no_canary(serving):
    fleet = serving
    fleet.stack(stack("1.1").replace("http.services.shop.", "http.services.other."))
    run = fleet.deploy()
    assert run.rc != 0
    assert "STW-CANARY" in run.text
    assert "it would get none" in run.text
    assert (images(fleet), images(fleet, "shop_web-canary")) == ({"1.0"}, set())
