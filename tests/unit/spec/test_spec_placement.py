# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""x-stowage.placement in a stack file becomes the Service's placement, and the scheduler reads every key of it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.stowage.fleet.plugins.module_utils.rollout.placing import scheduled
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

STACK = """
services:
  db:
    image: db:1
    x-stowage: {placement: {groups: heavy}}
  web:
    image: web:1
    deploy:
      replicas: 2
      placement:
        constraints: [node.role == worker]
        preferences: [{spread: node.labels.zone}, {spread: node.labels.rack}]
      resources:
        reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: 2}}]}
    x-stowage:
      placement:
        constraints:
          - node.labels.gen > 3 || node.labels.new exists
          - [hostname, MAX_PER, 1]
          - [hostname, UNIQUE]
          - node.facts.kernel version >= 5.10, < 7
        spread: [{over: node.labels.zone, max_skew: 1}, {over: node.labels.row}]
        affinity: [{service: db, weight: 50}, {service: other_web, domain: node.labels.rack}]
        anti_affinity: [{group: heavy, required: true}]
        tolerations: ["gpu=yes:NoSchedule"]
        priority: 0
        preempt: true
        stateful: false
"""


def placement(tmp_path: Path, text: str = STACK, name: str = "web") -> dict:
    path = tmp_path / "shop.yml"
    path.write_text(text, encoding="utf-8")
    services = compile_services("shop", load(path), str(tmp_path))["services"]
    return next(service for service in services if service["short"] == name)


def test_every_key_is_compiled(tmp_path: Path) -> None:
    service = placement(tmp_path)
    assert service["placement"] == {
        "constraints": [
            "hostname:MAX_PER:1",
            "hostname:UNIQUE",
            "node.facts.kernel version >= 5.10, < 7",
            "node.labels.gen > 3 || node.labels.new exists",
            "node.role == worker",
        ],
        "preferences": [
            {"spread": "node.labels.zone", "max_skew": 1},
            {"spread": "node.labels.rack"},
            {"spread": "node.labels.row"},
        ],
        "max_replicas_per_node": 0,
        "strategy": None,
        "hosts": [],
        "affinities": [
            {"service": "shop_db", "weight": 50},
            {"service": "other_web", "domain": "node.labels.rack"},
            {"group": "heavy", "required": True, "anti": True},
        ],
        "tolerations": ["gpu=yes:NoSchedule"],
        "priority": 0,
        "preempt": True,
        "stateful": False,
    }
    assert service["reservations"]["gpu"] == 2
    assert placement(tmp_path, name="db")["placement"]["groups"] == ["heavy"]


def test_what_is_not_stated_is_not_there(tmp_path: Path) -> None:
    made = placement(tmp_path, "services: {web: {image: web:1}}")["placement"]
    assert sorted(made) == ["constraints", "hosts", "max_replicas_per_node", "preferences", "strategy"]


def test_the_scheduler_takes_it(tmp_path: Path) -> None:
    services = [scheduled(placement(tmp_path)), scheduled(placement(tmp_path, name="db"))]
    result = schedule([{"name": "n1"}], services)
    assert result["unplaced"]


def test_a_later_file_may_change_it(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(STACK, encoding="utf-8")
    overlay = "services: {web: {x-stowage: {placement: {priority: 5, constraints: [node.labels.a exists]}}}}"
    (tmp_path / "b.yml").write_text(overlay, encoding="utf-8")
    made = compile_services("shop", load([tmp_path / "a.yml", tmp_path / "b.yml"]), str(tmp_path))["services"]
    web = made[1]["placement"]
    assert web["priority"] == 5
    assert "node.labels.a exists" in web["constraints"]
