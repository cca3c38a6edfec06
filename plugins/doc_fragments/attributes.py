# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What modules of this collection have in common under check and diff mode."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes, by kind of module."""

    # Modules that only read, or only compute.
    READS = r"""
attributes:
  check_mode:
    support: full
    description: It changes nothing, with or without check mode.
  diff_mode:
    support: none
    description: Nothing changes, so there is nothing to compare.
"""

    # Modules that carry a plan out.
    STEPS = r"""
attributes:
  check_mode:
    support: none
    description: Under check mode a deploy ends with the plan.
  diff_mode:
    support: none
    description: The plan is the difference.
"""
