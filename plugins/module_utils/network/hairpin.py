# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A task that calls its own published port by its own host: the bridge must give its packets back where they came from.

Where bridged packets pass the host's rules, what a container sends to its host and what is translated back to itself
never leaves the bridge, and a port gives nothing back unless it is told. Docker tells it only without userland-proxy.
"""

from __future__ import annotations

import contextlib

from .kernel import NetworkError, read, run
from .names import BRIDGE

# A script of published ports begins so where a task may meet itself.
MARK = "# hairpin\n"


def reflect(script: str) -> list[str]:
    """Have ports of our bridges give packets back, if this script of published ports needs it; those that did not."""
    if not script.startswith(MARK):
        return []
    changed = []
    for link in read("ip", "-d", "link", "show", "type", "bridge_slave"):
        port = link.get("linkinfo", {}).get("info_slave_data", {})
        if str(link.get("master")).startswith(BRIDGE) and not port.get("hairpin"):
            with contextlib.suppress(NetworkError):  # its container may have ended just now
                run("ip", "link", "set", "dev", str(link["ifname"]), "type", "bridge_slave", "hairpin", "on")
                changed.append(str(link["ifname"]))
    return changed
