# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Image references as a registry names them."""

from __future__ import annotations

import re

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_DOMAIN_NAME = re.compile(_DOMAIN)
MAX_NAME = 255


def image_mistake(text: str) -> tuple[str, str] | None:
    """(reason, fix) if the text is no image reference such as registry:5000/team/app:1.8@sha256:...; None if it is."""
    if text.startswith("-"):
        return "begins with a dash", "write name:tag"
    if "://" in text:
        return "has a URL scheme", f"write {text.partition('://')[2][:60] or 'name:tag'}"
    if "@" in text.partition("/")[0] and "@sha" not in text.partition("/")[0]:
        return "holds credentials", "log in to the registry on the hosts instead"
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        return f"digest has {len(digest.rpartition(':')[2])} digits", "write sha256: and 64 hex digits"
    last = name.rpartition("/")[2]
    if ":" in last:
        name, _colon, tag = name.rpartition(":")
        if not _TAG.fullmatch(tag):
            return "has a bad tag", "write letters, digits, _ . - after the colon, at most 128"
    return _name_mistake(name)


def _name_mistake(name: str) -> tuple[str, str] | None:
    domain, slash, path = name.partition("/")
    if slash and ("." in domain or ":" in domain or domain == "localhost"):
        if not _DOMAIN_NAME.fullmatch(domain):
            return "has a bad registry name", "write host:port/name:tag"
        name = path
    if name != name.lower():
        return "has capital letters in its name", f"write {name.lower()[:60]}"
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return "is no image reference", "write name:tag, in small letters, digits, . _ - and /"
    return None
