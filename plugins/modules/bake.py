#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: bake
short_description: Bake the images that stack files ask for, and note their digests
version_added: 0.1.0
description:
  - Finds every C(x-stowage.bake) of the inventory's stacks, has the host of the task make and push what is not in the
    lock file C(baked.lock.json) beside the inventory, and writes the digests there. See docs/configuration.md.
options: {}
attributes:
  check_mode:
    support: full
    description: Nothing is baked; changed says whether anything would be.
  diff_mode:
    support: full
    description: The lock file.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Bake on the first host
  stowage.fleet.bake:
  run_once: true
"""

RETURN = r"""
images:
  description: Digests of the images that the stacks ask for, by repository and tag.
  returned: success
  type: dict
  sample: {"registry:5000/shop/web:0123456789abcdef": "sha256:..."}
"""

# The work is done by the action plugin of the same name.
