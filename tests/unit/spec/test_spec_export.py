# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stack written back is the same stack, and Docker's command line takes it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load, stack_file
from ansible_collections.stowage.fleet.plugins.module_utils.spec.document import parse
from ansible_collections.stowage.fleet.plugins.module_utils.spec.export import dump
from hypothesis import given
from hypothesis import strategies as st
from test_spec_cases import CASES, NAMES, fake_digest, inputs


def written(normal: Any, directory: Path) -> Path:
    """The path of a stack written back."""
    made = stack_file(normal)
    for name, text in {"stack.yml": made["text"], **made["files"]}.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    return directory / "stack.yml"


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_written_back_is_the_same(name: str, tmp_path: Path) -> None:
    normal = load(*inputs(CASES / name))
    again = load(written(normal, tmp_path))
    before, after = (
        compile_services("shop", value, str(CASES / name), secret_digest=fake_digest) for value in (normal, again)
    )
    assert after["services"] == before["services"]
    assert set(after["files"]) == set(before["files"])
    assert comparable(again) == comparable(normal)


def comparable(normal: Any) -> Any:
    """The normal form without what is not written back, content of configs read."""
    value = {key: item for key, item in plain(normal).items() if key not in ("version", "name")}
    for service in value["services"].values():
        service.pop("env_file", None)
    for config in value.get("configs", {}).values():
        if Path(config.get("file", "/nowhere")).exists():
            config["content"] = Path(config.pop("file")).read_text(encoding="utf-8")
    return value


@pytest.mark.parametrize("name", NAMES)
def test_docker_takes_it(name: str, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if not docker:
        pytest.skip("no docker command to ask")
    path = written(load(*inputs(CASES / name)), tmp_path)
    command = [docker, "stack", "config", "-c", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not printed.returncode, printed.stderr


def test_what_swarm_would_do_otherwise_is_named_and_not_published(tmp_path: Path) -> None:
    path = tmp_path / "stack.yml"
    path.write_text("services: {web: {image: a, group_add: [video], ports: ['127.0.0.1:80:80']}}", encoding="utf-8")
    made = stack_file(load(path), "shop")
    assert made["notes"] == ["web: Swarm does not know all of group_add, ports; see x-stowage.compose"]
    web = yaml.safe_load(made["text"])["services"]["web"]
    assert "ports" not in web
    assert web["x-stowage"]["compose"]["ports"][0]["host_ip"] == "127.0.0.1"
    assert made["text"].startswith("# shop\n")


def test_a_name_of_a_config_makes_no_path(tmp_path: Path) -> None:
    path = tmp_path / "stack.yml"
    path.write_text("configs: {../../x: {content: a}, ..: {content: b}, _/.._x: {content: c}}", encoding="utf-8")
    names = sorted(stack_file(load(path))["files"])
    assert len(names) == 3
    assert all(name.startswith("configs/") and ".." not in name.split("/") and name.count("/") == 1 for name in names)


TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "no",
        "on",
        "22:22",
        "1e3",
        "0o17",
        "012",
        "~",
        "",
        "$$x",
        "a\nb\n",
        "\n a",
        "- a",
        "# a",
        "a: b",
        "2020-01-01",
        "<<",
    ]
)


@given(st.dictionaries(st.text(min_size=1, max_size=5).filter(lambda key: key != "<<"), TEXTS, max_size=4))
def test_any_text_is_read_as_it_was_written(value: dict[str, str]) -> None:
    clean = {key: text for key, text in value.items() if not any(ord(c) in range(0xD800, 0xE000) for c in key + text)}
    document, problems = parse("f", dump({"x": clean}).encode("utf-8"))
    assert not problems
    assert document.value == {"x": clean}


def test_plain_values_stay_what_they_are() -> None:
    value = {"a": [1, True, None, 0.5, {"b": {}}], "c": []}
    assert parse("f", dump(value).encode("utf-8"))[0].value == plain(value)
