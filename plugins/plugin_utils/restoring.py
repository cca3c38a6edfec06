# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A rollback by hand: what is wanted, taken from the records that the hosts keep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible.utils.display import Display
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller, sources, stored, vaulted

display = Display()
NO_STACKS: dict[str, Any] = {"services": [], "files": {}, "warnings": [], "stacks": []}


def wanted(
    fleet: Mapping[str, Any],
    task_vars: Mapping[str, Any],
    templar: Any,
    args: Mapping[str, Any],
    session: stored.Session,
) -> dict[str, Any]:
    """The compiled stacks of a rollback. args: rollback, to, observed, records. Raises StowageError (STW-RELEASE)."""
    observations = controller.observations_of(task_vars, fleet, args["observed"])
    read = _records(fleet, task_vars, args["records"])
    kept = rollout.listing(observations)
    target = rollout.aim(read, kept, observations, args["rollback"], args["to"])
    display.display(f"ROLLBACK  {args['rollback']} to {target['release']}, deployed by run {target['run']}")
    for line in rollout.release_lines(kept[args["rollback"]], target["release"]):
        display.display(line)
    display.display("  the stack files are as they were: the next deploy goes by them again")
    present = _present(fleet, task_vars, templar, session)
    made = rollout.restored(read.values(), target, present, rollout.canary.beside_now(observations))
    # What a store has is not kept with releases: it goes back to the old definition with the present content.
    containers = partial(stored.observed, task_vars)
    return sources.fill_in(made, session, vaulted.opener(templar), containers, args["rollback"])


def _records(fleet: Mapping[str, Any], task_vars: Mapping[str, Any], register: str) -> dict[str, Any]:
    """{file name: Record} that host_release gave. Read raw: what a host said is never templated."""
    found = {}
    for node in fleet["nodes"]:
        result = task_vars["hostvars"].raw_get(node["name"]).get(register)
        told = result.get("records") if isinstance(result, Mapping) else None
        for entry in plain(told or []):
            found[entry["name"]] = rollout.parse_record(entry["text"], entry["name"])
    return found


def _present(
    fleet: Mapping[str, Any], task_vars: Mapping[str, Any], templar: Any, session: stored.Session
) -> dict[str, Any]:
    """The stacks of the inventory: a rollback needs only the secrets of them, and works although they are broken."""
    try:
        return controller.compiled_stacks(fleet, task_vars, templar, session)
    except StowageError as error:
        display.warning(f"the stack files have {len(error.problems)} mistake(s): only the hosts' records are used")
        return NO_STACKS
