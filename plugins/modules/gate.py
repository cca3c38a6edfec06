#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Judge a finished step of a run
version_added: 0.1.0
description:
  - Looks at what every host of the step reported, decides whether the run goes on, stops, or rolls back, and keeps
    that in the run directory. A host without a result did not answer. Used by the playbook stowage.fleet.deploy.
options:
  run_dir:
    description: Directory of the run, from M(stowage.fleet.plan).
    type: path
    required: true
  after:
    description: What has just ended.
    type: str
    choices: [step, plan, rollback, release]
    default: step
  part:
    description: Which steps O(step) counts in.
    type: str
    choices: [plan, rollback]
    default: plan
  step:
    description: The step that ended.
    type: int
    default: 0
extends_documentation_fragment: [stowage.fleet.attributes.steps]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Judge the first step
  stowage.fleet.gate:
    run_dir: "{{ stowage_planned.run_dir }}"
    step: 0
  run_once: true
"""

RETURN = r"""
steps:
  description: The steps of the rollback, if one is due.
  returned: after the last step
  type: list
  elements: dict
"""

# The work is done by the action plugin of the same name.
