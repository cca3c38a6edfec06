# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One text for one value: canonical JSON and the digests that identify specs, plans and files."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def dumps(value: Any) -> str:
    """Canonical JSON text: sorted keys, no spaces, ASCII only. NaN and infinities are refused (ValueError)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """Hex sha256 of the canonical JSON of a JSON-able value."""
    return text_digest(dumps(value))


def text_digest(text: str | bytes) -> str:
    """Hex sha256 of a text (as UTF-8) or of bytes."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return hashlib.sha256(data).hexdigest()


def plain(value: Any) -> Any:
    """A copy made of plain dict, list, str, int, float, bool and None only (drops Ansible's tagged and lazy types)."""
    return json.loads(json.dumps(value))
