# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must happen to the containers of a lab: wanted against found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .layout import Layout

RUNNING = "running"
# A container in one of these states cannot be started: it goes and comes back.
BROKEN = ("dead", "removing")


class Action(NamedTuple):
    """One step: verb is create, start, unpause or remove; container is its name."""

    verb: str
    container: str


def difference(lab: Layout, found: Mapping[str, str]) -> list[Action]:
    """Steps from `found` (container name to its Docker state) to the lab: removals first, then in the lab's order."""
    wanted = [lab.registry.container, *(host.container for host in lab.hosts)]
    steps = [Action("remove", name) for name in sorted(found) if name not in wanted or found[name] in BROKEN]
    for name in wanted:
        state = found.get(name)
        if state is None or state in BROKEN:
            steps.append(Action("create", name))
        elif state == "paused":
            steps.append(Action("unpause", name))
        elif state != RUNNING:
            steps.append(Action("start", name))
    return steps
