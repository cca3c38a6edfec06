# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the discovery room offers to the controller."""

from __future__ import annotations

from .check import check
from .convert import normalize
from .deliver import Means, deliver, observe_endpoints
from .dns import dns_files, search_domain
from .fence import await_generation, generation_of
from .options import ingress_options
from .render import traefik_file
from .share import policy_share, share, share_digest
from .static import traefik_static

__all__ = [
    "Means",
    "await_generation",
    "check",
    "deliver",
    "dns_files",
    "generation_of",
    "ingress_options",
    "normalize",
    "observe_endpoints",
    "policy_share",
    "search_domain",
    "share",
    "share_digest",
    "traefik_file",
    "traefik_static",
]
