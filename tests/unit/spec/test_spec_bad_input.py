# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each directory of tests/cases/bad_input is one mistake that must be refused, with code and line.

The stack file is stack.yml or, where it is no UTF-8 text, the key `stack` of expect.yml: one byte per character.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, document, load

CASES = Path(__file__).parents[2] / "cases" / "bad_input"
NAMES = sorted(path.parent.name for path in CASES.glob("*/expect.yml"))


def refusal(directory: Path, stack: Path) -> list[Problem]:
    """The problems of a case: the stack file, then overlay.yml over it; variables.yml gives the variables."""
    paths = [path for path in (stack, directory / "overlay.yml") if path == stack or path.exists()]
    variables = directory / "variables.yml"
    known = yaml.safe_load(variables.read_text(encoding="utf-8")) if variables.exists() else {}
    with pytest.raises(StowageError) as caught:
        compile_services("shop", load(paths, known), str(directory))
    return caught.value.problems


@pytest.mark.parametrize("name", NAMES)
def test_bad_input(name: str, tmp_path: Path) -> None:
    expected = yaml.safe_load((CASES / name / "expect.yml").read_text(encoding="utf-8"))
    stack = CASES / name / "stack.yml"
    if "stack" in expected:
        stack = tmp_path / "stack.yml"
        stack.write_bytes(expected["stack"].encode("latin-1"))
    problems = refusal(CASES / name, stack)
    assert [problem.code for problem in problems] == [expected["code"]], [str(problem) for problem in problems]
    problem = problems[0]
    assert expected["contains"] in str(problem)
    assert str(problem).isprintable()
    found = re.search(r"\.yml:([0-9]+):([0-9]+)", problem.place)
    assert found
    if expected["line"] is not None:
        assert int(found.group(1)) == expected["line"]


def test_there_are_enough_cases() -> None:
    assert len(NAMES) >= 45


def test_all_mistakes_of_all_files_in_one_pass(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text(
        """services:
  web:
    image: Web:1
    imgae: x
    tty: 3
    ports: ["70000:80"]
    deploy: {replicas: -1, mode: globl}
    volumes: ["/etc:/x", "data:/y"]
    depends_on: [db]
""",
        encoding="utf-8",
    )
    (tmp_path / "b.yml").write_text(
        "services:\n  api:\n    privileged: true\n    image: a\n    labels: {stowage.x: y}\n", encoding="utf-8"
    )
    (tmp_path / "c.yml").write_text("services: [\n", encoding="utf-8")
    with pytest.raises(StowageError) as caught:
        load([tmp_path / name for name in ("a.yml", "b.yml", "c.yml", "d.yml")], {})
    found = sorted((problem.code, Path(problem.place.partition(":")[0]).name) for problem in caught.value.problems)
    assert found == [
        ("STW-BIND", "a.yml"),
        ("STW-FILE", "d.yml"),
        ("STW-IMAGE", "a.yml"),
        ("STW-KEY", "a.yml"),
        ("STW-LABEL", "b.yml"),
        ("STW-MODE", "a.yml"),
        ("STW-PORT", "a.yml"),
        ("STW-PRIVILEGED", "b.yml"),
        ("STW-REPLICAS", "a.yml"),
        ("STW-TYPE", "a.yml"),
        ("STW-YAML-SYNTAX", "c.yml"),
    ]


def test_a_large_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "large.yml"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(StowageError) as caught:
        load(path)
    assert caught.value.code == "STW-YAML-SIZE"


def test_a_missing_file_names_itself() -> None:
    with pytest.raises(StowageError) as caught:
        load(["/nowhere/stack.yml"])
    assert caught.value.problems[0][:2] == ("STW-FILE", "/nowhere/stack.yml")


def test_without_the_yaml_library_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "HAS_YAML", False)
    with pytest.raises(StowageError, match="install PyYAML") as caught:
        load(CASES.parent / "spec" / "one_service_in_full" / "stack.yml")
    assert caught.value.code == "STW-YAML-LIBRARY"
