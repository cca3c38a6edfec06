# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a destruction of a fleet must be told before any host is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import Problem, raise_all, show

VOLUMES = ("keep", "remove")


def confirmed(fleet: Mapping[str, Any], confirm: Any, volumes: Any, hosts: Collection[str], check: bool) -> list[str]:
    """What will be done, as lines for people. hosts: those of this run.

    Raises StowageError: STW-CONFIRM (the fleet's name was not typed; under check nobody needs to), STW-OPTION.
    """
    name, problems = str(fleet["name"]), []
    if volumes not in VOLUMES:
        reason = f"{show(volumes)} is not a choice"
        problems.append(Problem("STW-OPTION", "volumes", reason, "say volumes=keep or volumes=remove"))
    if not check and confirm != name:
        said = f"says {show(confirm)}" if confirm else "is missing"
        fix = f"see what would go with --check; then say -e confirm={name}"
        problems.append(Problem("STW-CONFIRM", "confirm", f"{said}, and the fleet is {name}", fix))
    raise_all(problems)
    known = {str(node["name"]) for node in fleet["nodes"]}
    staying = sorted(known - set(hosts))
    verb = "Would take" if check else "Takes"
    data = "with their volumes and all data in them" if volumes == "remove" else "volumes stay"
    lines = [f"{verb} fleet {name} off {len(known & set(hosts))} of {len(known)} hosts, {data}"]
    if staying:
        shown = ", ".join(staying[:8]) + (f" and {len(staying) - 8} more" if len(staying) > 8 else "")
        lines.append(f"  stay: {shown}; take the others out of the inventory and run stowage.fleet.bootstrap there")
    return lines
