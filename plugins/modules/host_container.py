#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One system container on a host: glue over engine.system."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_container
short_description: Keep one system container on a host
description:
  - Makes, keeps or removes one container that serves the host itself, such as the ingress. It belongs to no stack.
  - The container is known by its name and a label; one that was made by somebody else is never touched.
  - It is made anew when its definition changes, started when it is stopped, and left alone otherwise.
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later, docker SDK for Python 5.0 or later]
attributes:
  check_mode:
    support: full
    description: Says what would be done and does nothing.
  diff_mode:
    support: full
    description: Shows the definition's digest and the state before and after.
options:
  name:
    description: Name of the container.
    type: str
    required: true
  state:
    description: Whether the container is there (and runs), or not.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: Image reference. Pulled when it is not on the host. Required for O(state=present).
    type: str
  command:
    description: Command and arguments. Without it the image's own command runs.
    type: list
    elements: str
  mounts:
    description: What is mounted. A bind's source must exist.
    type: list
    elements: dict
    default: []
    suboptions:
      type:
        description: Kind of mount.
        type: str
        choices: [bind, volume, tmpfs]
        default: bind
      source:
        description: Absolute path, or name of a volume. Not for V(tmpfs).
        type: str
      target:
        description: Path in the container.
        type: str
        required: true
      read_only:
        description: Whether the container may only read it.
        type: bool
        default: false
  network_mode:
    description: V(host), V(none), V(bridge) or the name of a Docker network.
    type: str
    default: host
  restart:
    description: The Engine's restart policy.
    type: str
    choices: ['no', always, unless-stopped, on-failure]
    default: unless-stopped
  stop_timeout:
    description:
      - Seconds that a running container gets to end by itself when another takes its place. Without it, it is killed.
    type: int
    default: 0
  env:
    description: Environment. Never put secrets here.
    type: dict
    default: {}
  labels:
    description: Labels of the container.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Run Traefik on the ingress hosts
  stowage.fleet.host_container:
    name: stowage-ingress
    image: traefik:v3
    command: [--entrypoints.web.address=:80, --providers.file.directory=/dynamic]
    mounts:
      - source: /var/lib/stowage/traefik/dynamic
        target: /dynamic
        read_only: true

- name: Remove it
  stowage.fleet.host_container:
    name: stowage-ingress
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  returned: always
  type: list
  elements: str
  sample: [pull, create, start]
problems:
  description: Why it was refused. Each has code, place, reason and fix.
  returned: on failure
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine.client import connect
from ansible_collections.stowage.fleet.plugins.module_utils.engine.system import absent, ensure
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError

MOUNT = {
    "type": {"type": "str", "choices": ["bind", "volume", "tmpfs"], "default": "bind"},
    "source": {"type": "str"},
    "target": {"type": "str", "required": True},
    "read_only": {"type": "bool", "default": False},
}
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "image": {"type": "str"},
    "command": {"type": "list", "elements": "str"},
    "mounts": {"type": "list", "elements": "dict", "default": [], "options": MOUNT},
    "network_mode": {"type": "str", "default": "host"},
    "restart": {
        "type": "str",
        "choices": ["no", "always", "unless-stopped", "on-failure"],
        "default": "unless-stopped",
    },
    "stop_timeout": {"type": "int", "default": 0},
    "env": {"type": "dict", "default": {}},
    "labels": {"type": "dict", "default": {}},
}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_if=[("state", "present", ["image"])], supports_check_mode=True
    )
    wanted = module.params
    try:
        engine = connect()
        if wanted["state"] == "absent":
            actions, diff = absent(engine, wanted["name"], module.check_mode)
        else:
            actions, diff = ensure(engine, wanted, module.check_mode)
    except StowageError as error:
        module.fail_json(msg=str(error), problems=[problem.as_dict() for problem in error.problems])
    module.exit_json(changed=bool(actions), actions=actions, diff=diff)


if __name__ == "__main__":
    main()
