# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a container is ready: the verdict as a table."""

from __future__ import annotations

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest
from ansible_collections.stowage.fleet.plugins.module_utils.engine import ready


@pytest.mark.parametrize(
    ("seen", "given", "waited", "restarts", "wanted"),
    [
        (("running", "none"), {}, 0.0, None, ready.WAIT),
        (("running", "none"), {}, 0.6, None, ready.READY),
        (("running", "none"), {"monitor": 5}, 4.9, None, ready.WAIT),
        (("running", "none"), {"monitor": 5}, 5.0, 0, ready.READY),
        (("running", "starting"), {"monitor": 5}, 6.0, None, ready.WAIT),
        (("running", "healthy"), {"monitor": 5}, 0.0, None, ready.READY),
        (("running", "none"), {"one_shot": True}, 1.0, None, ready.WAIT),
        (("running", "none"), {"one_shot": True}, 60.0, None, ready.READY),
        (("created", "none"), {}, 1.0, None, ready.WAIT),
        (("restarting", "none"), {}, 1.0, 2, ready.WAIT),
    ],
)
def test_verdict(seen, given, waited, restarts, wanted):
    task = {"one_shot": False, "monitor": 0.0, "ready_timeout": 60.0, **given}
    record = {"state": seen[0], "health": seen[1], "exit_code": 0}
    assert ready.verdict(task, "any", ready.Look(record, waited, restarts)) == wanted


def test_a_container_that_its_engine_brings_back_is_not_lost():
    """While the Engine restarts, it lists what it stopped as exited (137)."""
    task = {"one_shot": False, "monitor": 0.0, "ready_timeout": 60.0}
    record = {"state": "exited", "health": "none", "exit_code": 137}
    assert ready.verdict(task, "any", ready.Look(record, 1.0, 0, down=9.0)) == ready.WAIT
    assert ready.verdict(task, "any", ready.Look(record, 1.0, 0, down=10.0)).reason == "exited (137)"
    assert ready.verdict(task, "on-failure", ready.Look(record, 1.0, 0, down=0.0)).reason == "exited (137)"


@pytest.mark.parametrize("state", ["created", "paused", "restarting"])
def test_nobody_waits_for_ever(state):
    task = {"one_shot": False, "monitor": 0.0, "ready_timeout": 60.0}
    found = ready.verdict(task, "any", ready.Look({"state": state, "health": "none", "exit_code": 0}, 60.0, 0))
    assert (found.done, found.ok) == (True, False)
    assert ready.verdict(task, "any", ready.Look(None, 1.0, 0)).reason == "it was removed by somebody else"


def test_digest_is_the_spec_s_identity(task):
    assert task()["spec"] == digest("spec")
