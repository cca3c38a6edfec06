#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bake one image on this host: glue over engine.bake."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_bake
short_description: Bake one image and push it
description:
  - Builds an image from a base with files, variables and labels inside, and pushes it. An image that the registry has
    already under this tag is taken as it is.
  - Called by M(stowage.fleet.bake). Refusals are no failures - they come back in RV(problems).
author: Stowage contributors (@stowage)
version_added: 0.1.0
requirements: [Docker Engine 20.10 or later, docker SDK for Python 5.0 or later]
attributes:
  check_mode:
    support: full
    description: Builds, pulls and pushes nothing; says whether it would.
  diff_mode:
    support: none
    description: The lock file of the caller is the difference.
options:
  image:
    description: Repository and tag that the image gets.
    type: str
    required: true
  base:
    description: The image that it is made from.
    type: str
    required: true
  files:
    description: Contents of files, base64 by their path in the image.
    type: dict
    default: {}
  environment:
    description: Variables of the image.
    type: dict
    default: {}
  labels:
    description: Labels of the image.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Bake an image
  stowage.fleet.host_bake:
    image: registry:5000/shop/web:0123456789abcdef
    base: registry:5000/shop/web:1.8
    files: {/etc/app/app.yml: "bGV2ZWw6IGluZm8K"}
"""

RETURN = r"""
digest:
  description: The digest that the registry has the image under.
  returned: always
  type: str
  sample: sha256:0123
problems:
  description: Refusals, each with code, place, reason and fix.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine.bake import bake

ARGUMENTS = {
    "image": {"type": "str", "required": True},
    "base": {"type": "str", "required": True},
    "files": {"type": "dict", "default": {}},
    "environment": {"type": "dict", "default": {}},
    "labels": {"type": "dict", "default": {}},
}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    module.exit_json(**bake(module.params, check=module.check_mode))


if __name__ == "__main__":
    main()
