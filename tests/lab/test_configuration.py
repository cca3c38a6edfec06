# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration on lab hosts: configs that are templates, owners and modes, and what a change of one does."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

pytestmark = pytest.mark.skipif(not os.environ.get("STOWAGE_LONG"), reason="long: make test-data runs it")

STACK = """
services:
  web:
    image: stowage/app:1.0
    environment: {LEVEL: info}
    deploy: {replicas: 3, placement: {max_replicas_per_node: 1}}
    healthcheck: {test: [CMD, curl, -fs, "http://127.0.0.1:8080/health"], interval: 1s, retries: 30}
    configs:
      - {source: go, target: /etc/app/go.conf, uid: "1000", gid: "1000", mode: 0440}
      - {source: jinja, target: /etc/app/jinja.yml}
configs:
  go:
    template_driver: golang
    content: '{{.Service.Name}} {{.Task.Slot}} {{.Node.Hostname}} {{env "LEVEL"}}'
  jinja:
    template_driver: jinja2
    content: '{{ env.REGION }} {{ values.db.host }} {{ task.slot }} {{ node.hostname }} {{ node.labels.zone }}'
"""


def values(fleet, region, unused=0):
    """What the inventory gives the templates."""
    path = fleet.directory / "group_vars/all/config.yml"
    path.write_text(
        f"stowage_env: {{REGION: {region}, UNUSED: {unused}}}\n"
        "stowage_config_values: {db: {host: db1}}\n"
        'stowage_labels: {zone: "z-{{ inventory_hostname }}"}\n'
    )


def seen(fleet, path):
    """{(slot, node): what a container of the service has there}."""
    return {
        (c["slot"], c["node"]): fleet.shell(c["node"], f"docker exec {c['name']} cat {path}")
        for c in fleet.containers("shop_web")
        if c["state"] == "running"
    }


def test_templates_are_filled_in_for_each_task_and_a_value_rolls_them(fleet):
    values(fleet, "eu")
    fleet.stack(STACK)
    fleet.deploy().ok()
    assert seen(fleet, "/etc/app/go.conf") == {
        (slot, node): f"shop_web {slot} {node} info" for slot, node in seen(fleet, "/etc/app/go.conf")
    }
    assert len(seen(fleet, "/etc/app/jinja.yml")) == 3
    for (slot, node), text in seen(fleet, "/etc/app/jinja.yml").items():
        assert text == f"eu db1 {slot} {node} {fleet.variables[node]['stowage_labels']['zone']}"
    one = fleet.containers("shop_web")[0]
    told = fleet.shell(one["node"], f"docker exec {one['name']} stat -c '%u %g %a' /etc/app/go.conf /etc/app/jinja.yml")
    assert told.splitlines() == ["1000 1000 440", "0 0 444"]
    assert fleet.shell(one["node"], f"docker exec {one['name']} sh -c 'echo x > /etc/app/go.conf'", check=False) == ""
    assert seen(fleet, "/etc/app/go.conf")[(one["slot"], one["node"])].endswith("info")
    values(fleet, "eu", unused=1)
    assert fleet.deploy().ok().changed == 0
    values(fleet, "us")
    checked = fleet.deploy("--check", "--diff").ok()
    assert "3 to replace" in checked.text
    assert {text.split()[0] for text in seen(fleet, "/etc/app/jinja.yml").values()} == {"eu"}
    fleet.deploy().ok()
    assert {text.split()[0] for text in seen(fleet, "/etc/app/jinja.yml").values()} == {"us"}
    assert fleet.deploy().ok().changed == 0
    for node in fleet.nodes:
        # One file of each config a host, nothing left of those before.
        assert len(fleet.shell(node, "ls /var/lib/stowage/configs").split()) == 2


RELOADED = """
services:
  proxy:
    image: stowage/app:1.0
    entrypoint: [sh, -c]
    command: ['trap "cp /app.conf /tmp/loaded" HUP; cp /app.conf /tmp/loaded; while :; do sleep 0.2; done']
    stop_grace_period: 1s
    deploy: {{replicas: 2, update_config: {{parallelism: 1, monitor: 1s}}}}
    configs: [{{source: conf, target: /app.conf}}]
    x-stowage: {{on_change: "{how}"}}
configs:
  conf: {{content: "{text}"}}
"""


def loaded(fleet):
    """{container: (what it read last, what it has mounted)}."""
    look = "docker exec {} cat /tmp/loaded /app.conf"
    return {
        c["id"]: fleet.shell(c["node"], look.format(c["name"]))
        for c in fleet.containers("shop_proxy")
        if c["state"] == "running"
    }


def test_a_config_changes_under_a_running_container_with_a_signal(fleet):
    fleet.stack(RELOADED.format(how="signal:HUP", text="one,"))
    fleet.deploy().ok()
    before = loaded(fleet)
    assert set(before.values()) == {"one,one,"}
    assert fleet.deploy().ok().changed == 0
    fleet.stack(RELOADED.format(how="signal:HUP", text="number two,"))
    checked = fleet.deploy("--check", "--diff").ok()
    assert "2 to give new contents" in checked.text
    assert loaded(fleet) == before
    fleet.deploy().ok()
    after = loaded(fleet)
    assert set(after) == set(before)
    assert set(after.values()) == {"number two,number two,"}
    assert fleet.deploy().ok().changed == 0
    fleet.stack(RELOADED.format(how="none", text="3,"))
    fleet.deploy().ok()
    assert loaded(fleet) == dict.fromkeys(before, "number two,3,")
    node = fleet.nodes[0]
    fleet.stack("services: {other: {image: stowage/app:1.0}}")
    fleet.deploy().ok()
    assert fleet.shell(node, "ls /var/lib/stowage/configs/live") == ""


BAKED = """
services:
  web:
    image: {registry}/shop/web-test
    x-stowage:
      bake:
        from: stowage/app:1.0
        files: {{/etc/app.conf: ./app.conf}}
        labels: {{env: test}}
        environment: {{LEVEL: info}}
      require_labels: {{env: {required}}}
"""


def inside(fleet):
    """What the one container has baked in, and its image."""
    (one,) = [c for c in fleet.containers("shop_web") if c["state"] == "running"]
    told = fleet.shell(one["node"], f"docker exec {one['name']} sh -c 'cat /etc/app.conf; echo $LEVEL'")
    return told.split(), one["image"]


def test_an_image_is_baked_pinned_and_asked_for_its_labels(fleet):
    engine = json.loads(fleet.shell(fleet.nodes[0], "cat /etc/docker/daemon.json"))
    registry, lock = engine["insecure-registries"][0], fleet.directory / "baked.lock.json"
    fleet.stack(BAKED.format(registry=registry, required="test"))
    path = fleet.directory / "stacks/app.conf"
    content = str(time.time())  # the registry keeps what earlier labs baked
    path.write_text(content + "\n")
    assert "is not baked yet" in fleet.deploy().text
    assert fleet.play("bake", "--check", "--diff").ok().changed == 1
    assert not lock.exists()
    assert fleet.play("bake").ok().changed == 1
    assert fleet.play("bake").ok().changed == 0
    fleet.deploy().ok()
    told, first = inside(fleet)
    assert told == [content, "info"]
    assert re.fullmatch(rf"{registry}/shop/web-test:[0-9a-f]{{16}}@sha256:[0-9a-f]{{64}}", first)
    assert fleet.deploy().ok().changed == 0
    known = lock.read_text()
    lock.unlink()
    assert fleet.play("bake", "-e", f"builder={fleet.nodes[1]}").ok().changed == 1
    assert lock.read_text() == known
    path.write_text("new\n")
    assert "is not baked yet" in fleet.deploy().text
    fleet.play("bake").ok()
    fleet.deploy().ok()
    told, second = inside(fleet)
    assert told == ["new", "info"]
    assert second != first
    fleet.stack(BAKED.format(registry=registry, required="production").replace("LEVEL: info", "LEVEL: debug"))
    fleet.play("bake").ok()
    refused = fleet.deploy()
    assert refused.rc != 0
    assert "label 'env' has 'test', 'production' is required" in refused.text
    assert inside(fleet) == (told, second)
