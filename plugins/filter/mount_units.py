# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter stowage.fleet.mount_units: glue over module_utils/storage. Documented in mount_units.yml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError
from ansible_collections.stowage.fleet.plugins.module_utils.storage import classes


def mount_units(described: Any, wanted: Any) -> list[dict[str, Any]]:
    """The mount units of a host; Ansible's tagged values become plain ones first."""
    try:
        return classes.mount_units(plain(described), plain(wanted))
    except StowageError as error:
        raise AnsibleFilterError(f"stowage.fleet.mount_units: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"mount_units": mount_units}
