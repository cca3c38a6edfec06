#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates on one ingress host: glue over discovery.certified."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_certificates
short_description: Keep pairs of certificate and key on an ingress host
version_added: 0.1.0
description:
  - Writes the pairs that are missing, named by their digests, for root alone; then the file by which Traefik serves
    them, by one rename; waits until Traefik does; then removes pairs that are not wanted any more. Traefik is not
    restarted.
  - Called by M(stowage.fleet.certificates).
attributes:
  check_mode:
    support: full
    description: Compares, and changes nothing.
  diff_mode:
    support: none
    description: The action that calls it shows the difference.
options:
  wanted:
    description: What Traefik shall serve.
    type: dict
    required: true
    suboptions:
      source:
        description: Where the certificates come from; each source has files of its own.
        type: str
        choices: [inventory, acme]
        default: inventory
      text:
        description: Traefik's file; without it there is none.
        type: str
      generation:
        description: What the file's fence is named by.
        type: str
        default: ''
      digests:
        description: Digests of the pairs.
        type: list
        elements: str
        default: []
      port:
        description: Traefik's port on loopback where the fence is.
        type: int
        default: 8090
  pairs:
    description: Pairs that are missing on the host.
    type: list
    elements: dict
    default: []
    suboptions:
      digest:
        description: Its name.
        type: str
        required: true
      certificate:
        description: The certificate and its chain, PEM.
        type: str
        required: true
      key:
        description: The private key, PEM.
        type: str
        required: true
  look:
    description: Only compare.
    type: bool
    default: false
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Serve no certificate of the inventory any more
  stowage.fleet.host_certificates:
    wanted:
      source: inventory
"""

RETURN = r"""
missing:
  description: Digests of pairs that were not on the host.
  returned: always
  type: list
  elements: str
surplus:
  description: Digests of pairs that were on the host and are not wanted.
  returned: always
  type: list
  elements: str
fence:
  description: Which generation Traefik serves, and after how many seconds.
  returned: always
  type: dict
problems:
  description: Why Traefik does not serve them, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.certified import deliver

WANTED = {
    "source": {"type": "str", "choices": ["inventory", "acme"], "default": "inventory"},
    "text": {"type": "str"},
    "generation": {"type": "str", "default": ""},
    "digests": {"type": "list", "elements": "str", "default": []},
    "port": {"type": "int", "default": 8090},
}
PAIR = {
    "digest": {"type": "str", "required": True},
    "certificate": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": True},
}
ARGUMENTS = {
    "wanted": {"type": "dict", "required": True, "options": WANTED},
    "pairs": {"type": "list", "elements": "dict", "default": [], "options": PAIR},
    "look": {"type": "bool", "default": False},
}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    result = deliver(given["wanted"], given["pairs"], check=given["look"] or module.check_mode)
    result["problems"] = [problem.as_dict() for problem in result["problems"]]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
