# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Baked images: what makes the tag, what is pinned, and which mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.spec import (
    Options,
    compile_services,
    load,
    lock_text,
    locked_images,
    wanted_images,
)

SHA = "sha256:" + "a" * 64
STACK = """
services:
  web:
    image: {image}
    x-stowage:
      bake:
        from: "shop/web:{base}"
        files: {{{target}: ./app.yml}}
        labels: {{env: prod}}
        environment: {{L: {level}}}
      require_labels: {{env: prod}}
"""


def loaded(folder: Path, baked: Any = None, content: str = "a: 1\n", **given: str) -> Any:
    values = {"image": "reg:5000/shop/web", "base": "1.8", "target": "/etc/app.yml", "level": "info", **given}
    (folder / "app.yml").write_text(content, encoding="utf-8")
    path = folder / "stack.yml"
    path.write_text(STACK.format(**values), encoding="utf-8")
    return load(path, {}, Options(baked=baked or {}))


def image(folder: Path, **given: Any) -> dict[str, Any]:
    (one,) = wanted_images(loaded(folder, **given), str(folder), lambda path: Path(path).read_bytes())
    return one


def test_the_tag_says_what_is_inside(tmp_path: Path) -> None:
    one = image(tmp_path)
    assert one["image"].startswith("reg:5000/shop/web:")
    assert (one["base"], one["files"]) == ("shop/web:1.8", {"/etc/app.yml": str(tmp_path / "app.yml")})
    assert image(tmp_path) == one
    others = [image(tmp_path, **given)["image"] for given in ({"content": "b"}, {"base": "1.9"}, {"level": "debug"})]
    others.append(image(tmp_path, target="/etc/other.yml")["image"])
    assert len({one["image"], *others}) == 5


def test_what_is_locked_is_pinned_and_what_is_not_is_refused(tmp_path: Path) -> None:
    wanted = image(tmp_path)["image"]
    made = compile_services("shop", loaded(tmp_path, {wanted: SHA}), str(tmp_path))["services"][0]
    assert made["template"]["image"] == f"{wanted}@{SHA}"
    assert made["require_labels"] == {"env": "prod"}
    with pytest.raises(StowageError) as caught:
        compile_services("shop", loaded(tmp_path, {wanted: SHA}, content="changed"), str(tmp_path))
    assert "is not baked yet; run stowage.fleet.bake first" in str(caught.value)


def test_the_lock_file_is_read_as_it_was_written() -> None:
    images = {"b:1": SHA, "a:1": SHA}
    assert locked_images(lock_text(images)) == images
    assert lock_text(images) == lock_text(dict(sorted(images.items())))
    for text in ("", "[]", '{"schema": 1, "images": {"a:1": "latest"}}', '{"schema": 9, "images": {}}'):
        with pytest.raises(StowageError):
            locked_images(text)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"image": "shop/web:1"}, "has a tag, and is baked"),
        ({"base": "X Y"}, "STW-BAKE"),
        ({"target": "etc/app.yml"}, "is no absolute path"),
        ({"target": "/etc/../app.yml"}, "is no absolute path"),
        ({"level": '"a\\nb"'}, "has no usable value"),
    ],
)
def test_mistakes(given: dict[str, str], told: str, tmp_path: Path) -> None:
    with pytest.raises(StowageError) as caught:
        image(tmp_path, **given)
    assert told in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    normal = loaded(tmp_path)
    (tmp_path / "app.yml").unlink()
    with pytest.raises(StowageError) as caught:
        compile_services("shop", normal, str(tmp_path))
    assert "STW-FILE" in str(caught.value)
