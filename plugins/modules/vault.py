#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: vault
short_description: Initialize, open and configure the fleet's own OpenBao
version_added: 0.1.0
description:
  - Runs on the controller and asks the store at C(stowage_vault.address) over HTTPS. The role
    P(stowage.fleet.vault#role) runs the server.
  - With O(stage=check) it refuses (C(STW-VAULT)) what the role cannot do, before any host is touched.
  - With O(stage=initialize) it initializes and opens a new store. Key shares and root token go into one new file of the
    controller (C(stowage_vault_keys_file), mode 0600, encrypted by Ansible Vault if the run has a password).
  - With O(stage=unseal) it opens a sealed store by the shares of that file.
  - With O(stage=configure) it makes the key/value store, the policies to plan, to deploy, to write, and of each
    service, and the AppRoles to deploy and to plan. It takes E(BAO_TOKEN), else the root token. What else the store
    has, stays.
  - With O(stage=secret_id) it writes a wrapped secret id that is good for one login within ten minutes into O(to).
options:
  stage:
    description: What to do.
    type: str
    required: true
    choices: [check, initialize, unseal, configure, secret_id]
  to:
    description: The file for O(stage=secret_id), on the controller.
    type: path
  role:
    description: The AppRole of O(stage=secret_id). The fleet's name, which may deploy, if not stated.
    type: str
requirements:
  - hvac
attributes:
  check_mode:
    support: full
    description: Says what would change. Of a store that does not answer it takes everything as missing.
  diff_mode:
    support: full
    description: Policies and roles before and after.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Initialize it, once
  stowage.fleet.vault:
    stage: initialize

- name: Write its policies and roles
  stowage.fleet.vault:
    stage: configure

- name: Let a job deploy once
  stowage.fleet.vault:
    stage: secret_id
    to: /run/ci/wrapped
"""

RETURN = r"""
role_id:
  description: Of the AppRole; not secret.
  returned: with O(stage=secret_id)
  type: str
"""

# The work is done by the action plugin of the same name.
