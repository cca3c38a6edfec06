# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ways in which Ansible itself would put the arguments of a module on a disk or a screen: no secret goes then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible import constants
from ansible_collections.stowage.fleet.plugins.module_utils.engine.sets import KEYS
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, show

CODE = "STW-DELIVERY"
PERSIST = "stowage_secrets_persist"
WITHOUT_PIPELINING = "without pipelining Ansible writes a module's arguments to disks here and on the host"
PIPELINING = "set pipelining = true in [connection] of ansible.cfg, or ANSIBLE_PIPELINING=true; sudo without requiretty"


def refusals(action: Any) -> list[tuple[str, str]]:
    """(reason, fix) of all that makes values unsafe on an action's way to its host; [] if they may go."""
    found = []
    if action._task.async_val:
        found.append(("async writes a module's arguments to a disk of the host", "take async from the task"))
    if constants.DEFAULT_DEBUG:
        found.append(("ANSIBLE_DEBUG prints values that no_log hides", "unset ANSIBLE_DEBUG; -vvvvv is safe"))
    if constants.DEFAULT_KEEP_REMOTE_FILES:
        found.append(("ANSIBLE_KEEP_REMOTE_FILES leaves a module's arguments on the host", "unset it"))
    elif not action._is_pipelining_enabled("new"):
        connection = str(getattr(action._connection, "transport", "") or "this")
        found.append((f"{WITHOUT_PIPELINING}, and connection {connection} does not use it", PIPELINING))
    return found


def require(action: Any, what: str) -> None:
    """Raise StowageError (STW-DELIVERY) unless values may go to the action's host. what: e.g. `secrets of host n1`."""
    found = refusals(action)
    if found:
        raise StowageError([Problem(CODE, what, *why) for why in found])


def receives(plan: Mapping[str, Any], node: str) -> bool:
    """True if a step of the plan starts containers with secrets on this node."""
    shares = (step["hosts"][node] for step in plan["steps"] if step["phase"] == "start" and node in step["hosts"])
    templates = (template for share in shares for template in share["services"].values())
    return any(file["kind"] == "secret" for template in templates for file in template.get("files", ()))


def problems(plan: Mapping[str, Any], task_vars: Mapping[str, Any], register: str) -> list[Problem]:
    """What the hosts that would get secrets told when they were observed, hosts of one reason together."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for node in sorted({node for step in plan["steps"] for node in step["hosts"] if receives(plan, node)}):
        result = task_vars["hostvars"].raw_get(node).get(register)
        for reason, fix in (result.get("delivery") or ()) if isinstance(result, Mapping) else ():
            hosts.setdefault((reason, fix), []).append(node)
        stated = task_vars["hostvars"].raw_get(node).get(PERSIST, KEYS[0])
        if "{{" not in str(stated) and stated not in KEYS:
            hosts.setdefault((f"{PERSIST}: {show(stated)} is unknown", f"write one of {', '.join(KEYS)}"), []).append(
                node
            )
    return [Problem(CODE, f"secrets for {', '.join(names)}", *why) for why, names in sorted(hosts.items())]
