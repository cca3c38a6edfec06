#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: export
short_description: Write the stacks back as stack files that Docker's command line takes
version_added: 0.1.0
description:
  - Reads the inventory and its stack files, and writes each stack as one file with all variables filled in, includes,
    extends and overlays put together. C(docker stack deploy) and M(stowage.fleet.plan) take it.
  - What Swarm's schema does not know stands under C(x-stowage.compose) of its service, and is named in RV(notes).
  - Values of secrets are not copied; a secret's C(file) stays the path it was. No host is contacted.
options:
  to:
    description:
      - Directory on the controller. Each stack becomes C(<to>/<stack>/stack.yml), with C(configs/) beside it
        for configs whose content stands in the stack file.
    type: path
    required: true
  stacks:
    description: Names of the stacks (list or comma-separated); all if not stated.
    type: raw
attributes:
  check_mode:
    support: full
    description: Says whether a file would be written.
  diff_mode:
    support: none
    description: The files are new; compare them with yours.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Write the stack shop as Docker would read it
  stowage.fleet.export:
    to: /tmp/exported
    stacks: [shop]
  run_once: true
"""

RETURN = r"""
written:
  description: Paths of the files that were written or are already so.
  returned: success
  type: list
  elements: str
notes:
  description: What Swarm will not do of each service.
  returned: success
  type: list
  elements: str
"""

# The work is done by the action plugin of the same name.
