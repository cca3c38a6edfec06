#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's part in moving a volume: glue over engine.moving."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_volume
short_description: Look at a volume on one host, or do one host's part of moving it
description:
  - With O(mode=look), tells what the host has of a volume, who mounts it, and whether it could take a copy.
  - The other modes are the steps of a move, in the order of the choices. The data goes from host to host by rsync
    through an sshd of its own, which serves only the volume's directory, read-only, to one key that lives for the
    length of the move.
  - Called by M(stowage.fleet.move_volume). Refusals are no failures - they come back in RV(problems).
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later, docker SDK for Python 5.0 or later, rsync 3.2 or later, OpenSSH, systemd]
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
    choices: [look, open, serve, seed, seal, ready, verify, commit, retire, undo, close]
    default: look
  share:
    description: What the mode needs - C(fleet) and C(volume) always; see C(engine/moving.py).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: What this host has of a volume
  stowage.fleet.host_volume:
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
free:
  description: Free bytes on the Engine's disk.
  returned: with O(mode=look)
  type: int
missing:
  description: Programs that a move needs and that are not here.
  returned: with O(mode=look)
  type: list
  elements: str
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
from ansible_collections.stowage.fleet.plugins.module_utils.engine.moving import LOCKED, MODES, move

ARGUMENTS = {
    **lock.ARGUMENTS,
    "mode": {"type": "str", "choices": list(MODES), "default": "look"},
    "share": {"type": "dict", "required": True},
}


def main() -> None:
    """Parse, call, report."""
    required = [("mode", mode, ["run"]) for mode in (*LOCKED, "close")]
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=required, supports_check_mode=True)
    module.exit_json(**move(module.params, check=module.check_mode))


if __name__ == "__main__":
    main()
