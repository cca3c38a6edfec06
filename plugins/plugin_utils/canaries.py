# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which hosts are asked what was deployed the last time: what a service that holds a canary is held at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller

ASKED = 5  # hosts; all of them keep the same
WORD = "canary:"


def definitions(node: str, task_vars: Mapping[str, Any], templar: Any) -> list[str]:
    """The stacks whose last deployed definition this host shall tell: those whose files speak of a canary.

    Definitions are long and rarely needed. What is included from other files is not searched: a service without one is
    held all the same, but what is lost of it is not replaced, and the plan says so.
    """
    if node not in sorted(task_vars["groups"].get("stowage_nodes", ()))[:ASKED]:
        return []
    try:
        entries = controller.stack_entries(task_vars, templar)
        return sorted(stack for stack, entry in entries.items() if any(_speaks(file) for file in entry.files))
    except (StowageError, OSError, ValueError):
        return []  # the plan says what is wrong with stack files


def _speaks(file: str | Path) -> bool:
    return WORD in Path(file).read_text(encoding="utf-8", errors="replace")
