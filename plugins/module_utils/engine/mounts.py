# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mounts of our own in containers, as POST /containers/create takes them. Pure."""

from __future__ import annotations

from typing import Any


def read_only(source: str, target: str) -> dict[str, Any]:
    """A file or directory of the host, not to be written to. Never CreateMountpoint: a missing one stops the start."""
    options = {"Propagation": "rprivate"}
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": True, "BindOptions": options}
