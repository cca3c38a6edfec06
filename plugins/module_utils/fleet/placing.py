# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Host variables that only placement reads: taints, generic resources, storage classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem
from ..scheduler.reader import Reader
from ..scheduler.reading_nodes import read_node

UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
SIZE = re.compile(r"^(\d{1,18}(?:\.\d{1,9})?)\s*([bkmgt]?)(?:i?b)?$", re.IGNORECASE)
VARIABLES = {"taints": "stowage_taints", "capacity": "stowage_resources", "storage": "stowage_storage"}
STATED = ("cpus", "memory")


def size(value: Any) -> int | None:
    """Bytes of a number or of a text such as 512M; None if it is none."""
    match = SIZE.match(str(value)) if not isinstance(value, bool) else None
    return int(float(match.group(1)) * UNITS[match.group(2).lower()]) if match else None


def placing(host: Mapping[str, Any]) -> dict[str, Any]:
    """The Fleet node's taints, resources and storage (bytes), each only if the host has it."""
    made = {}
    if host.get("stowage_taints"):
        made["taints"] = host["stowage_taints"]
    if host.get("stowage_resources"):
        made["resources"] = host["stowage_resources"]
    storage = host.get("stowage_storage")
    if storage:
        made["storage"] = _sizes(storage) if isinstance(storage, Mapping) else storage
    return made


def placing_problems(name: str, host: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with them, as the scheduler judges it."""
    reader = Reader()
    asked = {key: host[variable] for key, variable in VARIABLES.items() if host.get(variable) is not None}
    if isinstance(asked.get("storage"), Mapping):
        asked["storage"] = _sizes(asked["storage"])
    read_node(reader, {"name": name, **asked}, 0)
    problems = []
    for problem in reader.problems:
        key, _dot, rest = problem.place.partition("'.")[2].partition(".")
        bare, _bracket, index = key.partition("[")
        if bare in VARIABLES:
            place = f"host {name}: {VARIABLES[bare]}{_bracket}{index}{_dot}{rest}"
            problems.append(Problem("STW-INVENTORY", place, problem.reason, problem.fix))
    resources = asked.get("capacity")
    for key in STATED:
        if isinstance(resources, Mapping) and key in resources:
            place = f"host {name}: stowage_resources.{key}"
            problems.append(Problem("STW-INVENTORY", place, f"{key} is observed", "reserve some with stowage_reserved"))
    return problems


def _sizes(storage: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes as bytes; what is no size stays, to be refused."""
    return {str(key): value if size(value) is None else size(value) for key, value in storage.items()}
