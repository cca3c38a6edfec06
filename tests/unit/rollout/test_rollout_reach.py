# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a plan opens and closes is in it, and said before it is done."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.network.reach import record
from fake_fleet import FakeFleet, compiled, service

NETWORKS = [{"name": "shop_default"}]
DB = service("db", networks=NETWORKS)
WEB = service("web", networks=NETWORKS, ports=[{"target": 80, "published": 8080, "protocol": "tcp", "mode": "ingress"}])


class Telling(FakeFleet):
    """Hosts that tell what they let through: {service: record}, None as hosts of an older version do."""

    told = {}  # noqa: RUF012

    def observe(self):
        seen = super().observe()
        for one in seen.values():
            one["endpoints"]["reach"] = self.told
        return seen


def reaches(fleet, *services):
    return [line.strip() for line in rollout.plan_lines(fleet.plan(compiled(*services))) if line.strip()[:5] == "reach"]


def test_a_new_stack_says_who_will_reach_it():
    assert reaches(Telling(), WEB, DB) == [
        "reach + shop_db from shop_web: all ports",
        "reach + shop_web from anywhere: 80/tcp",
        "reach + shop_web from shop_db: all ports",
    ]


def test_what_a_policy_still_says_of_services_that_are_gone_does_not_count():
    fleet = Telling()
    fleet.told = {one["name"]: record(one) for one in (WEB, DB)}
    assert "reach + shop_db from shop_web: all ports" in reaches(fleet, WEB, DB)


def test_a_change_says_what_it_closes_and_what_stays_is_not_said():
    fleet = Telling()
    fleet.apply(fleet.plan(compiled(WEB, DB)))
    fleet.told = {one["name"]: record(one) for one in (WEB, DB)}
    assert reaches(fleet, WEB, DB) == []
    assert "reach" not in fleet.plan(compiled(WEB, DB))
    closed = {**DB, "closed": True, "allow": [{"from": "shop_web", "ports": [["tcp", 5432, 5432]]}]}
    assert reaches(fleet, WEB, closed) == ["reach ~ shop_db from shop_web: 5432/tcp, was all ports"]


def test_hosts_of_an_older_version_make_no_plan_tell_what_nobody_knows():
    fleet = Telling()
    fleet.apply(fleet.plan(compiled(WEB, DB)))
    fleet.told = None
    assert reaches(fleet, WEB, {**DB, "closed": True}) == []
