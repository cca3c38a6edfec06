#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Containers of a Compose project on one host, looked at or taken over: glue over engine.adopt."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_adopt
short_description: Look at a Compose project's containers on one host, or take them over while they run
description:
  - With O(mode=look), lists the containers of a Compose project (or of a Swarm stack) and compares each with what the
    stack file would create. Names of environment variables and labels that differ are told, values never.
  - With O(mode=take), takes the named containers over under the host's lock. They are not restarted. Each is compared
    again first; limits and restart policy are changed where they differ; it is connected to the fleet's network with
    the planned address and renamed; its named volumes are claimed; its labels are written to
    C(/var/lib/stowage/adopted.json), last.
  - Installs C(stowage-adopted.service) with the first container, which puts the routes again that a container loses
    when it restarts.
  - Called by M(stowage.fleet.adopt). Refusals are no failures - they come back in RV(problems).
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later, docker SDK for Python 5.0 or later, iproute2, nsenter]
extends_documentation_fragment: [stowage.fleet.run]
attributes:
  check_mode:
    support: full
    description: Touches nothing, not even the lock, and says what would change.
  diff_mode:
    support: none
    description: What would change is in RV(containers) and RV(tasks), in words.
options:
  mode:
    description: Look, or take over.
    type: str
    choices: [look, take]
    default: look
  share:
    description:
      - With V(look), C(fleet), C(domain), C(stack), C(project), C(node) and C(services), by their short names.
      - With V(take), C(fleet), C(domain), C(services) by spec digest, C(volumes) and C(tasks), each with the id of its
        container.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Which containers of the project shop are what the stack file says
  stowage.fleet.host_adopt:
    share:
      fleet: production
      domain: fleet
      stack: shop
      project: shop
      node: n1
      services: {}
"""

RETURN = r"""
containers:
  description: The project's containers, each with its differences; with O(mode=look).
  returned: always
  type: list
  elements: dict
  sample: [{id: 5d41402abc, name: shop_web_1, kind: compose, service: web, number: 1, state: running, differences: []}]
projects:
  description: Names of all Compose projects and Swarm stacks on the host.
  returned: with O(mode=look)
  type: list
  elements: str
names:
  description: Every container name and its id.
  returned: with O(mode=look)
  type: dict
tasks:
  description: What was done to each container, in words; nothing where it was done before.
  returned: always
  type: list
  elements: dict
  sample: [{name: shop_web.1.3fa94c21, service: shop_web, slot: "1", done: [address 10.128.0.2, record]}]
problems:
  description: Refusals, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 0.4
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine import lock
from ansible_collections.stowage.fleet.plugins.module_utils.engine.adopt import adopt

ARGUMENTS = {
    **lock.ARGUMENTS,
    "mode": {"type": "str", "choices": ["look", "take"], "default": "look"},
    "share": {"type": "dict", "required": True},
}


def main() -> None:
    """Parse, call, report."""
    required = [("mode", "take", ["run"])]
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=required, supports_check_mode=True)
    module.exit_json(**adopt(module.params, check=module.check_mode))


if __name__ == "__main__":
    main()
