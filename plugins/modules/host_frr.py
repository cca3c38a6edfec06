#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One host's FRR: glue over the network room."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_frr
short_description: Observe or converge one host's FRR
version_added: 0.1.0
description:
  - With O(state=present) it has FRR run what the fleet table of M(stowage.fleet.network_plan) means for this host. A
    running FRR reloads, and sessions that stay are not ended. What was changed in FRR by hand is found and undone.
  - With O(state=observed) it says how the host's sessions are, and changes nothing.
  - With O(state=absent) it ends the sessions, waits until their routes are gone, and stops FRR. It touches nothing
    where FRR is not configured by it.
  - It refuses a host whose FRR is configured by somebody else.
options:
  state:
    description: What to do.
    type: str
    choices: [observed, present, absent]
    default: present
  name:
    description: Name of this host in the fleet. Required for O(state=present).
    type: str
  table:
    description: The fleet table, as M(stowage.fleet.network_plan) returns it. Required for O(state=present).
    type: dict
requirements:
  - FRR 8.4 or later with frr-pythontools
attributes:
  check_mode:
    support: full
    description: Names what differs and changes nothing.
  diff_mode:
    support: full
    description: The text of the configuration before and after.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Have FRR run the fleet's sessions
  stowage.fleet.host_frr:
    name: "{{ inventory_hostname }}"
    table: "{{ __network_planned.table }}"

- name: See how the host's sessions are
  stowage.fleet.host_frr:
    state: observed
  register: __sessions

- name: End the host's sessions
  stowage.fleet.host_frr:
    state: absent
"""

RETURN = r"""
changes:
  description: What differed, one line each.
  returned: when O(state) is V(present) or V(absent)
  type: list
  elements: str
  sample: [write /etc/frr/frr.conf, "reload FRR's configuration"]
health:
  description:
    - The sessions as C(peer), C(host), C(state), C(prefixes), C(up_seconds) and C(bfd) in C(sessions); those that are
      not established in C(down); the number of BGP routes in the kernel as C(routes).
    - Empty where the host is in no mode with BGP.
  returned: when O(state=observed)
  type: dict
problems:
  description: Why it refused, as C(code), C(place), C(reason) and C(fix).
  returned: on refusal
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.network import converge, frr_host

ARGUMENTS = {
    "state": {"type": "str", "choices": ["observed", "present", "absent"], "default": "present"},
    "name": {"type": "str"},
    "table": {"type": "dict"},
}


def present(module: AnsibleModule) -> dict:
    """Converge; the difference is that of the configuration's text."""
    state = {**module.params["table"], "name": module.params["name"]}
    before, after = frr_host.text(), frr_host.wanted(state)
    changes = frr_host.apply(state, module.check_mode)
    result = {"changed": bool(changes), "changes": changes}
    if before != after:
        heads = {"before_header": frr_host.CONF, "after_header": frr_host.CONF}
        result["diff"] = {"before": before, "after": after, **heads}
    elif changes:
        result["diff"] = {"prepared": "".join(f"{line}\n" for line in changes)}
    return result


def absent(module: AnsibleModule) -> dict:
    """End the sessions."""
    changes = frr_host.remove(module.check_mode)
    diff = {"diff": {"prepared": "".join(f"{line}\n" for line in changes)}} if changes else {}
    return {"changed": bool(changes), "changes": changes, **diff}


def observed(module: AnsibleModule) -> dict:
    """How the sessions are."""
    return {"changed": False, "health": frr_host.bgp_health(converge.load_state())}


def main() -> None:
    """Parse, call, report."""
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_if=[("state", "present", ("name", "table"))],
        supports_check_mode=True,
    )
    work = {"observed": observed, "present": present, "absent": absent}[module.params["state"]]
    try:
        result = work(module)
    except (converge.NetworkError, OSError) as error:
        refusal = StowageError(Problem("STW-BGP", "the host's FRR", str(error), "see docs/network.md, section BGP"))
        module.fail_json(msg=str(refusal), problems=[problem.as_dict() for problem in refusal.problems])
    module.exit_json(**result)


if __name__ == "__main__":
    main()
