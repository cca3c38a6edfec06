# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""stowage_stacks: paths, or a mapping per stack; whose variables win."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import Options, Stack, stack_variables, stacks


def test_short_and_long_forms() -> None:
    found = stacks(
        {
            "a": "a.yml",
            "b": ["b.yml", "c.yml"],
            "d": {"files": "d.yml", "profiles": ["debug"], "allow_privileged": True, "allow_host_paths": "/etc"},
        },
        ["test"],
    )
    assert found["a"] == Stack(("a.yml",), options=Options(profiles=("test",)))
    assert found["b"].files == ("b.yml", "c.yml")
    assert found["d"].options == Options(("test", "debug"), ("/etc",), True)
    given = stacks({"a": {"files": "a.yml", "secrets": {"token": "token.txt"}}})["a"].options
    assert given == Options(secrets=(("token", "token.txt"),))


@pytest.mark.parametrize(
    ("stated", "profiles", "words"),
    [
        ([], None, "is not a mapping"),
        ({"a": []}, None, "has no files"),
        ({"a": 3}, None, "neither text nor a list"),
        ({"a": {"file": "x"}}, None, "did you mean files"),
        ({"a": {"files": "x", "dotenv": "yes"}}, None, "neither true nor false"),
        ({"a": {"files": "x", "env": []}}, None, "is not a mapping"),
        ({"a": {"files": "x", "secrets": {"b": 5}}}, None, "mapping of names to files"),
        ({"a": "x"}, 5, "stowage_profiles"),
    ],
)
def test_mistakes(stated: Any, profiles: Any, words: str) -> None:
    with pytest.raises(StowageError, match=words) as caught:
        stacks(stated, profiles)
    assert {problem.code for problem in caught.value.problems} == {"STW-INVENTORY"}


def test_whose_variables_win(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=dotenv\nB=dotenv\nC=dotenv\nD=dotenv\n", encoding="utf-8")
    (tmp_path / "more.env").write_text("B=file\nC=file\nD=file\n", encoding="utf-8")
    stack = Stack(("s.yml",), env={"D": "own", "N": None}, env_files=("more.env",), dotenv=True)
    files, env_files = [str(tmp_path / "s.yml")], [str(tmp_path / "more.env")]
    found = stack_variables(stack, files, env_files, {"C": "fleet", "D": "fleet", "E": 1})
    assert found == {"A": "dotenv", "B": "file", "C": "fleet", "D": "own", "E": 1, "N": None}
    assert stack_variables(stack._replace(dotenv=False), files, [], {}) == {"D": "own", "N": None}
