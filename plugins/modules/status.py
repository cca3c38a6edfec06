#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Show what is wanted, what runs, where, and whether it is healthy
version_added: 0.1.0
description:
  - Reads the inventory, the stack files and the registered results of M(stowage.fleet.observe).
options:
  observed:
    description: Name under which the observations were registered.
    type: str
    default: stowage_observed
  view:
    description:
      - What is shown - V(services), or V(network), which is hosts, blocks, ways between them, sessions, drift, and
        who may reach whom.
    type: str
    choices: [services, network]
    default: services
  network:
    description: Name under which the results of M(stowage.fleet.host_network) with C(state=status) were registered.
    type: str
    default: stowage_network_told
  save_to:
    description: File to save the status in, as JSON.
    type: path
extends_documentation_fragment: [stowage.fleet.attributes.reads]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Show the status
  stowage.fleet.status:
    save_to: status.json
  run_once: true
"""

RETURN = r"""
status:
  description:
    - Services with wanted, running and healthy tasks; nodes; locks.
    - With O(view=network) also C(network), described in docs/network.md; its C(picture) is SVG text.
  returned: success
  type: dict
"""

# The work is done by the action plugin of the same name.
