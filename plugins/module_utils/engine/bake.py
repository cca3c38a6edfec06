# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bake an image on this host and push it: a base image, files, variables and labels; its tag says what is inside."""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Mapping
from typing import Any

from ..errors import Problem
from .client import PATIENCE, Engine, EngineError, connect
from .refusals import REFUSALS, problems_of

MARK = "stowage.bake"  # the label that says which tag an image was baked for


def bake(request: Mapping[str, Any], check: bool = False, engine: Engine | None = None) -> dict[str, Any]:
    """{changed, digest: sha256:..., problems: [Problem as dict]}: the image is in its registry.

    request: image (repository:tag), base, files {target: base64}, environment, labels. An image that the registry has
    already, with this tag's mark, is taken as it is. engine: for tests.
    """
    try:
        engine = engine or connect(0.0 if check else PATIENCE)
        found = _found(engine, request["image"], check)
        if found or check:
            return {"changed": not found, "digest": found, "problems": []}
        engine.build(context(request), request["image"])
        return {"changed": True, "digest": engine.push(request["image"]), "problems": []}
    except EngineError as error:
        fix = "check the base image, the registry, and this host's way and login to it"
        problems = [Problem("STW-BAKE", f"image {request['image']}", str(error), fix)]
    except REFUSALS as error:
        problems = problems_of(error)
    return {"changed": False, "digest": "", "problems": [problem.as_dict() for problem in problems]}


def _found(engine: Engine, image: str, check: bool) -> str:
    """The digest of the image in its registry; "" if it is not there, or (under check) not on this host either."""
    try:
        if not check:
            engine.pull(image)
    except EngineError:
        return ""
    seen = engine.image(image) or {}
    labels = (seen.get("Config") or {}).get("Labels") or {}
    repository, _colon, tag = image.rpartition(":")
    told = [one.partition("@")[2] for one in seen.get("RepoDigests") or () if one.partition("@")[0] == repository]
    return told[0] if told and labels.get(MARK) == tag else ""


def context(request: Mapping[str, Any]) -> bytes:
    """The tar that is built from: a Dockerfile, and the files below root/. The same request gives the same bytes."""
    marked = {**request["labels"], MARK: request["image"].rpartition(":")[2]}
    lines = [f"FROM {request['base']}", *(["COPY root/ /"] if request["files"] else [])]
    lines += [f"ENV {name}={_quoted(value)}" for name, value in sorted(request["environment"].items())]
    lines += [f"LABEL {_quoted(name)}={_quoted(value)}" for name, value in sorted(marked.items())]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        _add(archive, "Dockerfile", ("\n".join(lines) + "\n").encode())
        for target, content in sorted(request["files"].items()):
            _add(archive, f"root/{target.lstrip('/')}", base64.b64decode(content))
    return made.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))


def _quoted(text: str) -> str:
    """A word of a Dockerfile in which nothing is replaced."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
