# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Saved plans (JSON files that carry their own digest) and saved observations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..canonical import digest
from ..errors import Problem, StowageError, show
from .plan import SCHEMA

MAXIMUM_BYTES = 256 * 2**20
LEAST_DIGITS = 8  # of a plan's digest
OBSERVED = (  # what a plan reads of an Observation
    "schema",
    "engine",
    "capacity",
    "containers",
    "foreign",
    "volumes",
    "volume_claims",
    "network",
    "endpoints",
    "objects",
    "digest",
)


def dump(plan: dict[str, Any]) -> str:
    """The plan's text: JSON, sorted, indented, ending with a newline. Equal plans give equal bytes."""
    return json.dumps(plan, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def parse(text: str, place: str, fleet: str) -> dict[str, Any]:
    """The plan in a text; place names the file. Raises StowageError STW-PLAN if it is not one, not whole, not ours."""
    plan = _json(text, place)
    if not isinstance(plan, dict) or "digest" not in plan or "schema" not in plan:
        raise _refusal(place, "is not a plan")
    if plan["schema"] != SCHEMA:
        raise _refusal(place, f"has schema {show(plan['schema'])}, this version reads {SCHEMA}")
    if digest({key: value for key, value in plan.items() if key != "digest"}) != plan["digest"]:
        raise _refusal(place, "was changed after it was made (its digest does not fit)")
    if plan["fleet"]["name"] != fleet:
        raise _refusal(place, f"is for fleet {show(plan['fleet']['name'])}, this is {fleet}")
    return plan


def refuse_unapproved(plan: Mapping[str, Any], approved: str) -> None:
    """Raise STW-STALE if this is not the plan that was approved. approved: its digest or the first 8 or more of it."""
    if len(approved) < LEAST_DIGITS or not set(approved) <= set("0123456789abcdef"):
        reason = f"{show(approved)} is no digest of a plan: {LEAST_DIGITS} or more hexadecimal digits"
        raise StowageError(Problem("STW-OPTION", "stowage_approved", reason, "take it from the plan's first line"))
    if not plan["digest"].startswith(approved):
        reason = f"the plan is {plan['digest'][:12]} now, {approved[:12]} was approved: something moved in between"
        raise StowageError(
            Problem("STW-STALE", "plan", reason, "look at the plan above, and approve it or mend what moved")
        )


def dump_observations(fleet: str, observations: Mapping[str, Any]) -> str:
    """What every host told, as a text that parse_observations() reads: plans and what-ifs without contact."""
    value = {"schema": SCHEMA, "fleet": fleet, "observations": dict(observations)}
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def parse_observations(text: str, place: str, fleet: Mapping[str, Any]) -> dict[str, Any]:
    """{node: Observation} of a saved text, for the nodes of the fleet. Raises StowageError STW-OBSERVATION."""
    value = _json(text, place)
    told = value.get("observations") if isinstance(value, dict) else None
    if not isinstance(told, dict) or value.get("schema") != SCHEMA:
        raise _unread(place, f"holds no observations of schema {SCHEMA}")
    if value.get("fleet") != fleet["name"]:
        raise _unread(place, f"is of fleet {show(value.get('fleet'))}, this is {fleet['name']}")
    for node, seen in told.items():
        missing = [key for key in OBSERVED if not isinstance(seen, dict) or key not in seen]
        if missing:
            raise _unread(place, f"host {show(node)}: {missing[0]} is missing")
    return {node["name"]: told[node["name"]] for node in fleet["nodes"] if node["name"] in told}


def _json(text: str, place: str) -> Any:
    if len(text) > MAXIMUM_BYTES:
        raise _refusal(place, f"has {len(text)} characters, at most {MAXIMUM_BYTES} are read")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(place, f"is not JSON ({show(str(error))})") from error


def _unread(place: str, reason: str) -> StowageError:
    fix = "take .stowage/observation.json of a stowage.fleet.plan run"
    return StowageError(Problem("STW-OBSERVATION", place, reason, fix))


def _refusal(place: str, reason: str) -> StowageError:
    return StowageError(Problem("STW-PLAN", place, reason, "make the plan again with stowage.fleet.plan"))
