# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options of modules that work on a host under a run's lock (engine.lock.RUN)."""

from __future__ import annotations


class ModuleDocFragment:
    """The run, and whose lock does not count."""

    DOCUMENTATION = r"""
options:
  run:
    description: The run that works here; needed by whatever takes, renews or gives back the host's lock.
    type: dict
    suboptions:
      id:
        description: Identity of the run.
        type: str
        required: true
      holder:
        description: Who runs it, for people.
        type: str
        required: true
      controller:
        description: The process that runs it, so that another run on that machine can tell whether it is gone.
        type: dict
        default: {}
      ttl:
        description: Seconds until the lock ends by itself. Every call of the run prolongs it.
        type: int
        default: 600
  takeover:
    description: Identity of a run whose controller is proved to be gone; its lock does not count.
    type: str
  lock_wait:
    description: Seconds to wait for another module that still works here.
    type: float
    default: 30
"""
