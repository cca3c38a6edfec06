# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rollout room: the plan, its waves and steps, the gate between them, and the texts that show them."""

from __future__ import annotations

from . import canary
from .gate import begin, due, enter, judge, outcome, resume, rollback_steps, share, skips
from .plan import asked_of, made_from, plan, refuse_stale_inputs, refuse_unknown
from .releases import aim, candidates, listing, parse_record, records, release_lines, restored, to_keep
from .saved import dump, dump_observations, parse, parse_observations, refuse_unapproved
from .status import status, view_problems
from .text import (
    conclusion_lines,
    diff_text,
    plan_lines,
    progress_lines,
    pulling_line,
    safe,
    status_lines,
    step_heads,
    step_lines,
)
from .whatif import Wish, scales, unknown, what_if_lines, why_lines, wish_problems

__all__ = [
    "Wish",
    "aim",
    "asked_of",
    "begin",
    "canary",
    "candidates",
    "conclusion_lines",
    "diff_text",
    "due",
    "dump",
    "dump_observations",
    "enter",
    "judge",
    "listing",
    "made_from",
    "outcome",
    "parse",
    "parse_observations",
    "parse_record",
    "plan",
    "plan_lines",
    "progress_lines",
    "pulling_line",
    "records",
    "refuse_stale_inputs",
    "refuse_unapproved",
    "refuse_unknown",
    "release_lines",
    "restored",
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
    "to_keep",
    "unknown",
    "view_problems",
    "what_if_lines",
    "why_lines",
    "wish_problems",
]
