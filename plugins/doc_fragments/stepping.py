# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of actions whose work on a volume is decided once and then done in steps (plugin_utils.stepping)."""

from __future__ import annotations


class ModuleDocFragment:
    """The run's records, the volume, the step, and what was registered before."""

    DOCUMENTATION = r"""
options:
  run_dir:
    description:
      - With V(decide), the directory on the controller for the records of runs.
      - With the others, the directory that V(decide) returned.
    type: path
    required: true
  volume:
    description: The volume's full name on the hosts.
    type: str
    default: ''
  step:
    description: Which step, with V(work).
    type: int
    default: 0
  observed:
    description: Name under which the observations were registered.
    type: str
    default: stowage_observed
  looked:
    description: Name under which the results of V(look) were registered.
    type: str
    default: stowage_looked
"""
