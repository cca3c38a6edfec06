# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A document behind http or https: a JSON object {name: text}. A credential is user:password, or a bearer token."""

from __future__ import annotations

import base64
import json

from .base import Access, Pulled, StoreError, checked, request


def read(access: Access) -> Pulled:
    """The document's entries. Raises StoreError."""

    def ask(endpoint: str) -> Pulled:
        path = str(access.source.get("prefix") or "")
        where = f"{endpoint}/{path.lstrip('/')}" if path else endpoint
        return checked(entries(request(where, access, headers=authorization(access.credential))))

    return access.first(ask)


def authorization(credential: str | None) -> dict[str, str]:
    """The header of a credential."""
    if not credential:
        return {}
    if ":" in credential:
        return {"Authorization": f"Basic {base64.b64encode(credential.encode()).decode()}"}
    return {"Authorization": f"Bearer {credential}"}


def entries(data: bytes) -> dict[str, bytes]:
    """{name: content} of a document. Raises StoreError."""
    try:
        found = json.loads(data)
    except ValueError:
        raise StoreError("gives what is no JSON", retry=False) from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise StoreError("gives no JSON object of texts", retry=False)
    return {str(name): value.encode("utf-8", "surrogatepass") for name, value in found.items()}
