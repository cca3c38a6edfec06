# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The storage room: where volumes are, and which services must not run for fear of an empty one."""

from __future__ import annotations

from .pins import blocked_by_volumes

__all__ = ["blocked_by_volumes"]
