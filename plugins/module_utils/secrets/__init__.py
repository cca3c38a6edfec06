# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets room: digests that show a rotation without telling the value; references to secrets in a store."""

from __future__ import annotations

import hashlib
import hmac

from . import sops
from .references import needed, placeholder, refers, usable

__all__ = ["digest", "needed", "placeholder", "refers", "sops", "usable"]

# Slow on purpose (about 50 ms): a digest in a label must be no cheap oracle for weak secrets.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}


def digest(fleet: str, stack: str, name: str, value: bytes, key: str = "") -> str:
    """Keyed digest of a secret's value, 64 hex digits.

    With a key (variable stowage_secrets_key) it is HMAC-SHA256; without one it is scrypt, salted with fleet, stack
    and name. Equal values under different names give different digests.
    """
    context = "\x00".join((fleet, stack, name)).encode()
    if key:
        return hmac.new(key.encode(), context + b"\x00" + value, hashlib.sha256).hexdigest()
    return hashlib.scrypt(value, salt=b"stowage\x00" + context, **SCRYPT).hex()
