# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter stowage.fleet.traefik_static: glue over module_utils/discovery. Documented in traefik_static.yml."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.static import traefik_static as static
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError


def traefik_static(settings: Any) -> dict[str, Any]:
    """Traefik's static configuration; Ansible's tagged values become plain ones first."""
    try:
        return static(plain(settings))
    except StowageError as error:
        raise AnsibleFilterError(f"stowage.fleet.traefik_static: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"traefik_static": traefik_static}
