#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: adopt
short_description: Take over containers that docker compose started, without restarting them
version_added: 0.1.0
description:
  - One stage of the playbook C(stowage.fleet.adopt), see docs/adopt.md.
  - V(begin) reads the stack files and checks what is asked for; V(look) calls M(stowage.fleet.host_adopt) on a host;
    V(decide) shows what becomes of every container; V(take) has one host's containers taken over; V(prove) plans from
    what is observed then, and fails if anything that was taken over would still change.
options:
  stage:
    description: What to do.
    type: str
    choices: [begin, look, decide, take, prove]
    required: true
  run_dir:
    description:
      - With V(begin), the directory on the controller for the records of runs.
      - With the others, the directory that V(begin) returned.
    type: path
    required: true
  stack:
    description: The stack whose file says what the containers are.
    type: str
    default: ''
  project:
    description: The Compose project that the containers run in. The stack's name if empty.
    type: str
    default: ''
  confirm:
    description: The stack's name again to take the containers over. Empty only shows.
    type: str
    default: ''
  partial:
    description: Take over those that match although others do not.
    type: raw
    default: false
  observed:
    description: Name under which the observations were registered.
    type: str
    default: stowage_observed
  surveyed:
    description: Name under which the results of V(look) were registered.
    type: str
    default: stowage_surveyed
  taken:
    description: Name under which the results of V(take) were registered.
    type: str
    default: stowage_taken
attributes:
  check_mode:
    support: full
    description: Nothing is taken over; changed says whether something would be.
  diff_mode:
    support: none
    description: What would change is in the text.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Read what is asked for
  stowage.fleet.adopt:
    stage: begin
    run_dir: .stowage
    stack: shop
  register: stowage_adopting
  run_once: true
"""

RETURN = r"""
run_dir:
  description: Directory with the records of this run.
  returned: with the stages begin and decide
  type: str
hosts:
  description: The hosts that have containers to take over now.
  returned: with the stage decide
  type: list
  elements: str
"""

# The work is done by the action plugin of the same name.
