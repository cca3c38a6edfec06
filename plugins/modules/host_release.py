#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Records of releases that a host keeps: glue over engine.releases."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_release
short_description: Read records of releases from a host
version_added: 0.1.0
description:
  - Every deploy that ends well leaves on each host a record of what its stacks are, without any value of a secret.
    This module reads them back for the playbook stowage.fleet.rollback.
options:
  wanted:
    description: Names of records by stack, as M(stowage.fleet.find_releases) found them.
    type: dict
    required: true
extends_documentation_fragment: [stowage.fleet.attributes.reads]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Read a record
  stowage.fleet.host_release:
    wanted:
      shop: [20261123T091230Z-3f2a9c0d11aa-77b0aa10c1d2.json]
  register: stowage_records
"""

RETURN = r"""
records:
  description: Each record with its stack, name and text (JSON).
  returned: always
  type: list
  elements: dict
problems:
  description: Records that could not be read, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine.host import Paths
from ansible_collections.stowage.fleet.plugins.module_utils.engine.releases import read


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec={"wanted": {"type": "dict", "required": True}}, supports_check_mode=True)
    records, problems = read(Paths(), module.params["wanted"])
    module.exit_json(changed=False, records=records, problems=[problem.as_dict() for problem in problems])


if __name__ == "__main__":
    main()
