#!/usr/bin/python
# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: plan
short_description: Make, show and save the plan, or take up a saved one
version_added: 0.1.0
description:
  - Reads the inventory, the stack files and the registered results of M(stowage.fleet.observe), and makes the plan.
    The same input gives the same plan, byte for byte. No host is contacted.
  - All mistakes of the inventory and of all stack files are reported at once.
options:
  purpose:
    description: With V(deploy), the run is prepared; V(plan) only shows.
    type: str
    choices: [plan, deploy]
    default: plan
  observed:
    description: Name under which the observations were registered.
    type: str
    default: stowage_observed
  save_to:
    description: File to save the plan in, as JSON.
    type: path
  saved:
    description: Take this saved plan instead of making one. Refused (STW-STALE) if its inputs changed.
    type: path
  approved:
    description:
      - Digest of the plan that may be carried out, or its first 8 digits or more. Another plan is refused (STW-STALE).
    type: str
    default: ''
  run_dir:
    description: Directory on the controller for the records of runs.
    type: path
    required: true
  allow_unknown:
    description: Serve the hosts that answered although others did not.
    type: raw
    default: false
  assume_lost:
    description: Hosts (list or comma-separated) whose tasks shall be placed elsewhere.
    type: raw
  recreate_volumes:
    description: Volumes (list or comma-separated) that may be made anew, empty, where they are gone.
    type: raw
  prune_stacks:
    description: Stacks (list or comma-separated) without a stack file that shall be removed.
    type: raw
  rebalance:
    description: Most tasks to move only to even hosts out; or a dict of C(max_moves) and C(stateful).
    type: raw
  promote:
    description: Services (list or comma-separated) whose canary is good, and that shall be updated now.
    type: raw
  abort:
    description: Services (list or comma-separated) whose canary shall go, and that stay what they are.
    type: raw
  retry:
    description: Services (list or comma-separated) whose canary was aborted, and shall begin again.
    type: raw
  explain:
    description: Tasks (service.slot, or a service; list or comma-separated) whose placement shall be explained.
    type: raw
  observation:
    description: File with saved observations to plan from instead of what was observed now. No host needs to answer.
    type: path
  observation_to:
    description: File to save the observations in.
    type: path
  without:
    description: What if these hosts (list or comma-separated) were lost. Only shown.
    type: raw
  without_group:
    description: What if the hosts of these inventory groups were lost. Only shown.
    type: raw
  add_hosts:
    description:
      - What if there were more hosts. A number of copies of the first active host, V(3*n1) for copies of another one,
        or a list of nodes as P(stowage.fleet.schedule#filter) takes them. Only shown.
    type: raw
  scale:
    description: What if services had other numbers of replicas (C(web=9), list, comma-separated or dict). Only shown.
    type: raw
  survive:
    description: Report for each host which tasks would have no home if it were lost. Only shown.
    type: raw
    default: false
  rollback:
    description:
      - A stack that shall run as one of its kept releases did. What is wanted of all stacks is taken from the hosts'
        records then, not from the stack files.
    type: str
  to:
    description:
      - The release, or how it begins. If not stated, the newest one that is not what runs.
    type: str
    default: ''
  records:
    description: Name under which the results of M(stowage.fleet.host_release) were registered.
    type: str
    default: stowage_records
attributes:
  check_mode:
    support: full
    description: Makes and shows the same plan; a deploy goes no further.
  diff_mode:
    support: full
    description: Shows the plan.
author:
  - Stowage contributors (@stowage)
"""

EXAMPLES = r"""
- name: Make the plan
  stowage.fleet.plan:
    run_dir: .stowage
    save_to: .stowage/plan.json
  run_once: true
"""

RETURN = r"""
digest:
  description: Digest of the plan.
  returned: success
  type: str
summary:
  description: Number of changes of each kind.
  returned: success
  type: dict
steps:
  description: The steps of a deploy, each with id, title and hosts.
  returned: success
  type: list
  elements: dict
touched:
  description: Hosts that any step touches.
  returned: success
  type: list
  elements: str
run_dir:
  description: Directory of this run.
  returned: success
  type: str
"""

# The work is done by the action plugin of the same name.
