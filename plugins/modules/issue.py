#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: issue
short_description: Issue or renew on this host the certificates that are due
version_added: 0.1.0
description:
  - Reads C(stowage_acme), says which certificates are due (none there, other names, few days left), and has lego ask
    for them on this host by M(stowage.fleet.host_acme).
  - The result holds keys, in memory, for M(stowage.fleet.certificates). Set C(no_log) on the task. What was issued, or
    why not, is told line by line all the same.
options:
  read:
    description: Only read what is there.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what is due and asks for nothing.
  diff_mode:
    support: none
    description: The lines say what is due.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Ask for what is due
  stowage.fleet.issue:
  register: stowage_issued
  no_log: true
  when: inventory_hostname == stowage_acme.issuer
"""

RETURN = r"""
pairs:
  description: Certificate and key by the certificate's first name, PEM.
  returned: success
  type: dict
problems:
  description: What was not issued, each with code, place, reason and fix.
  returned: success
  type: list
  elements: dict
"""

# The work is done by the action plugin of the same name.
