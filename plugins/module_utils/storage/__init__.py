# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The storage room: where volumes are, which copy is the true one, and who must not run for fear of an empty one."""

from __future__ import annotations

from .classes import place_volumes, read_classes
from .generations import settled
from .pins import blocked_by_volumes
from .slots import homes, misplaced

__all__ = ["blocked_by_volumes", "homes", "misplaced", "place_volumes", "read_classes", "settled"]
