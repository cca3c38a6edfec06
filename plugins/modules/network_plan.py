#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: network_plan
short_description: Give every host of the fleet its block of container addresses
version_added: 0.1.0
description:
  - Runs on the controller only. Takes the inventory and what M(stowage.fleet.host_network) observed, and returns the
    fleet table, which is the same for every host.
  - A block that a host claims is kept for ever. A host that did not answer keeps the block that the others know.
  - Refuses, before anything is changed, two hosts with one claim, a claim of another fleet, and a network that overlaps
    one that a host already knows.
options:
  observed:
    description: Name of the variable that the results of M(stowage.fleet.host_network) were registered as.
    type: str
    required: true
  keys:
    description: Name of the variable that holds each host's result of M(stowage.fleet.host_network) with V(keyed).
    type: str
extends_documentation_fragment: [stowage.fleet.attributes.reads]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Plan the fleet's blocks
  stowage.fleet.network_plan:
    observed: __network_observed
  run_once: true
  register: __network_planned
"""

RETURN = r"""
table:
  description: The fleet table, see docs/network.md.
  returned: success
  type: dict
silent:
  description: Hosts that gave no observation.
  returned: success
  type: list
  elements: str
"""

# The work is done by the action plugin of the same name.
