"""Asking schedule() whether a host satisfies a constraint."""

from __future__ import annotations

from ansible_collections.stowage.fleet.plugins.module_utils.scheduler import schedule


def fits(node, text):
    """True if a service with this constraint finds a home on the host."""
    return bool(schedule([node], [{"name": "web", "constraints": [text]}])["placements"])
