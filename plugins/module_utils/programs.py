# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Programs for hosts: one file that Python runs, of a module of this collection and of all that it imports of it."""

from __future__ import annotations

import ast
import importlib.util
import io
import zipfile
from typing import Any

PACKAGE = "stowage"
MAIN = "import sys\n\nfrom {module} import main\n\nsys.exit(main(sys.argv[1:]))\n"
STAMP = (1980, 1, 1, 0, 0, 0)


def program(module: str, head: bytes = b"") -> bytes:
    """The program whose `main(arguments)` a module has, by its full name. The same sources give the same bytes.

    head: what comes before the archive, as `#!/usr/bin/python3` and a line's end.
    """
    base = __name__.rpartition(".")[0]
    sources = {"__main__.py": MAIN.format(module=f"{PACKAGE}{module[len(base) :]}"), f"{PACKAGE}/__init__.py": ""}
    for name, text in _closure(base, module).items():
        relative = name[len(base) + 1 :].replace(".", "/")
        sources[f"{PACKAGE}/{relative}.py"] = text
        sources.setdefault(f"{PACKAGE}/{relative.rpartition('/')[0]}/__init__.py".replace("//", "/"), "")
    file = io.BytesIO()
    file.write(head)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        for path in sorted(sources):
            archive.writestr(zipfile.ZipInfo(path, STAMP), sources[path])
    return file.getvalue()


def _closure(base: str, first: str) -> dict[str, str]:
    """{module: source} of a module and of all that it imports from this collection, without packages' own files."""
    found: dict[str, str] = {}
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = source(name)
        for node in ast.walk(ast.parse(found[name])):
            if isinstance(node, ast.ImportFrom) and node.level:
                waiting += _imported(name, node, base)
    return found


def _imported(name: str, node: ast.ImportFrom, base: str) -> list[str]:
    package = name.split(".")[: -node.level]
    module = ".".join([*package, *([node.module] if node.module else [])])
    if _is_module(module):
        return [module]
    if not module.startswith(base):
        return []
    return [f"{module}.{alias.name}" for alias in node.names if _is_module(f"{module}.{alias.name}")]


def _is_module(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is None


def source(name: str) -> str:
    """A module's source, also from a zip file, or from Ansible's own loader, which gives bytes."""
    spec = importlib.util.find_spec(name)
    loader: Any = spec.loader if spec else None
    text = loader.get_source(name)
    return text.decode("utf-8") if isinstance(text, bytes) else str(text)
