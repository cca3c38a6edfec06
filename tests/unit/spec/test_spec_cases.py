# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Golden cases: each directory of tests/cases/spec has stack files and the Services that they mean.

`STOWAGE_WRITE_CASES=1 pytest tests/unit/spec/test_spec_cases.py` writes what is made now; read the difference.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import digest, plain
from ansible_collections.stowage.fleet.plugins.module_utils.spec import compile_services, load

CASES = Path(__file__).parents[2] / "cases" / "spec"
NAMES = sorted(path.parent.name for path in CASES.glob("*/stack.yml"))


def inputs(directory: Path) -> tuple[list[Path], dict[str, Any]]:
    """The stack files and the variables of a case."""
    paths = [path for path in (directory / "stack.yml", directory / "overlay.yml") if path.exists()]
    variables = directory / "variables.yml"
    return paths, yaml.safe_load(variables.read_text(encoding="utf-8")) if variables.exists() else {}


def compiled(directory: Path) -> dict[str, Any]:
    """What a case means, with the directory's own path taken out."""
    made = compile_services("shop", load(*inputs(directory)), str(directory), secret_digest=fake_digest)
    return json.loads(json.dumps(made).replace(str(directory), "/case"))


def fake_digest(stack: str, name: str, value: bytes) -> str:
    """A digest that needs no key; the real one is the secrets room's."""
    return digest([stack, name, len(value)])


@pytest.mark.parametrize("name", NAMES)
def test_services(name: str) -> None:
    made, path = compiled(CASES / name), CASES / name / "services.json"
    if os.environ.get("STOWAGE_WRITE_CASES"):
        path.write_text(json.dumps(made, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    assert made == json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_compiling_again_gives_the_same(name: str) -> None:
    normal = load(*inputs(CASES / name))
    before = plain(normal)
    first, second = (compile_services("shop", normal, str(CASES / name), secret_digest=fake_digest) for _n in range(2))
    assert first == second
    assert plain(normal) == before


def test_a_plain_dict_compiles_as_well() -> None:
    normal = load(*inputs(CASES / "one_service_in_full"))
    made = compile_services("shop", plain(normal), "/")
    assert made["services"] == compile_services("shop", normal, "/")["services"]


def test_no_secret_is_in_what_is_made() -> None:
    value = (CASES / "configs_and_secrets" / "token").read_text(encoding="utf-8").strip()
    assert value
    assert value not in json.dumps(compiled(CASES / "configs_and_secrets"))


@pytest.mark.parametrize("change", ["replicas: 9", "labels: {a: b}", "update_config: {delay: 9s}"])
def test_what_restarts_nothing_is_outside_the_template(tmp_path: Path, change: str) -> None:
    made = []
    for index, deploy in enumerate(("replicas: 1", change)):
        path = tmp_path / f"{index}.yml"
        path.write_text(f"services: {{web: {{image: a, deploy: {{{deploy}}}}}}}", encoding="utf-8")
        made.append(compile_services("shop", load(path), str(tmp_path))["services"][0])
    assert made[0] != made[1]
    assert digest(made[0]["template"]) == digest(made[1]["template"])


# Where we mean to differ from `docker stack config`: {case: {path: why}}.
DIFFERENCES = {
    "one_service_in_full": {"services.web.x-stowage": "ours, read into normal form"},
    "yaml_as_go_reads_it": {"services.git.environment.DAY": "Docker prints a time, ours is what the file says"},
    "overlay": {"services.web.healthcheck.test": "Docker joins the two test commands; ours is the later one"},
}
DOCKER_REFUSES = {
    "compose_shorthands",  # name, scale, ...
    "configs_and_secrets",  # configs.content
    "extends_and_include",
    "port_ranges",  # published as text
    "what_the_host_gives",  # group_add, ...
}


@pytest.mark.parametrize("name", sorted(set(NAMES) - DOCKER_REFUSES))
def test_normal_form_is_that_of_docker_stack_config(name: str) -> None:
    docker = shutil.which("docker")
    if not docker:
        pytest.skip("no docker command to compare with")
    paths, variables = inputs(CASES / name)
    command = [docker, "stack", "config", *(word for path in paths for word in ("-c", str(path)))]
    environment = {**variables, "PATH": os.environ["PATH"], "HOME": str(Path.home())}
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    wanted, made = yaml.safe_load(printed.stdout), plain(load(paths, variables))
    for path in DIFFERENCES.get(name, {}):
        take_out(wanted, path)
        take_out(made, path)
    assert made == wanted


def take_out(value: Any, path: str) -> None:
    """Remove a path, which must be there."""
    *parents, last = path.split(".")
    for part in parents:
        value = value[part]
    del value[last]
