# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""No value goes where Ansible would write it to a disk or a screen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible import constants
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import delivering


def action(pipelining: bool = True, seconds: int = 0) -> Any:
    return SimpleNamespace(
        _task=SimpleNamespace(async_val=seconds),
        _connection=SimpleNamespace(transport="ssh"),
        _is_pipelining_enabled=lambda _style: pipelining,
    )


def plan() -> dict[str, Any]:
    def template(kind: str) -> dict[str, Any]:
        return {"files": [{"kind": kind, "name": "x", "digest": "d"}]}

    return {
        "steps": [
            {"phase": "prepare", "hosts": {"n1": {}, "n2": {}, "n3": {}}},
            {"phase": "start", "hosts": {"n1": {"services": {"a": template("secret")}}, "n3": {"services": {}}}},
            {"phase": "start", "hosts": {"n2": {"services": {"b": template("config"), "c": {}}}}},
        ]
    }


def test_a_pipelined_connection_may_carry_values() -> None:
    assert delivering.refusals(action()) == []
    delivering.require(action(), "secrets for n1")


@pytest.mark.parametrize(
    ("made", "constant", "words"),
    [
        (action(pipelining=False), "", "pipelining"),
        (action(seconds=5), "", "async"),
        (action(), "DEFAULT_KEEP_REMOTE_FILES", "KEEP_REMOTE_FILES"),
        (action(), "DEFAULT_DEBUG", "ANSIBLE_DEBUG"),
    ],
)
def test_each_way_to_a_disk_or_a_screen_is_one_error(
    made: Any, constant: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if constant:
        monkeypatch.setattr(constants, constant, True)
    with pytest.raises(StowageError) as caught:
        delivering.require(made, "secrets for n1")
    (problem,) = caught.value.problems
    assert (problem.code, problem.place) == ("STW-DELIVERY", "secrets for n1")
    assert words in problem.reason
    assert problem.fix


def test_only_hosts_that_get_secrets_are_refused_and_together() -> None:
    assert [delivering.receives(plan(), node) for node in ("n1", "n2", "n3", "n4")] == [True, False, False, False]
    told = {"delivery": [["because", "do"]]}
    hosts = SimpleNamespace(raw_get=lambda _node: {"seen": told})
    (problem,) = delivering.problems(plan(), {"hostvars": hosts}, "seen")
    assert str(problem) == "STW-DELIVERY secrets for n1: because; do"
    silent = SimpleNamespace(raw_get=lambda _node: {"seen": None})
    assert delivering.problems(plan(), {"hostvars": silent}, "seen") == []
