# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The inventory's stacks as the action plugins read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.plugin_utils import controller


class Plain:
    """A templar that finds nothing to fill in."""

    def template(self, value: Any) -> Any:
        return value


def test_stacks_beside_the_inventory(tmp_path: Path) -> None:
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks/shop.yml").write_text("services: {web: {image: a}}", encoding="utf-8")
    entries = controller.stack_entries({"inventory_dir": str(tmp_path)}, Plain())
    assert {name: entry.files for name, entry in entries.items()} == {"shop": (str(tmp_path / "stacks/shop.yml"),)}


def test_paths_start_at_the_inventory_and_variables_come_together(tmp_path: Path) -> None:
    stack = "services: {web: {image: 'a:${TAG}', environment: {X: '${FLEET} ${OWN}'}, secrets: [s]}}\n"
    (tmp_path / "shop.yml").write_text(f"{stack}secrets: {{s: {{external: true}}}}\n", encoding="utf-8")
    (tmp_path / "more.env").write_text("TAG=2\nFLEET=file\n", encoding="utf-8")
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    stated = {"files": "shop.yml", "env_files": "more.env", "env": {"OWN": 3}, "secrets": {"s": "secret"}}
    known = {
        "inventory_dir": str(tmp_path),
        "stowage_stacks": {"shop": stated},
        "stowage_env": {"FLEET": "fleet"},
    }
    made = controller.compiled_stacks({"name": "lab"}, known, Plain())
    (web,) = made["services"]
    assert web["template"]["image"] == "a:2"
    assert web["template"]["environment"] == {"X": "fleet 3"}
    assert [entry["path"] for entry in made["files"].values()] == [str(tmp_path / "secret")]
