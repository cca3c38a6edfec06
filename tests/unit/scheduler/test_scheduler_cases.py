"""Golden cases: each folder of tests/cases/scheduler has input.yml, and expected.yml with the parts that matter.

STOWAGE_ACCEPT=1 writes the result without its reasons where there is none yet; read it before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule
from schedule_validator import violations

CASES = Path(__file__).resolve().parents[2] / "cases" / "scheduler"


def given(case):
    parts = yaml.safe_load((CASES / case / "input.yml").read_text(encoding="utf-8"))
    return [parts.get(name) or [] for name in ("nodes", "services", "current")] + [parts.get("options") or {}]


def outcome(case):
    try:
        return schedule(*given(case))
    except StowageError as error:
        return {"problems": [problem.as_dict() for problem in error.problems]}


@pytest.mark.parametrize("case", sorted(path.parent.name for path in CASES.glob("*/input.yml")))
def test_case(case):
    path, result = CASES / case / "expected.yml", outcome(case)
    if not path.exists() and os.environ.get("STOWAGE_ACCEPT"):
        kept = {key: result[key] for key in result if key != "reasons"}
        dumped = yaml.dump(kept, Dumper=yaml.SafeDumper, sort_keys=False, width=150)
        path.write_text(f"---\n{dumped}", encoding="utf-8")
    expected = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert expected
    assert {key: result.get(key) for key in expected} == expected
    nodes, services, current, options = given(case)
    if "problems" not in result and options.get("allow_moves", True):
        assert violations(nodes, services, current, options, result) == []
