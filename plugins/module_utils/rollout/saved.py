# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Saved plans: JSON files that carry their own digest."""

from __future__ import annotations

import json
from typing import Any

from ..canonical import digest
from ..errors import Problem, StowageError, show
from .plan import SCHEMA

MAXIMUM_BYTES = 256 * 2**20


def dump(plan: dict[str, Any]) -> str:
    """The plan's text: JSON, sorted, indented, ending with a newline. Equal plans give equal bytes."""
    return json.dumps(plan, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def parse(text: str, place: str, fleet: str) -> dict[str, Any]:
    """The plan in a text; place names the file. Raises StowageError STW-PLAN if it is not one, not whole, not ours."""
    if len(text) > MAXIMUM_BYTES:
        raise _refusal(place, f"has {len(text)} characters, at most {MAXIMUM_BYTES} are read")
    try:
        plan = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(place, f"is not JSON ({show(str(error))})") from error
    if not isinstance(plan, dict) or "digest" not in plan or "schema" not in plan:
        raise _refusal(place, "is not a plan")
    if plan["schema"] != SCHEMA:
        raise _refusal(place, f"has schema {show(plan['schema'])}, this version reads {SCHEMA}")
    if digest({key: value for key, value in plan.items() if key != "digest"}) != plan["digest"]:
        raise _refusal(place, "was changed after it was made (its digest does not fit)")
    if plan["fleet"]["name"] != fleet:
        raise _refusal(place, f"is for fleet {show(plan['fleet']['name'])}, this is {fleet}")
    return plan


def _refusal(place: str, reason: str) -> StowageError:
    return StowageError(Problem("STW-PLAN", place, reason, "make the plan again with stowage.fleet.plan"))
