# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an endpoints share leaves on a host's disk, as one digest: the planner computes it, the host observes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import canonical


def disk_digest(
    told: Mapping[str, Any],
    traefik: str | None,
    dns: Mapping[str, str],
    ports: str,
    *digests: str,
) -> str:
    """Digest over the contents of endpoints.json, Traefik's file (None = absent), the DNS files and the nft scripts.

    told: {tasks, vips} of endpoints.json. digests: of the policy that the serving tasks need (`share`'s policy.core),
    "" if there is none; and of what the host's own watch knows of services (`share`'s watch).
    """
    return canonical.digest(
        {
            "tasks": told["tasks"],
            "vips": told["vips"],
            "traefik": None if traefik is None else canonical.text_digest(traefik),
            "dns": {name: canonical.text_digest(text) for name, text in dns.items()},
            "ports": canonical.text_digest(ports),
            "digests": digests,
        }
    )
