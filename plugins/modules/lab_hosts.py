#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module lab_hosts: the hosts of a lab inside the local Docker Engine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lab_hosts
short_description: Makes or removes the hosts of a lab inside the local Docker Engine
version_added: 0.1.0
description:
  - Makes a lab (a Docker network, an image registry, and systemd containers with sshd and their own Docker Engine) what
    it should be - missing hosts are created, stopped ones started, surplus ones removed - and waits until sshd and the
    Docker Engine of every host answer.
  - Everything carries the label C(stowage.lab=<name>), and removal goes by this label.
  - 'Runs on the controller (C(connection: local)).'
options:
  name:
    description: The lab's name. With O(state=absent), empty means every lab.
    type: str
    default: lab
  hosts:
    description: How many hosts, 1 to 10.
    type: int
    default: 3
  subnet:
    description: The lab's network. Empty means the /24 that follows from the name.
    type: str
    default: ""
  node_image:
    description: Image of the hosts. Needed with O(state=present).
    type: str
  registry_image:
    description: Image of the registry. Needed with O(state=present).
    type: str
  public_key:
    description: SSH public key that may log in as root. Needed with O(state=present).
    type: str
  directory:
    description: Where the lab's key and known_hosts file are; goes into the returned inventory.
    type: path
  images:
    description: With O(state=absent), also remove the images built for labs and the registry's content.
    type: bool
    default: false
  timeout:
    description: Seconds that the hosts may take to become ready.
    type: int
    default: 90
  state:
    description: Whether the lab should exist.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - docker (Python)
  - ssh-keygen
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed, when in diff mode.
    support: full
  platform:
    description: Target OS families that can be operated against.
    support: full
    platforms: posix
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Make five hosts
  stowage.fleet.lab_hosts:
    name: try
    hosts: 5
    node_image: stowage-lab/node:0123456789ab
    registry_image: stowage-lab/registry:0123456789ab
    public_key: "{{ lookup('ansible.builtin.file', '.lab/try/id_ed25519.pub') }}"
    directory: /work/.lab/try

- name: Remove them
  stowage.fleet.lab_hosts:
    name: try
    state: absent
"""

RETURN = r"""
steps:
  description: What was done (or would be), in order.
  returned: always
  type: list
  elements: str
  sample: ["create lab-n1", "start lab-n2"]
inventory:
  description: The lab's inventory as data.
  returned: with O(state=present)
  type: dict
known_hosts:
  description: The text of the lab's known_hosts file.
  returned: with O(state=present)
  type: str
registry:
  description: Address of the registry on the controller.
  returned: with O(state=present)
  type: str
  sample: 127.0.0.1:49153
older:
  description: Hosts that run another node image than the one given.
  returned: with O(state=present)
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.lab import client, inventory, known_hosts, layout
from ansible_collections.stowage.fleet.plugins.module_utils.lab.difference import difference
from ansible_collections.stowage.fleet.plugins.module_utils.lab.layout import Layout
from ansible_collections.stowage.fleet.plugins.module_utils.lab.recipes import IMAGE_LABEL

ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "default": "lab"},
    "hosts": {"type": "int", "default": 3},
    "subnet": {"type": "str", "default": ""},
    "node_image": {"type": "str"},
    "registry_image": {"type": "str"},
    "public_key": {"type": "str", "no_log": False},
    "directory": {"type": "path"},
    "images": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 90},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def present(params: dict[str, Any], dry: bool) -> dict[str, Any]:
    """Make the lab what it should be; the module's result."""
    lab = layout(params["name"], params["hosts"], params["subnet"])
    api = client.connect()
    images = {"node": params["node_image"], "registry": params["registry_image"]}
    steps = difference(lab, client.states(client.find(api, lab.name)["containers"]))
    done = [f"{step.verb} {step.container}" for step in steps]
    if dry:
        return {"changed": bool(steps), "steps": done}
    if client.ensure_network(api, lab):
        done.insert(0, f"create network {lab.network} {lab.subnet}")
    for step in steps:
        client.carry_out(api, lab, step, images, params["public_key"])
    client.wait_ready(api, lab.hosts, params["timeout"])
    let_in = client.add_user_key(api, lab.hosts, params["public_key"])
    done += [f"let the controller log in on {name}" for name in let_in]
    return {"changed": bool(done), "steps": done, **_access(api, lab, params)}


def _access(api: Any, lab: Layout, params: dict[str, Any]) -> dict[str, Any]:
    containers = client.find(api, lab.name)["containers"]
    keys = client.host_keys(containers)
    nodes = [entry for entry in containers if entry["Labels"].get("stowage.lab.role") == "node"]
    return {
        "inventory": inventory(lab, keys, params["directory"]),
        "known_hosts": known_hosts(lab, keys),
        "registry": f"127.0.0.1:{client.registry_port(containers)}",
        "older": sorted(e["Labels"]["stowage.lab.host"] for e in nodes if e["Image"] != params["node_image"]),
    }


def absent(params: dict[str, Any], dry: bool) -> dict[str, Any]:
    """Remove one lab or all, and their images if asked; the module's result."""
    api = client.connect()
    done = client.remove_all(api, client.find(api, params["name"]), dry)
    if params["images"]:
        done += client.remove_images(api, IMAGE_LABEL, dry)
    return {"changed": bool(done), "steps": done}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        supports_check_mode=True,
        required_if=[("state", "present", ("node_image", "registry_image", "public_key", "directory"))],
    )
    try:
        with client.only_one():
            result = (present if module.params["state"] == "present" else absent)(module.params, module.check_mode)
    except StowageError as error:
        module.fail_json(msg=str(error), code=error.code, problems=[problem.as_dict() for problem in error.problems])
    if result.get("older"):
        hosts = ", ".join(result["older"])
        module.warn(f"{hosts}: made from an older node image; lab_destroy, then lab, makes them new")
    result["diff"] = {"before": "", "after": "".join(f"{step}\n" for step in result["steps"])}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
