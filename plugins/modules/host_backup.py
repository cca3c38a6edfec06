#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's part in a backup or a restore: glue over engine.backing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_backup
short_description: Look at a volume and its snapshots on one host, or do one host's part of a backup or a restore
description:
  - With O(mode=look), tells what the host has of a volume, who mounts it, and which snapshots it can see.
  - The other modes are the steps of a backup or a restore. What stops the volume's users starts them again in the same
    call.
  - Called by M(stowage.fleet.backup). Refusals are no failures - they come back in RV(problems).
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later with its command, docker SDK for Python 5.0 or later, restic 0.14, systemd]
extends_documentation_fragment: [stowage.fleet.run]
attributes:
  check_mode:
    support: full
    description: Only O(mode=look) asks the host anything; the others say that they would change it.
  diff_mode:
    support: none
    description: The steps are shown before this module runs.
options:
  mode:
    description: What to do.
    type: str
    choices: [look, key, serve, save, fetch, swap, load, close]
    default: look
  share:
    description: What the mode needs - C(fleet) and C(volume) always; see C(engine/backing.py).
    type: dict
    required: true
  secret:
    description: The repository's C(password), and C(environment) for stores that need more.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: What this host has of a volume
  stowage.fleet.host_backup:
    share: {fleet: production, volume: shop_data}
"""

RETURN = r"""
volume:
  description: The volume - its driver, the names of its options, bytes and files. Null where there is none.
  returned: with O(mode=look)
  type: dict
  sample: {driver: local, options: [], bytes: 1073741824, files: 1210}
claim:
  description: What this host's records say of the volume.
  returned: with O(mode=look)
  type: dict
  sample: {fleet: production, stack: shop, driver: local}
users:
  description: Containers that mount it.
  returned: with O(mode=look)
  type: list
  elements: dict
  sample: [{name: shop_db.1.3fa94c21, service: shop_db, state: running, ours: true}]
snapshots:
  description: Snapshots of the volume, the newest first.
  returned: with O(mode=look), where the repository is asked
  type: list
  elements: dict
  sample: [{id: 4f1c22aa, time: "2026-11-23T14:30:00", host: n1, tags: [kind=files], paths: [/var/lib/docker/x]}]
missing:
  description: Programs that a backup needs and that are not here.
  returned: with O(mode=look)
  type: list
  elements: str
snapshot:
  description: Identity of the snapshot that was made.
  returned: with O(mode=save)
  type: str
stopped:
  description: Seconds for which the users were stopped, until they were healthy again.
  returned: with O(mode=save), O(mode=swap) and O(mode=load)
  type: float
problems:
  description: Refusals, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 0.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine import lock
from ansible_collections.stowage.fleet.plugins.module_utils.engine.backing import LOCKED, MODES, back_up

ARGUMENTS = {
    **lock.ARGUMENTS,
    "mode": {"type": "str", "choices": list(MODES), "default": "look"},
    "share": {"type": "dict", "required": True},
    "secret": {"type": "dict", "default": {}, "no_log": True},
}


def main() -> None:
    """Parse, call, report."""
    required = [("mode", mode, ["run"]) for mode in (*LOCKED, "close")]
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=required, supports_check_mode=True)
    module.exit_json(**back_up(module.params, check=module.check_mode))


if __name__ == "__main__":
    main()
