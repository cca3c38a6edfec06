# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a stack is put together from: profiles, permissions of the inventory, extends, include, files of variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import Options, compile_services, dotenv, load


def write(directory: Path, **files: str) -> Path:
    """Files by their names (two underscores for a dot); the path of stack.yml."""
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return directory / "stack.yml"


PROFILES = """
services:
  web: {image: a, depends_on: {tool: {required: false}}}
  tool: {image: b, profiles: [debug, test]}
  other: {image: c, profiles: [other]}
"""


@pytest.mark.parametrize(
    ("active", "names"),
    [((), {"web"}), (("test",), {"web", "tool"}), (("none",), {"web"}), (("*",), {"web", "tool", "other"})],
)
def test_profiles(tmp_path: Path, active: tuple[str, ...], names: set[str]) -> None:
    normal = load(write(tmp_path, stack__yml=PROFILES), {}, Options(profiles=active))
    assert set(normal["services"]) == names
    assert any("no profile" in text for text in normal.warnings) == ("*" not in active)
    (web, *_rest) = [s for s in compile_services("s", normal, str(tmp_path))["services"] if s["short"] == "web"]
    assert web["depends_on"] == (["s_tool"] if "tool" in names else [])


POWERFUL = """
services:
  agent: {image: a, privileged: true, volumes: ["/var/run/docker.sock:/s"]}
  other: {image: a, volumes: ["/etc/x:/x"], x-stowage: {allow_host_paths: [/etc/x]}}
"""


def test_the_inventory_may_allow_what_the_file_does_not_say(tmp_path: Path) -> None:
    path = write(tmp_path, stack__yml=POWERFUL)
    with pytest.raises(StowageError) as caught:
        compile_services("s", load(path), str(tmp_path))
    assert {problem.code for problem in caught.value.problems} == {"STW-PRIVILEGED", "STW-BIND"}
    allowed = Options(host_paths=("/var/run/docker.sock",), privileged=True)
    assert len(compile_services("s", load(path, {}, allowed), str(tmp_path))["services"]) == 2


EXTERNAL = """
services: {a: {image: a, secrets: [token], configs: [c]}}
secrets: {token: {external: true, name: real_token}}
configs: {c: {external: true}}
"""


def test_the_inventory_may_have_files_for_external_ones(tmp_path: Path) -> None:
    path = write(tmp_path, stack__yml=EXTERNAL, token__txt="x", c__txt="y")
    with pytest.raises(StowageError, match="stowage_stacks"):
        compile_services("s", load(path), str(tmp_path))
    given = Options(configs=(("c", str(tmp_path / "c.txt")),), secrets=(("real_token", str(tmp_path / "token.txt")),))
    made = compile_services("s", load(path, {}, given), str(tmp_path))["services"][0]
    assert {(file["name"], file["target"]) for file in made["template"]["files"]} == {
        ("real_token", "/run/secrets/token"),
        ("c", "/c"),
    }


def test_ports_on_the_host_s_network_have_no_effect(tmp_path: Path) -> None:
    stack = "services: {a: {image: a, network_mode: host, ports: ['80:80', {target: 81, published: 81, mode: host}]}}"
    normal = load(write(tmp_path, stack__yml=stack), {}, Options(privileged=True))
    made = compile_services("s", normal, str(tmp_path))
    assert made["services"][0]["ports"] == []
    assert "ports" not in made["services"][0]["template"]
    assert any("listens on the host itself" in text for text in made["warnings"])


def test_permission_restarts_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, stack__yml="services: {a: {image: a}}")
    templates = [
        compile_services("s", load(path, {}, options), str(tmp_path))["services"][0]["template"]
        for options in (Options(), Options(host_paths=("/",), privileged=True))
    ]
    assert templates[0] == templates[1]


def test_a_chain_of_extends_has_an_end(tmp_path: Path) -> None:
    links = "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(300))
    with pytest.raises(StowageError, match="extends away") as caught:
        load(write(tmp_path, stack__yml=f"services:\n{links}  s300: {{image: a}}\n"))
    assert {problem.code for problem in caught.value.problems} == {"STW-EXTENDS"}


def test_includes_that_multiply_have_an_end(tmp_path: Path) -> None:
    for level in range(12):
        names = f"[{{path: f{level + 1}.yml}}, {{path: f{level + 1}.yml}}]"
        (tmp_path / f"f{level}.yml").write_text(f"include: {names}\n", encoding="utf-8")
    (tmp_path / "f12.yml").write_text("services: {a: {image: a}}\n", encoding="utf-8")
    with pytest.raises(StowageError, match="more than 200 files"):
        load(tmp_path / "f0.yml")


def test_reset_and_override_in_an_overlay(tmp_path: Path) -> None:
    base = """
services:
  web:
    image: a
    ports: ["80:80", "81:81"]
    environment: {A: "1", B: "2"}
    labels: {x: y}
  gone: {image: b}
"""
    overlay = """
services:
  web:
    ports: !override ["90:90"]
    environment: {A: !reset null}
    labels: !reset {}
  gone: !reset null
"""
    stack = write(tmp_path, stack__yml=base, overlay__yml=overlay)
    normal = load([stack, tmp_path / "overlay.yml"])
    assert set(normal["services"]) == {"web"}
    web = normal["services"]["web"]
    assert [port["target"] for port in web["ports"]] == [90]
    assert web["environment"] == {"B": "2"}
    assert "labels" not in web


def test_a_mistake_in_an_included_project_s_variables(tmp_path: Path) -> None:
    stack = "include: [{path: a.yml, env_file: bad.env}]\n"
    with pytest.raises(StowageError, match=r"STW-ENV .*bad\.env:2: '=x' is no NAME=value"):
        load(write(tmp_path, stack__yml=stack, a__yml="services: {a: {image: a}}", bad__env="A=1\n=x\n"))


def test_label_file(tmp_path: Path) -> None:
    stack = "services: {web: {image: a, label_file: l.env, labels: {b: own}}}"
    normal = load(write(tmp_path, stack__yml=stack, l__env="a=1\nb=2\n"))
    assert normal["services"]["web"] == {"image": "a", "labels": {"a": "1", "b": "own"}}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1", {"A": "1"}),
        ("export A = 1 # note", {"A": "1"}),
        ("# A=1\n\nB=a#b", {"B": "a#b"}),
        ("A='$X \\n'", {"A": "$X \\n"}),
        ('A="x\\ty\nz"  # two lines\nB=2', {"A": "x\ty\nz", "B": "2"}),
        ("A=1\nB=${A}-${C:-c}", {"A": "1", "B": "1-c"}),
        ('A="\\$B"', {"A": "$B"}),
        ("A=\nB", {"A": ""}),
        ("KNOWN=file", {"KNOWN": "given"}),
        ("KNOWN", {"KNOWN": "given"}),
        ("A: yaml", {"A": "yaml"}),
        ("A=", {"A": ""}),
    ],
)
def test_files_of_variables(tmp_path: Path, text: str, found: dict[str, Any]) -> None:
    path = tmp_path / ".env"
    path.write_text(text, encoding="utf-8")
    assert dotenv.variables([str(path)], {"KNOWN": "given"}) == {"KNOWN": "given", **found}


@pytest.mark.parametrize("text", ["=1", "A='open", 'A="open', "A=${", "a b=1", "A=${B?needed}"])
def test_files_of_variables_that_are_wrong(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".env"
    path.write_text(f"# first\n{text}\n", encoding="utf-8")
    with pytest.raises(StowageError, match=r"STW-ENV .*\.env:2: "):
        dotenv.variables([str(path)], {})


def test_later_files_of_variables_win(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"X={name}\n{name.upper()}=1\n", encoding="utf-8")
    assert dotenv.variables([str(tmp_path / "a"), str(tmp_path / "b")], {}) == {"X": "b", "A": "1", "B": "1"}
    with pytest.raises(StowageError, match="STW-FILE"):
        dotenv.variables([str(tmp_path / "c")], {})
