# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter stowage.fleet.keepalived: glue over module_utils/discovery. Documented in keepalived.yml."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.discovery.floating import keepalived as configuration
from ansible_collections.stowage.fleet.plugins.module_utils.errors import StowageError


def keepalived(address: Any, node: Any, hosts: Any, devices: Any, **settings: Any) -> str:
    """keepalived.conf of one ingress host; Ansible's tagged values become plain ones first."""
    try:
        reached = {row[0]: next(filter(None, row[1:]), "") for row in plain(hosts)}
        return configuration(str(address), str(node), reached, json.loads(str(devices) or "[]"), plain(settings))
    except StowageError as error:
        raise AnsibleFilterError(f"stowage.fleet.keepalived: {error}") from error


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name to function."""
        return {"keepalived": keepalived}
