#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One host's share of one step: glue over engine.apply."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_apply
short_description: Carry out one host's share of a plan's step
description:
  - Does everything that one step of a plan has for this host in one call, in parallel inside, under the host's lock.
  - Called by M(stowage.fleet.carry_out). The shapes of shares are in docs/architecture.md.
  - Refusals are no failures - they come back in RV(problems), so that the caller decides what stops.
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later, docker SDK for Python 5.0 or later]
extends_documentation_fragment: [stowage.fleet.run]
attributes:
  check_mode:
    support: full
    description: Touches nothing, not even the lock, and says what would change.
  diff_mode:
    support: none
    description: The plan is the difference; it is shown before this module runs.
options:
  run:
    required: true
  phase:
    description: What to do.
    type: str
    choices: [prepare, start, endpoints, stop, remove, revive, release]
    required: true
  share:
    description: The host's part of the step.
    type: dict
    default: {}
  files:
    description: Contents of configs, base64 by digest.
    type: dict
    default: {}
  patience:
    description:
      - Seconds that phase V(prepare) waits for images. If some are still on their way then, RV(pulling) says how far
        they are, and the caller calls again. V(0) waits until they are there.
    type: float
    default: 0
  secrets:
    description: Values of secrets, base64 by digest. They are written to memory only.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Give the lock of a run back
  stowage.fleet.host_apply:
    run:
      id: 20261123T010203Z-a1b2c3
      holder: anna@desk
    phase: release

- name: Stop two containers after two seconds of drain
  stowage.fleet.host_apply:
    run:
      id: 20261123T010203Z-a1b2c3
      holder: anna@desk
    phase: stop
    share:
      fleet: production
      drain: 2
      tasks:
        - {name: shop_web.1.3fa94c21, grace: 10}
        - {name: shop_web.2.77b0aa10, grace: 10}
"""

RETURN = r"""
phase:
  description: What was asked for.
  returned: always
  type: str
  sample: start
tasks:
  description:
    - What became of each task. In phase start with ok, state, health, seconds, error, the last log lines, and restored
      if a predecessor was started again.
  returned: always
  type: list
  elements: dict
  sample: [{name: shop_web.1.3fa94c21, service: shop_web, slot: "1", node: n1, ip: 10.128.0.2, ok: true}]
stopped:
  description: What was drained and stopped beside a start or a removal.
  returned: when the share has a part RV(ignore:stop)
  type: list
  elements: dict
  sample: [{name: shop_web.1.77b0aa10, service: shop_web, slot: "1"}]
pulled:
  description: Images that were fetched, with their bytes and the seconds that took.
  returned: when phase V(prepare) fetched any
  type: list
  elements: dict
  sample: [{image: "shop/web:1.8", bytes: 41943040, seconds: 3.2}]
pulling:
  description: Images that are still on their way, with the bytes that are here and those in all, as far as known.
  returned: when O(patience) ended before the images were there
  type: list
  elements: dict
  sample: [{image: "shop/web:1.8", done: 20971520, total: 41943040}]
problems:
  description: Refusals and failures that are not a single task's, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
  sample: [{code: STW-LOCKED, place: host, reason: "locked by anna@desk", fix: wait for it}]
seconds:
  description: How long it took.
  returned: always
  type: float
  sample: 1.25
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine import lock
from ansible_collections.stowage.fleet.plugins.module_utils.engine.apply import PHASES, apply

ARGUMENTS = {
    **lock.ARGUMENTS,
    "run": {**lock.ARGUMENTS["run"], "required": True},
    "phase": {"type": "str", "choices": list(PHASES), "required": True},
    "share": {"type": "dict", "default": {}},
    "patience": {"type": "float", "default": 0},
    "files": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(**apply(module.params, check=module.check_mode))


if __name__ == "__main__":
    main()
