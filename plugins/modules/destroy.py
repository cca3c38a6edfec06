#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: destroy
short_description: Refuse to take a fleet off its hosts unless its name was typed
version_added: 0.1.0
description:
  - Runs on the controller only. Fails (C(STW-CONFIRM)) unless O(confirm) is the fleet's name, before any host is asked.
    Under check mode nobody needs to confirm.
  - Says how many hosts are meant, and which stay.
options:
  confirm:
    description: The fleet's name, typed by whoever means it.
    type: str
    default: ''
  volumes:
    description: Whether volumes go with the data in them - V(keep) or V(remove).
    type: str
    default: keep
extends_documentation_fragment: [stowage.fleet.attributes.reads]
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Refuse without a confirmation
  stowage.fleet.destroy:
    confirm: "{{ confirm | default('') }}"
  run_once: true
  register: stowage_destroying
"""

RETURN = r"""
fleet:
  description: The fleet's name, for M(stowage.fleet.host_destroy).
  returned: success
  type: str
volumes:
  description: What happens to volumes.
  returned: success
  type: str
"""

# The work is done by the action plugin of the same name.
