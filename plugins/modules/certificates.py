#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: certificates
short_description: Have an ingress host serve the certificates of the inventory
version_added: 0.1.0
description:
  - Reads C(stowage_certificates) on the controller, in memory, and refuses what cannot be served (a key of another
    certificate, one that has expired, one without host names).
  - Sends the host the pairs that it lacks by M(stowage.fleet.host_certificates), and has it remove those that are not
    wanted any more. Keys are sent over pipelined connections only.
  - Used by the playbooks stowage.fleet.deploy and stowage.fleet.plan, on the hosts of the group C(stowage_ingress).
options:
  source:
    description:
      - Which certificates. V(acme) are those of M(stowage.fleet.issue); with them goes the route by which an ingress
        host forwards challenges to the issuer.
    type: str
    choices: [inventory, acme]
    default: inventory
  issued:
    description: Name under which the issuer's result was registered.
    type: str
    default: stowage_issued
attributes:
  check_mode:
    support: full
    description: Compares, and says what would change.
  diff_mode:
    support: full
    description: Shows names and last days of certificates that change, never a key.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Deliver the certificates
  stowage.fleet.certificates:
  when: inventory_hostname in groups['stowage_ingress']
"""

RETURN = r"""
lines:
  description: What changed, for people.
  returned: success
  type: list
  elements: str
  sample: ["n1: certificate shop.example: expires 2027-02-21, changes"]
"""

# The work is done by the action plugin of the same name.
