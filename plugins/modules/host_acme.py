#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates by ACME on the issuer: glue over discovery.issuing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_acme
short_description: Ask for certificates by ACME, and read those that are there
version_added: 0.1.0
description:
  - Runs lego on the ingress host that is the issuer, once per certificate that is due, and gives back all pairs of
    certificate and key. Called by M(stowage.fleet.issue); set C(no_log) where you call it yourself.
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: The action that calls it says what is due.
options:
  names:
    description: The first name of every certificate.
    type: list
    elements: str
    required: true
  orders:
    description: What is due.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The certificate's first name.
        type: str
        required: true
      command:
        description: Program and arguments that ask for it.
        type: list
        elements: str
        required: true
  ca_file:
    description: File with the certificate by which the ACME server is known; for private ones.
    type: str
    default: ''
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Read a certificate
  stowage.fleet.host_acme:
    names: [shop.example]
  no_log: true
"""

RETURN = r"""
pairs:
  description: Certificate and key by the certificate's first name, PEM.
  returned: always
  type: dict
problems:
  description: What was not issued, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.issuing import issue, stored

ORDER = {
    "name": {"type": "str", "required": True},
    "command": {"type": "list", "elements": "str", "required": True},
}
ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "required": True},
    "orders": {"type": "list", "elements": "dict", "default": [], "options": ORDER},
    "ca_file": {"type": "str", "default": ""},
}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    orders = [] if module.check_mode else given["orders"]
    problems = issue(orders, given["ca_file"]) if orders else []
    pairs = stored(given["names"])
    told = [problem.as_dict() for problem in problems]
    module.exit_json(changed=len(problems) < len(orders), pairs=pairs, problems=told)


if __name__ == "__main__":
    main()
