# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""docs/stack-files.md shows the key table that is in the code, and its examples load."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.spec import (
    compile_services,
    inventory,
    key_page,
    keys,
    load,
    stacks,
)
from ansible_collections.stowage.fleet.plugins.module_utils.spec.reader import FORMS

PAGE = Path(__file__).parents[3] / "docs" / "stack-files.md"
MARK = "it -->\n"


def test_the_page_shows_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before = text.partition(MARK)[0]
    wanted = f"{before}{MARK}\n{key_page.table().rstrip()}\n"
    if os.environ.get("STOWAGE_WRITE_CASES"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == wanted


def examples() -> list[str]:
    """The stack files on the page."""
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [block for block in blocks if "services:\n" in block]


def test_the_example_of_the_inventory_says_every_key() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (stated,) = [yaml.safe_load(block) for block in blocks if "stowage_stacks:" in block]
    found = stacks(stated["stowage_stacks"], stated["stowage_profiles"])
    assert found["metrics"].options.profiles == ("debug", "alerts")
    assert set(stated["stowage_stacks"]["metrics"]) == set(inventory.KEYS)


@pytest.mark.parametrize("index", range(2))
def test_examples_compile(index: int, tmp_path: Path) -> None:
    path = tmp_path / "stack.yml"
    path.write_text(examples()[index], encoding="utf-8")
    (tmp_path / "token").write_text("x", encoding="utf-8")
    made = compile_services("shop", load(path), str(tmp_path))
    assert made["services"]
    assert len(examples()) == 2


def test_the_example_shows_every_key_of_x_stowage() -> None:
    own = [key.path for key in keys.KEYS if key.path.startswith("services.*.x-stowage.")]
    names = [path.rpartition(".")[2] for path in own if ".bake." not in path]
    assert names
    assert all(f"{name}:" in examples()[1] for name in names)
    # What is baked has an example beside its explanation: it needs files and a lock file.
    baked = [path.rpartition(".")[2] for path in own if ".bake." in path]
    assert all(f"{name}:" in (PAGE.parent / "configuration.md").read_text(encoding="utf-8") for name in baked)


def test_the_table_is_sound() -> None:
    paths = [key.path for key in keys.KEYS]
    assert len(paths) == len(set(paths))
    for key in keys.KEYS:
        kind, _colon, argument = key.form.partition(":")
        assert key.verdict in (keys.APPLIED, keys.WARNED, keys.REFUSED)
        assert kind in FORMS or (kind in ("section", "sections", "names") and keys.children(argument))
        assert all((key.swarm, key.compose, key.stowage))
