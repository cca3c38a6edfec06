#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: carry_out
short_description: Carry out one step of a run on this host
version_added: 0.1.0
description:
  - Sends the host its share of the step by one call of M(stowage.fleet.host_apply) and keeps the result for
    M(stowage.fleet.gate). Used by the playbook stowage.fleet.deploy.
options:
  run_dir:
    description: Directory of the run, from M(stowage.fleet.plan).
    type: path
    required: true
  part:
    description: Which steps O(step) counts in.
    type: str
    choices: [plan, rollback, release]
    default: plan
  step:
    description: The step.
    type: int
    default: 0
extends_documentation_fragment: [stowage.fleet.attributes.steps]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Carry out the first step
  stowage.fleet.carry_out:
    run_dir: "{{ stowage_planned.run_dir }}"
    step: 0
  ignore_unreachable: true
"""

RETURN = r"""
tasks:
  description: What was done for each container.
  returned: when the step was carried out
  type: list
  elements: dict
problems:
  description: Refusals and failures, each with code, place, reason and fix.
  returned: when the step was carried out
  type: list
  elements: dict
"""

# The work is done by the action plugin of the same name.
