# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Baked images: a base image with this environment's configuration inside, tagged by what is in it, pinned by digest.

`x-stowage.bake` says what goes in; the service's `image` is the repository that the image is pushed to. Which digest a
tag has is in the environment's lock file, written by stowage.fleet.bake.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..canonical import digest, text_digest
from ..errors import Problem, StowageError, raise_all, show
from .findings import Findings
from .image import image_mistake

LOCK = "baked.lock.json"  # beside the inventory
SCHEMA = 1
TAG_DIGITS = 16
LARGEST = 10 * 1024 * 1024  # bytes of one file
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
ReadFile = Callable[[str], bytes]


def bakes(normal: Mapping[str, Any], base: str, read: ReadFile, findings: Findings) -> dict[str, dict[str, Any]]:
    """{service: {image: repository:tag, base, files: {target: path}, labels, environment}} of a stack.

    Mistakes go to the findings (STW-BAKE, STW-FILE); what has any is left out.
    """
    found = {}
    for name, service in sorted((normal.get("services") or {}).items()):
        stated = (service.get("x-stowage") or {}).get("bake")
        if stated is None:
            continue
        before = len(findings.problems)
        _check(findings, name, service, stated)
        files = _files(findings, name, stated, base, read)
        if len(findings.problems) == before:
            labels, variables = (dict(sorted((stated.get(key) or {}).items())) for key in ("labels", "environment"))
            inside = {target: content for target, (_path, content) in files.items()}
            tag = digest([stated["from"], inside, labels, variables])[:TAG_DIGITS]
            paths = {target: path for target, (path, _content) in files.items()}
            image = f"{service['image']}:{tag}"
            found[name] = {"image": image, "base": stated["from"], "files": paths}
            found[name].update({"labels": labels, "environment": variables})
    return found


def wanted_images(normal: Mapping[str, Any], base: str, read: ReadFile) -> list[dict[str, Any]]:
    """What bakes() gives, each image once, sorted by name. Raises StowageError with every mistake."""
    findings = Findings(normal)
    found = bakes(normal, base, read, findings)
    raise_all(findings.problems)
    once = {one["image"]: one for one in found.values()}
    return [once[image] for image in sorted(once)]


def locked_images(text: str) -> dict[str, str]:
    """{repository:tag: digest} of a lock file's text. Raises StowageError (STW-BAKE) if it is none."""
    try:
        found = json.loads(text)
        images = dict(found["images"]) if found["schema"] == SCHEMA else {"": ""}
    except (ValueError, KeyError, TypeError):
        images = {"": ""}
    if all(isinstance(value, str) and _DIGEST.fullmatch(value) and name for name, value in images.items()):
        return images
    fix = "remove it, and run stowage.fleet.bake"
    raise StowageError(Problem("STW-BAKE", LOCK, "is damaged, or of another version", fix))


def lock_text(images: Mapping[str, str]) -> str:
    """The text of a lock file."""
    return json.dumps({"schema": SCHEMA, "images": dict(sorted(images.items()))}, indent=1) + "\n"


def pinned(wanted: Mapping[str, Mapping[str, Any]], locked: Mapping[str, str], findings: Findings) -> dict[str, str]:
    """{service: its image by tag and digest}; a finding (STW-BAKE) for each that is not baked yet."""
    made = {}
    for name, one in wanted.items():
        if one["image"] in locked:
            made[name] = f"{one['image']}@{locked[one['image']]}"
            continue
        reason = f"image {show(one['image'])} is not baked yet"
        findings.add(("services", name, "x-stowage", "bake"), "STW-BAKE", reason, "run stowage.fleet.bake first")
    return made


def _check(findings: Findings, name: str, service: Mapping[str, Any], stated: Mapping[str, Any]) -> None:
    path = ("services", name, "x-stowage", "bake")
    image, source = str(service.get("image", "")), str(stated.get("from", ""))
    last = image.rpartition("/")[2]
    if image and (":" in last or "@" in last):
        fix = "name the repository alone: the tag is made from what is baked in"
        findings.add(("services", name, "image"), "STW-BAKE", f"{show(image)} has a tag, and is baked", fix)
    mistake = image_mistake(source) if source else ("is missing", "write from: name:tag")
    if mistake:
        findings.add((*path, "from"), "STW-BAKE", f"from {show(source)} {mistake[0]}", mistake[1])
    findings.labels((*path, "labels"), stated.get("labels"))
    for key in ("labels", "environment"):
        for variable, value in (stated.get(key) or {}).items():
            if value is None or not f"{variable}{value}".isprintable() or not variable.strip() or "=" in variable:
                fix = "write {NAME: value}, each on one line"
                findings.add((*path, key), "STW-BAKE", f"{key[:-1]} {show(variable)} has no usable value", fix)


def _files(
    findings: Findings, name: str, stated: Mapping[str, Any], base: str, read: ReadFile
) -> dict[str, tuple[str, str]]:
    """{target: (path on the controller, digest of the content)}, sorted."""
    made: dict[str, tuple[str, str]] = {}
    for target, source in sorted((stated.get("files") or {}).items()):
        path = ("services", name, "x-stowage", "bake", "files")
        clean = posixpath.normpath(target)
        if not target.startswith("/") or ".." in target.split("/") or clean == "/" or not target.isprintable():
            findings.add(path, "STW-BAKE", f"target {show(target)} is no absolute path", "write /path: ./file")
            continue
        place = os.path.normpath(os.path.join(base, str(source or "")))
        try:
            content = read(place)
        except (OSError, ValueError) as error:
            reason = f"{show(str(source))}: {getattr(error, 'strerror', None) or 'cannot be read'}"
            findings.add(path, "STW-FILE", reason, "the path starts at the first stack file, on the controller")
            continue
        if len(content) > LARGEST:
            fix = "bake large files by a Dockerfile"
            findings.add(path, "STW-FILE", f"{show(str(source))} has {len(content)} bytes, at most {LARGEST}", fix)
        made[clean] = (place, text_digest(content))
    return made
