"""Who hangs or dies leaves names, who is not alive is restarted, who is not ready or does not stay gets no traffic."""

from __future__ import annotations

import os
import re
import time

import pytest

pytestmark = pytest.mark.lab
long = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-rollout runs it")

WEB = """
services:
  web:
    image: stowage/app:1.0
    environment: {{NAME: "{{{{.Service.Name}}}}", SLOT: "{{{{.Task.Slot}}}}", EXIT_AFTER: "{exit_after}"}}
    deploy:
      replicas: 2
      update_config: {{parallelism: 1, monitor: 1s, failure_action: pause}}
      placement: {{max_replicas_per_node: 2, constraints: [node.hostname == n2]}}
    x-stowage:
      {more}
      health:
        ready: {{http: {{port: {port}, path: /health}}, interval: 1s, timeout: 500ms}}
        {live}
"""
LIVE = "live: {http: {port: 8080, path: /health}, interval: 1s, retries: 2}"


def web(live="", more="ready_timeout: 15s", port=8080, exit_after=0):
    return WEB.format(live=live, more=more, port=port, exit_after=exit_after or "")


def answers(fleet, node="n2"):
    """The addresses that a node's own name server gives for the service."""
    listed = fleet.shell(node, "cat /var/lib/stowage/dns/shop_web 2>/dev/null || true")
    return {line.split()[0] for line in listed.splitlines() if " tasks." in line}


def within(seconds, true):
    """How long it took until it was true; fails after `seconds`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.2)
    return time.monotonic() - began


def process(fleet, victim, signal):
    pid = fleet.shell(victim["node"], f"docker inspect -f '{{{{.State.Pid}}}}' {victim['id']}")
    fleet.shell(victim["node"], f"kill -{signal} {pid}")


def test_a_hanging_and_a_dead_one_leave_the_names_and_no_plan_sees_drift(fleet, capsys):
    fleet.stack(web())
    fleet.deploy().ok()
    both = {c["ip"] for c in fleet.containers("shop_web")}
    first, second = fleet.containers("shop_web")
    within(10, lambda: answers(fleet) == both)
    process(fleet, first, "STOP")
    hung = within(15, lambda: answers(fleet) == {second["ip"]})
    assert fleet.deploy().ok().changed == 0, "what is withheld is no drift"
    assert answers(fleet) == {second["ip"]}, "a deploy that changes nothing gives nothing back"
    process(fleet, first, "CONT")
    back = within(15, lambda: answers(fleet) == both)
    fleet.shell("n2", f"docker kill {second['id']}")
    dead = within(15, lambda: answers(fleet) == {first["ip"]})
    with capsys.disabled():
        print(f"\nhung: out after {hung:.1f} s, back after {back:.1f} s; killed: out after {dead:.1f} s")
    fleet.deploy().ok()
    within(15, lambda: answers(fleet) == both)


@long
def test_what_is_not_alive_is_restarted(fleet):
    fleet.stack(web(LIVE))
    fleet.deploy().ok()
    victim = fleet.containers("shop_web")[0]
    began = fleet.shell("n2", f"docker inspect -f '{{{{.State.StartedAt}}}}' {victim['id']}")
    process(fleet, victim, "STOP")
    within(60, lambda: fleet.shell("n2", f"docker inspect -f '{{{{.State.StartedAt}}}}' {victim['id']}") != began)
    within(20, lambda: len(answers(fleet)) == 2)
    assert "is restarted: not alive" in fleet.shell("n2", "journalctl -u stowage-health --since -2min -o cat")


def test_who_is_never_ready_gets_no_traffic(fleet):
    fleet.stack(web(port=8081, more="ready_timeout: 4s"))
    run = fleet.deploy()
    assert run.rc != 0
    assert "not ready after" in run.text
    assert answers(fleet) == set()


@long
def test_a_crash_loop_after_the_first_health_is_caught(fleet):
    fleet.stack(web(more="observe_for: 15s", exit_after=7))
    run = fleet.deploy()
    assert run.rc != 0
    assert re.search(r"restarted \d+ times", run.text), run.text
    assert answers(fleet) == set()
