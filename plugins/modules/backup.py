#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Save a volume, or restore it
version_added: 0.1.0
description:
  - One stage of the playbooks C(stowage.fleet.backup) and C(stowage.fleet.restore), see docs/backup.md.
  - V(look) asks a host what it has of the volume and its snapshots; V(decide) checks everything and shows the steps;
    V(work) has one host do its part of one step by M(stowage.fleet.host_backup); V(conclude) says how it ended.
  - Where backups go, and restic's password, are in the inventory variable C(stowage_backup).
options:
  stage:
    description: What to do.
    type: str
    choices: [look, decide, work, conclude]
    required: true
  verb:
    description: Whether the volume is saved or restored.
    type: str
    choices: [backup, restore]
    default: backup
  snapshot:
    description: Identity of the snapshot to restore. Empty is the newest.
    type: str
    default: ''
  host:
    description: The host that it is restored on; of a backup, the host that has it if several do.
    type: str
    default: ''
  port:
    description: The port of the repository's host, on its own address, where it is served for the length of the run.
    type: int
    default: 7948
  confirm:
    description: The volume's name again to restore it. Empty only shows the steps.
    type: str
    default: ''
extends_documentation_fragment: [stowage.fleet.stepping]
attributes:
  check_mode:
    support: full
    description: Nothing is saved or restored; changed says whether it would be.
  diff_mode:
    support: none
    description: The steps are in the text.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: What this host has of the volume
  stowage.fleet.backup:
    stage: look
    run_dir: .stowage
    volume: shop_data
  register: stowage_looked
"""

RETURN = r"""
run_dir:
  description: Directory with the records of this run.
  returned: with the stage decide
  type: str
going:
  description: Whether it is to be done now.
  returned: with the stage decide
  type: bool
deploy:
  description: Whether a deploy must follow, because the volume is on another host than its users.
  returned: with the stage decide
  type: bool
steps:
  description: The steps, each with its id and its hosts; none where nothing is to be done now.
  returned: with the stage decide
  type: list
  elements: dict
"""

# The work is done by the action plugin of the same name.
