#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: move_volume
short_description: Move a local volume to another host, with its users
version_added: 0.1.0
description:
  - One stage of the playbook C(stowage.fleet.move_volume), see docs/volumes.md.
  - V(look) asks a host what it has of the volume; V(decide) checks everything and shows the steps; V(work) has one host
    do its part of one step by M(stowage.fleet.host_volume); V(conclude) fails with what went wrong; V(tell) says how
    long the users were stopped.
options:
  stage:
    description: What to do.
    type: str
    choices: [look, decide, work, conclude, tell]
    required: true
  to:
    description: The host that it goes to.
    type: str
    default: ''
  source:
    description: The host that has it; needed only where several have one of this name.
    type: str
    default: ''
  port:
    description: The port of the source, on its own address, where the target fetches the data.
    type: int
    default: 7947
  confirm:
    description: The volume's name again to move it. Empty only shows the steps.
    type: str
    default: ''
extends_documentation_fragment: [stowage.fleet.stepping]
attributes:
  check_mode:
    support: full
    description: Nothing is moved; changed says whether it would be.
  diff_mode:
    support: none
    description: The steps are in the text.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: What this host has of the volume
  stowage.fleet.move_volume:
    stage: look
    run_dir: .stowage
    volume: shop_data
  register: stowage_looked
"""

RETURN = r"""
run_dir:
  description: Directory with the records of this move.
  returned: with the stage decide
  type: str
going:
  description: Whether it is to be done now.
  returned: with the stage decide
  type: bool
steps:
  description: The steps, each with its id and its hosts; none where nothing is to be done now.
  returned: with the stage decide
  type: list
  elements: dict
"""

# The work is done by the action plugin of the same name.
