# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout room: the plan, its waves and steps, the gate between them, and the texts that show them."""

from __future__ import annotations

from .gate import begin, enter, judge, outcome, resume, rollback_steps, share, skips
from .plan import asked_of, made_from, plan, refuse_stale_inputs, refuse_unknown
from .saved import dump, dump_observations, parse, parse_observations
from .status import status
from .text import conclusion_lines, diff_text, plan_lines, safe, status_lines, step_heads, step_lines
from .whatif import Wish, scales, unknown, what_if_lines, why_lines

__all__ = [
    "Wish",
    "asked_of",
    "begin",
    "conclusion_lines",
    "diff_text",
    "dump",
    "dump_observations",
    "enter",
    "judge",
    "made_from",
    "outcome",
    "parse",
    "parse_observations",
    "plan",
    "plan_lines",
    "refuse_stale_inputs",
    "refuse_unknown",
    "resume",
    "rollback_steps",
    "safe",
    "scales",
    "share",
    "skips",
    "status",
    "status_lines",
    "step_heads",
    "step_lines",
    "unknown",
    "what_if_lines",
    "why_lines",
]
