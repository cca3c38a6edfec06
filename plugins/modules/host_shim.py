#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The shim that containers mount, and who pulls configuration for them: glue over engine.shim_host, pulled.install."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_shim
short_description: Keep the shim that containers mount
version_added: 0.1.0
description:
  - Puts a copy of a static busybox and a script into C(/usr/local/lib/stowage/shim). Containers of services with
    C(x-stowage.secret_env) or C(x-stowage.config_source) mount that directory and begin with the script;
    docs/secrets.md and docs/configuration.md say what it does.
  - Puts the unit C(stowage-config.service) there, which pulls the configuration of services with
    C(x-stowage.config_source) from their stores when their containers start (docs/configuration.md). It runs on hosts
    that have such containers. It is not put on hosts without systemd.
  - M(stowage.fleet.host_destroy) takes it away with everything else of the fleet.
author: Stowage contributors (@stowage)
options:
  busybox:
    description: Path of a busybox that is linked statically.
    type: path
    default: /bin/busybox
attributes:
  check_mode:
    support: full
    description: Says what would be written and writes nothing. A busybox that is not installed yet is not missed.
  diff_mode:
    support: none
    description: Both files are replaced as a whole.
"""

EXAMPLES = r"""
- name: Keep the shim
  stowage.fleet.host_shim:
"""

RETURN = r"""
changes:
  description: What was done, or would be done in check mode, one line each.
  returned: always
  type: list
  elements: str
  sample: [write /usr/local/lib/stowage/shim/run, write /usr/local/lib/stowage/stowage-config.pyz]
problems:
  description: Why it was refused. Each has code, place, reason and fix.
  returned: on failure
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.engine import shim_host
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.pulled import install

ARGUMENTS = {"busybox": {"type": "path", "default": "/bin/busybox"}}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        changes = shim_host.present(module.params["busybox"], module.check_mode)
        changes += install.present(module.check_mode)
    except StowageError as error:
        module.fail_json(msg=str(error), problems=[problem.as_dict() for problem in error.problems])
    module.exit_json(changed=bool(changes), changes=changes)


if __name__ == "__main__":
    main()
