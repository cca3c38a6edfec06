#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: observe
short_description: Observe one host of the fleet
version_added: 0.1.0
description:
  - Calls M(stowage.fleet.host_state) once on the host. Waits while a module of a run whose controller is proved to be
    gone still works there, so that a new run does not plan on shifting ground.
options:
  fleet:
    description: Name of the fleet.
    type: str
    required: true
  wait:
    description: Seconds to wait at most for an orphaned module.
    type: float
    default: 60.0
extends_documentation_fragment: [stowage.fleet.attributes.reads]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Observe every host
  stowage.fleet.observe:
    fleet: lab
  register: stowage_observed
  ignore_unreachable: true
"""

RETURN = r"""
observation:
  description: The observation, see docs/architecture.md. Null when the engine did not answer.
  returned: always
  type: dict
delivery:
  description: Why values of secrets cannot go to this host, as reason and fix. Empty if they can.
  returned: always
  type: list
  elements: list
problem:
  description: Why there is no observation.
  returned: when the engine did not answer
  type: dict
"""

# The work is done by the action plugin of the same name.
