# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Issue 3 on real hosts: why a task is where it is, and what would happen if; with contact and without."""

from __future__ import annotations

import re

import pytest
from test_deploy import shop

pytestmark = pytest.mark.lab


def test_a_plan_says_why_and_what_if(fleet):
    fleet.stack(shop("1.0"))
    fleet.deploy().ok()
    asked = fleet.play("plan", "-e", "explain=web.1,web.9").ok().text
    assert re.search(r"WHY  shop_web\.1  stays  n[23]", asked)
    assert "filter constraints removed 1: n1" in asked
    assert "runner-up" in asked
    assert "shop_web.9  is not wanted" in asked
    digest = re.search(r"plan ([0-9a-f]{12})", asked)[1]

    offline = ["-e", "observation=.stowage/observation.json"]
    scaled = fleet.play("plan", *offline, "-e", "scale=web=4").ok().text
    assert digest in scaled, "the saved observation gives the same plan"
    assert "2 to add" in scaled
    home = next(c["node"] for c in fleet.containers("shop_cache"))
    lost = fleet.play("plan", *offline, "-e", f"without={home}").ok().text
    assert re.search(r"! shop_cache\.1 .*lacks volume shop_data", lost)
    assert "hosts can be lost" in fleet.play("plan", *offline, "-e", "survive=true").ok().text
    assert fleet.play("plan", *offline, "-e", "explain=wbe.1").rc != 0
    assert fleet.deploy().ok().changed == 0
