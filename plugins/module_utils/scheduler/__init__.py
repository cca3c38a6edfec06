# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The scheduler room: which replica runs on which host, and why. A pure function over plain values.

One direction, told by scheduling.py:
    reading*, grammar, patterns, never (input, refusals; quick_* what has nothing odd in it) -> volumes, staying, seats
    (whole services at once), unseen (what holds its place)
    -> order, homes, ahead (where others can follow), placement (what is missing, scarce services first)
    -> repair (ejection, preemption, rebalance; followers: who may not leave whom)
    -> explain, asked, conflict (why) -> the result.
What they ask: filters (rules that hold whatever else is placed, as bit masks), gates (what one more replica needs now:
counting, affinity, grants), strategies (ranks), candidates, pools, sources (few hosts to rank); for most of a large
plan bulk (a whole service at once), quota (so many on each domain), contest (ports that two want), ranked
(hosts in the order of their load).
Binpack: packing (which hosts are open, what fits best), rings (hosts by the shape of what is free), batch (many
services at once), repack (hosts filled anew when something found no room).
"""

from __future__ import annotations

from .constraints import Constraint, matches
from .grammar import parse
from .scheduling import schedule

__all__ = ["Constraint", "matches", "parse", "schedule"]
