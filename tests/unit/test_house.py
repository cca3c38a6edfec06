# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""House rules that can be read off the tree: layout, sizes, documentation, what may import what."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ROOT / "plugins" / "module_utils"
PLUGIN_KINDS = ("action", "callback", "filter", "inventory", "lookup", "modules", "test")
FILE_LINES = 400
FUNCTION_LINES = 50

# A file or a function that is longer must defend itself here: path or path::function -> the reason.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {}

# Hosts the project must not name, in pieces so that this file does not name them either.
HOSTS = tuple(
    ".".join(labels)
    for labels in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("deb", "debian", "org"),
        ("security", "debian", "org"),
        ("registry", "npmjs", "org"),
        ("galaxy", "ansible", "com"),
        ("hub", "docker", "com"),
        ("registry-1", "docker", "io"),
        ("index", "docker", "io"),
        ("download", "docker", "com"),
        ("ghcr", "io"),
        ("gcr", "io"),
        ("quay", "io"),
        ("github", "com"),
        ("gitlab", "com"),
    )
)


@cache
def tree() -> tuple[str, ...]:
    """Tracked and new files that exist, relative to the root; nothing that git ignores."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted(name for name in names if name and (ROOT / name).is_file()))


def python_files(*tops: str) -> list[str]:
    """Python files under the given folders."""
    return [name for name in tree() if name.endswith(".py") and name.startswith(tuple(f"{top}/" for top in tops))]


def parsed(name: str) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), filename=name)


def plugins() -> list[tuple[str, str]]:
    """(kind, name) of every plugin and module."""
    found = []
    for kind in PLUGIN_KINDS:
        folder = ROOT / "plugins" / kind
        found += [(kind, path.stem) for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    return found


def roles() -> list[str]:
    """Names of the roles."""
    return sorted({name.split("/")[1] for name in tree() if name.startswith("roles/") and name.count("/") > 1})


def playbooks() -> list[str]:
    """Names of the playbooks."""
    return sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


@cache
def handbook() -> str:
    """All hand-written documentation as one text."""
    pages = [name for name in tree() if name.endswith(".md") and (name.startswith("docs/") or name == "README.md")]
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in pages)


def imports(module: ast.Module) -> set[str]:
    """First names of all absolute imports, wherever they stand."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("name", python_files("plugins/module_utils"))
def test_pure_layer_knows_nothing_of_ansible(name: str) -> None:
    assert not imports(parsed(name)) & {"ansible", "ansible_collections"}


def test_only_the_engine_room_talks_to_docker() -> None:
    # And the lab, which makes hosts out of containers and is no part of a fleet.
    rooms = ("plugins/module_utils/engine/", "plugins/module_utils/lab/")
    found = [name for name in python_files("plugins") if "docker" in imports(parsed(name))]
    assert [name for name in found if not name.startswith(rooms)] == []


def test_nothing_imports_another_collection() -> None:
    text = {name: (ROOT / name).read_text(encoding="utf-8") for name in python_files("plugins")}
    pattern = re.compile(r"^\s*(?:from|import) ansible_collections\.(?!stowage\.fleet\b)", re.MULTILINE)
    assert [name for name, source in text.items() if pattern.search(source)] == []


def test_no_collection_dependencies() -> None:
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["dependencies"] == {}


def test_files_are_short_or_defend_themselves() -> None:
    names = [name for name in python_files("plugins", "scripts", "tests") if not name.startswith("tests/cases/")]
    long = {name for name in names if len((ROOT / name).read_text(encoding="utf-8").splitlines()) > FILE_LINES}
    assert long == set(LONG_FILES), f"over {FILE_LINES} lines: split it, or give the reason in LONG_FILES"


def test_functions_are_short_or_defend_themselves() -> None:
    long = set()
    for name in python_files("plugins", "scripts"):
        for node in ast.walk(parsed(name)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long.add(f"{name}::{node.name}")
    assert long == set(LONG_FUNCTIONS), f"over {FUNCTION_LINES} lines: split it, or give the reason in LONG_FUNCTIONS"


@pytest.mark.parametrize("name", python_files("plugins", "scripts"))
def test_every_python_file_carries_the_licence(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert not lines or "GNU General Public License v3.0+" in "\n".join(lines[:4])


def test_room_table_is_the_tree() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("## Errors")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    told = {room.rstrip("/") for row in rows for room in re.findall(r"`([^`]+)`", row)}
    names = {name.split("/")[2] for name in python_files("plugins/module_utils")}
    assert told == names - {"__init__.py"}


def test_every_plugin_is_documented() -> None:
    assert [f"{kind}/{name}" for kind, name in plugins() if f"`{name}`" not in handbook()] == []


def test_every_playbook_is_documented() -> None:
    assert [name for name in playbooks() if f"stowage.fleet.{name}`" not in handbook()] == []
    silent = [
        name for name in playbooks() if not re.match(r"(---\n)?# \S", (ROOT / f"playbooks/{name}.yml").read_text())
    ]
    assert silent == [], "a playbook's first line is a comment that says what it does"


def test_every_role_is_documented_and_checks_its_arguments() -> None:
    assert [name for name in roles() if f"`{name}`" not in handbook()] == []
    assert [name for name in roles() if not (ROOT / f"roles/{name}/meta/argument_specs.yml").is_file()] == []


@pytest.mark.parametrize("name", roles())
def test_role_defaults_are_role_arguments(name: str) -> None:
    defaults = ROOT / f"roles/{name}/defaults/main.yml"
    told = yaml.safe_load(defaults.read_text(encoding="utf-8")) or {} if defaults.is_file() else {}
    spec = yaml.safe_load((ROOT / f"roles/{name}/meta/argument_specs.yml").read_text(encoding="utf-8"))
    options = {option for entry in spec["argument_specs"].values() for option in entry.get("options", {})}
    assert set(told) - options == set(), "defaults that the role's argument_specs do not tell of"
    assert [option for option in options if not option.startswith(("stowage_", f"{name}_"))] == []


def test_modules_are_in_the_action_group() -> None:
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]["fleet"]
    actions = {f"stowage.fleet.{name}" for kind, name in plugins() if kind in ("modules", "action")}
    assert {name for name in group if name not in actions} == set()
    assert {name for name in actions if name.startswith("stowage.fleet.host_")} - set(group) == set()


def test_no_public_hosts_are_named() -> None:
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(host)}\b" for host in HOSTS))
    found = []
    for name in tree():
        text = (ROOT / name).read_bytes().decode("utf-8", "replace")
        found += [f"{name}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []


def test_links_between_pages_hold() -> None:
    broken = []
    for name in tree():
        if name.endswith(".md") and not name.startswith("tests/cases/"):
            page = ROOT / name
            links = re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", page.read_text(encoding="utf-8"))
            broken += [f"{name}: {link}" for link in links if not (page.parent / link).exists()]
    assert broken == []


def test_every_sanity_exception_has_a_reason() -> None:
    lines = [
        (name, line)
        for name in tree()
        if name.startswith("tests/sanity/ignore-")
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
    ]
    assert [(name, line) for name, line in lines if not re.search(r" # \S", line)] == []


def test_unit_test_files_have_names_of_their_own() -> None:
    names = [Path(name).name for name in tree() if re.search(r"^tests/(?!cases/).*/test_[^/]*\.py$", name)]
    assert sorted(names) == sorted(set(names))
