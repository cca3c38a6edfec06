# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet room: the inventory as a Fleet, and what was observed of it."""

from __future__ import annotations

from .inventory import build_fleet
from .observed import (
    completed,
    holders,
    owned,
    ready,
    schedulable_nodes,
    serving_tasks,
    unknown_nodes,
    unknown_tasks,
)

__all__ = [
    "build_fleet",
    "completed",
    "holders",
    "owned",
    "ready",
    "schedulable_nodes",
    "serving_tasks",
    "unknown_nodes",
    "unknown_tasks",
]
