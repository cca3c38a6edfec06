#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: store
short_description: Look at and configure the fleet's own etcd
version_added: 0.1.0
description:
  - Runs on the controller and asks the members of group C(stowage_store) over HTTPS. The role
    P(stowage.fleet.store#role) runs them.
  - With O(stage=check) it refuses (C(STW-STORE)) what the role cannot do, before any host is touched.
  - With O(stage=configure) it makes root and the users of C(stowage_store_users), each with a role of its own for its
    prefixes, and turns authentication on. Users and roles that are not stated stay.
options:
  stage:
    description: What to do.
    type: str
    required: true
    choices: [check, configure]
attributes:
  check_mode:
    support: full
    description: Says what would change. Of a store that does not answer it takes everything as missing.
  diff_mode:
    support: full
    description: Users and rights before and after, without passwords.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Write users and rights
  stowage.fleet.store:
    stage: configure
  run_once: true
"""

RETURN = r"""
changes:
  description: What was done, or would be done in check mode, one line each.
  returned: with O(stage=configure)
  type: list
  elements: str
  sample: [make user shop, let shop read /cfg/prod/shop/]
"""

# The work is done by the action plugin of the same name.
