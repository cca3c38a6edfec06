#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: find_releases
short_description: Find the records of releases that a rollback needs
version_added: 0.1.0
description:
  - Reads the registered results of M(stowage.fleet.observe) and says which host has which record.
    Used by the playbook stowage.fleet.rollback. No host is contacted.
options:
  stack:
    description: The stack that shall go back.
    type: str
    required: true
  to:
    description: The release, or how it begins (4 hex digits or more). If not stated, the newest that is not what runs.
    type: str
    default: ''
  observed:
    description: Name under which the observations were registered.
    type: str
    default: stowage_observed
extends_documentation_fragment: [stowage.fleet.attributes.reads]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Find the releases
  stowage.fleet.find_releases:
    stack: shop
  register: stowage_found
  run_once: true
"""

RETURN = r"""
wanted:
  description: Names of records by host and stack, for M(stowage.fleet.host_release).
  returned: success
  type: dict
  sample: {n1: {shop: [20261123T091230Z-3f2a9c0d11aa-77b0aa10c1d2.json]}}
"""

# The work is done by the action plugin of the same name.
