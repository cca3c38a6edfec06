# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The scheduler room: which replica runs on which host, and why. A pure function over plain values.

One direction: reading (input, refusals) -> volumes, staying (what holds its place) -> placement (what is missing)
-> result (placements, moves, unplaced, reasons). filters and strategies are what the last two ask.
"""

from __future__ import annotations

from .constraints import Constraint, matches
from .grammar import parse
from .scheduling import schedule

__all__ = ["Constraint", "matches", "parse", "schedule"]
