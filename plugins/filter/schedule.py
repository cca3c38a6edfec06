# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter stowage.fleet.schedule: glue over module_utils/scheduler. Documented in schedule.yml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule as place


def schedule(nodes: Any, services: Any, current: Any = None, options: Any = None) -> dict[str, Any]:
    """Place services on nodes; Ansible's tagged values become plain ones first."""
    try:
        return place(*(plain(value) for value in (nodes, services, current, options)))
    except (StowageError, TypeError) as error:
        raise AnsibleFilterError(f"stowage.fleet.schedule: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"schedule": schedule}
