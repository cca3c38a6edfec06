#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Take Stowage off one host: glue over engine.leaving, leftovers and the network room."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_destroy
short_description: Take Stowage off one host
version_added: 0.1.0
description:
  - Removes the fleet's containers, the ingress, Docker networks, units (C(stowage-*) and the mounts of storage
    classes), FRR's configuration if it is ours, devices, routes, nftables tables and rules, and our directories.
  - Volumes stay unless told otherwise. What belongs to others is not touched - Docker and its settings, images,
    installed packages, other containers and tables. Data in storage classes stays where it is.
  - Refuses while another run works on the host (C(STW-LOCKED)), a host of another fleet (C(STW-CLAIM)), and
    containers of others on the fleet's Docker networks (C(STW-DESTROY)), before anything is changed.
options:
  fleet:
    description: The fleet's name.
    type: str
    required: true
  volumes:
    description:
      - Whether the fleet's volumes go, with all data in them. As long as they stay, so does
        C(/var/lib/stowage/volumes.json), which says which copies of them count.
    type: str
    choices: [keep, remove]
    default: keep
requirements:
  - docker SDK for Python 5.0 or later where a Docker Engine is installed
attributes:
  check_mode:
    support: full
    description: Names what would go and changes nothing.
  diff_mode:
    support: full
    description: One line per object that goes.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Take Stowage off the host
  stowage.fleet.host_destroy:
    fleet: production
  diff: true
"""

RETURN = r"""
changes:
  description: What was removed, or would be, one line each.
  returned: success
  type: list
  elements: str
  sample: [remove container shop_web.1.3fa94c21, remove device stwvx0, remove directory /etc/stowage]
problems:
  description: Why it was refused, as C(code), C(place), C(reason) and C(fix).
  returned: on refusal
  type: list
  elements: dict
"""

import contextlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils import leftovers
from ansible_collections.stowage.fleet.plugins.module_utils.engine import leaving, lock
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import Engine, EngineError
from ansible_collections.stowage.fleet.plugins.module_utils.engine.host import Paths, read_json
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError, show
from ansible_collections.stowage.fleet.plugins.module_utils.network import converge, frr_host, host

ARGUMENTS = {
    "fleet": {"type": "str", "required": True},
    "volumes": {"type": "str", "choices": ["keep", "remove"], "default": "keep"},
}


def refuse(paths: Paths, fleet: str) -> None:
    """Refuse a host that is not this fleet's, one that a run works on, and what could not be removed."""
    held = (read_json(paths.network).get("table") or {}).get("fleet", fleet)
    if held != fleet:
        reason = f"belongs to fleet {show(held)}, not to {show(fleet)}"
        raise StowageError(Problem("STW-CLAIM", "host", reason, "run the destruction of that fleet"))
    lock.refuse_other(paths, {"id": ""})
    leftovers.refuse_mounted()


def take_off(engine: Engine | None, fleet: str, keep: bool, check: bool) -> list:
    """Remove everything, in the order in which nothing misses what is gone already."""
    directories = leftovers.trees(keep)
    changes = []
    found = leaving.holdings(engine, fleet) if engine else None
    if found:
        leaving.refuse_strangers(found)
    changes += leftovers.stop_units(leftovers.units(), check)
    if engine and found:
        changes += leaving.remove(engine, found, not keep, check)
    changes += leftovers.unmount(check)
    changes += frr_host.remove(check)
    changes += host.disable_unit(check)
    changes += converge.clear(check)
    changes += [f"remove {path}" for path in host.remove(check) if not path.startswith(tuple(directories))]
    changes += leftovers.remove_trees(directories, keep, check)
    leftovers.forget_units(check)
    return changes


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    paths, fleet = Paths(), module.params["fleet"]
    held = module.check_mode or not os.path.isdir(paths.run)
    try:
        with contextlib.nullcontext() if held else lock.working(paths):
            refuse(paths, fleet)
            keep = module.params["volumes"] == "keep"
            changes = take_off(leaving.open_engine(), fleet, keep, module.check_mode)
    except StowageError as error:
        module.fail_json(msg=str(error), problems=[problem.as_dict() for problem in error.problems])
    except (converge.NetworkError, EngineError, OSError) as error:
        fix = "mend it on the host, then run again: what is gone already is not asked for"
        refusal = StowageError(Problem("STW-DESTROY", "host", show(str(error)), fix))
        module.fail_json(msg=str(refusal), problems=[problem.as_dict() for problem in refusal.problems])
    result = {"changed": bool(changes), "changes": changes}
    if changes:
        result["diff"] = {"prepared": "".join(f"{line}\n" for line in changes)}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
