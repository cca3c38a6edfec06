# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Stores that configuration is pulled from, and published to. Hosts need no more than Python, but for zookeeper.

A source is {type, endpoints: [URL], prefix}; what is below its prefix is {name: content}.
"""

from __future__ import annotations

from .base import Access, Pulled, StoreError, revision_of, usable
from .check import TYPES, mistakes
from .stores import peek, read

__all__ = ["TYPES", "Access", "Pulled", "StoreError", "mistakes", "peek", "read", "revision_of", "usable"]
