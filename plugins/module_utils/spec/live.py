# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configs and secrets that change under a running container: `x-stowage.on_change` is a signal or none, not a restart.

Their digests are then outside the template, in the Service's `live`: {signal: HUP or "", files: {target: digest}}.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import show
from .document import KeyPath
from .reader import Reader, form, literal

RESTART = "restart"
_SIGNAL = re.compile(r"signal:(?:SIG)?([A-Z][A-Z0-9]{0,9}(?:[+-][0-9]{1,2})?)")
FATAL = ("KILL", "STOP")


@form("on_change")
def read_on_change(reader: Reader, path: KeyPath, value: Any) -> Any:
    """restart, none or signal:HUP."""
    found = _SIGNAL.fullmatch(str(value))
    if value in (RESTART, "none") or (found and found[1] not in FATAL):
        return literal(value)
    return reader.refuse(path, "STW-TYPE", f"{show(value)} is unknown", "write restart, none or signal:HUP")


def split_live(
    service: Mapping[str, Any], files: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The template's `files`, and the Service's `live` or None. files: every config and secret with its digest."""
    stated = str((service.get("x-stowage") or {}).get("on_change", RESTART))
    live = {one["target"]: one["digest"] for one in files}
    if stated == RESTART or not live:
        return files, None
    kept = [{**one, "digest": "", "live": True} for one in files]
    found = _SIGNAL.fullmatch(stated)
    return kept, {"signal": found[1] if found else "", "files": live}
