# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab room: practice hosts in the local Docker Engine; their names, what they are made of, how they are reached."""

from __future__ import annotations

from .access import control_path, host_key_line, inventory, known_hosts
from .containers import LABEL, node_container, registry_container
from .difference import Action, difference
from .layout import MAX_HOSTS, LabHost, Layout, default_subnet, layout
from .recipes import IMAGE_LABEL, Recipe, order, recipe

__all__ = [
    "IMAGE_LABEL",
    "LABEL",
    "MAX_HOSTS",
    "Action",
    "LabHost",
    "Layout",
    "Recipe",
    "control_path",
    "default_subnet",
    "difference",
    "host_key_line",
    "inventory",
    "known_hosts",
    "layout",
    "node_container",
    "order",
    "recipe",
    "registry_container",
]
