# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The released archive: built, installed elsewhere and used from there (scripts/package does the building)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

if "STOWAGE_ARCHIVE" not in os.environ:
    pytest.skip("run by scripts/package", allow_module_level=True)

STAGED = Path(os.environ["STOWAGE_STAGED"])
INSTALLED = Path(os.environ["STOWAGE_INSTALLED"])
WANTED = {"galaxy.yml": False, "MANIFEST.json": True, "FILES.json": True, "meta/runtime.yml": True, "LICENSE": True}
SHIPPED = ("plugins/", "roles/", "playbooks/", "docs/", "meta/")
JUNK = re.compile(
    r"(^|/)(\.git|\.venv|\.cache|\.lab|\.ci|\.stowage|\.hypothesis|__pycache__|collections)(/|$)|\.(pyc|tar\.gz|retry)$"
)
KINDS = {"modules": "module", "filter": "filter", "lookup": "lookup", "callback": "callback", "inventory": "inventory"}


def archived() -> list[str]:
    """Names of the files in the archive."""
    with tarfile.open(os.environ["STOWAGE_ARCHIVE"]) as archive:
        return [member.name for member in archive.getmembers() if not member.isdir()]


def described() -> list[tuple[str, str]]:
    """(type as ansible-doc calls it, name) of every plugin that carries documentation."""
    found = []
    for folder, kind in KINDS.items():
        names = {path.stem for path in (STAGED / "plugins" / folder).glob("*.*") if path.suffix in (".py", ".yml")}
        found += [(kind, name) for name in sorted(names - {"__init__"})]
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command; its output."""
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_archive_holds_no_junk() -> None:
    assert [name for name in archived() if JUNK.search(name)] == []


def test_archive_is_small() -> None:
    assert Path(os.environ["STOWAGE_ARCHIVE"]).stat().st_size < 2_000_000


def test_archive_holds_the_product() -> None:
    names = set(archived())
    assert {name: name in names for name in WANTED} == WANTED
    product = {str(path.relative_to(STAGED)) for path in STAGED.rglob("*") if path.is_file() or path.is_symlink()}
    assert {name for name in product if name.startswith(SHIPPED) and "/_build/" not in name} - names == set()


@pytest.mark.parametrize(("kind", "name"), described())
def test_plugin_resolves_by_its_full_name(kind: str, name: str) -> None:
    shown = run("ansible-doc", "-t", kind, "--json", f"stowage.fleet.{name}")
    assert shown.returncode == 0, shown.stderr
    document = json.loads(shown.stdout)[f"stowage.fleet.{name}"]["doc"]
    assert document["filename"].startswith(str(INSTALLED))
    assert document["short_description"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (STAGED / "playbooks").glob("*.yml")))
def test_playbook_resolves_by_its_full_name(name: str) -> None:
    checked = run("ansible-playbook", "--syntax-check", "-i", "localhost,", f"stowage.fleet.{name}")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", sorted(path.name for path in (STAGED / "roles").glob("*") if path.is_dir()))
def test_role_resolves_by_its_full_name(name: str) -> None:
    shown = run("ansible-doc", "-t", "role", "--json", f"stowage.fleet.{name}")
    assert f"stowage.fleet.{name}" in json.loads(shown.stdout), shown.stderr
