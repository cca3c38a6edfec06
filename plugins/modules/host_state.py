#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one host holds, as one compact record: glue over engine.observe."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_state
short_description: Observe one host of the fleet
description:
  - Returns the fleet's containers, all named volumes, ports in use, capacity, network claim,
    endpoints and lock of a host.
  - Asks the Docker Engine three times, however many containers there are, and changes nothing.
  - A host whose Docker Engine does not answer is no failure but unknown; RV(observation) is null then.
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later, docker SDK for Python 5.0 or later]
extends_documentation_fragment: [stowage.fleet.attributes.reads]
options:
  fleet:
    description: Name of the fleet. Containers with other labels are strangers.
    type: str
    required: true
  definitions:
    description: Stacks of which the host shall tell what was deployed of them the last time.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Observe every host
  stowage.fleet.host_state:
    fleet: production
  register: stowage_observed
"""

RETURN = r"""
observation:
  description: The host's record, in the shape of docs/architecture.md; null if the host is unknown.
  returned: always
  type: dict
  sample: {schema: 1, node: n1, capacity: {cpus: 2, memory: 8000000000}, containers: [], digest: 5d41402abc}
problem:
  description: Why the host is unknown, with code, place, reason and fix; null if it is known.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine.observe import observe_host


def main() -> None:
    """Parse, call, report."""
    arguments = {
        "fleet": {"type": "str", "required": True},
        "definitions": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    module.exit_json(changed=False, **observe_host(module.params["fleet"], stacks=module.params["definitions"]))


if __name__ == "__main__":
    main()
