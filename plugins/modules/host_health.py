#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's own watch over its containers between runs: glue over health.install."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_health
short_description: Keep a host's own watch over its containers between runs
version_added: 0.1.0
description:
  - Installs and runs the unit C(stowage-health.service). Between runs it takes local containers that died, hang or are
    unhealthy out of this host's names and services' addresses, puts them back when they serve again, and restarts what
    is not alive. docs/health.md says when.
  - It only withholds what C(stowage.fleet.deploy) gave, and knows no other host.
author: Stowage contributors (@stowage)
options:
  state:
    description: Whether the unit is there and runs. With V(absent) all that is withheld is given back.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - systemd
attributes:
  check_mode:
    support: full
    description: Says what would be done and does nothing.
  diff_mode:
    support: none
    description: The program is one file that is replaced as a whole.
"""

EXAMPLES = r"""
- name: Watch the host's containers between runs
  stowage.fleet.host_health:

- name: Leave them alone
  stowage.fleet.host_health:
    state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be done in check mode, one line each.
  returned: always
  type: list
  elements: str
  sample: [write /usr/local/lib/stowage/stowage-health.pyz, start stowage-health.service]
problems:
  description: Why it was refused. Each has code, place, reason and fix.
  returned: on failure
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.health import install

ARGUMENTS = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    work = install.present if module.params["state"] == "present" else install.absent
    try:
        changes = work(module.check_mode)
    except StowageError as error:
        module.fail_json(msg=str(error), problems=[problem.as_dict() for problem in error.problems])
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
