# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all stores have in common: access, the answer, its limits, the error."""

from __future__ import annotations

import hashlib
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

LARGEST, LARGEST_SUM, MOST = 1024 * 1024, 8 * 1024 * 1024, 2000
_PART = re.compile(r"[^\x00-\x1f\x7f/]{1,200}")
Source = Mapping[str, Any]
T = TypeVar("T")


class StoreError(Exception):
    """Why a store gave nothing, in words without a credential. retry: it may give something later."""

    def __init__(self, reason: str, retry: bool) -> None:
        """Take the reason."""
        super().__init__(reason)
        self.reason, self.retry = reason, retry


class Access(NamedTuple):
    """How a store is asked: a source, a credential, the PEM of who signs its certificate, seconds for each endpoint."""

    source: Source
    credential: str | None
    ca: str | None
    timeout: float

    def first(self, ask: Callable[[str], T]) -> T:
        """The answer of the first endpoint that gives one. Raises the StoreError of the last that was asked."""
        last = StoreError("has no endpoint", retry=False)
        for endpoint in self.source["endpoints"]:
            try:
                return ask(endpoint)
            except StoreError as error:
                if not error.retry:
                    raise
                last = error
        raise last


class Pulled(NamedTuple):
    """What is below a prefix: {name: content}, and its revision."""

    files: dict[str, bytes]
    revision: str


def usable(name: str) -> bool:
    """Whether a key can be a file: parts of printable characters between single /, none of them of points alone."""
    parts = name.split("/")
    return len(name) <= 1000 and all(_PART.fullmatch(part) and part.strip(".") for part in parts)


def revision_of(files: Mapping[str, bytes]) -> str:
    """A digest of names and contents, 32 hex digits: other keys of the store do not change it."""
    made = hashlib.sha256()
    for name, content in sorted(files.items()):
        made.update(f"{len(name.encode())}:{len(content)}:{name}".encode() + content)
    return made.hexdigest()[:32]


def checked(files: Mapping[str, bytes]) -> Pulled:
    """The answer, if every key can be a file and all stay within the limits. Raises StoreError."""
    if not files:
        raise StoreError("has nothing below the prefix", retry=False)
    if len(files) > MOST:
        raise StoreError(f"has {len(files)} keys below the prefix, at most {MOST} are taken", retry=False)
    for name, content in sorted(files.items()):
        if not usable(name):
            raise StoreError(f"key {name[:60]!a} cannot be the name of a file", retry=False)
        if len(content) > LARGEST:
            raise StoreError(f"key {name[:60]} has {len(content)} bytes, at most {LARGEST} are taken", retry=False)
        above = [name.rsplit("/", n)[0] for n in range(1, name.count("/") + 1)]
        if any(one in files for one in above):
            raise StoreError(f"key {name[:60]} is below another key: a file cannot be a directory", retry=False)
    total = sum(map(len, files.values()))
    if total > LARGEST_SUM:
        raise StoreError(f"has {total} bytes below the prefix, at most {LARGEST_SUM} are taken", retry=False)
    return Pulled(dict(sorted(files.items())), revision_of(files))


def context(ca: str | None) -> ssl.SSLContext:
    """How its certificate is judged. Raises StoreError."""
    try:
        return ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError):
        raise StoreError("the certificate of tls.ca cannot be read", retry=False) from None


def request(
    url: str,
    access: Access,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> bytes:
    """The body of an answer with status 2xx. Raises StoreError: retry with no answer, a timeout, 429 and 5xx."""
    asked = urllib.request.Request(url, data=body, headers=dict(headers or {}), method=method)
    handlers: list[Any] = [urllib.request.ProxyHandler({}), _Stay()]
    if url.startswith("https:"):
        handlers.append(urllib.request.HTTPSHandler(context=context(access.ca)))
    place = shown(url)
    try:
        with urllib.request.build_opener(*handlers).open(asked, timeout=access.timeout) as answer:
            data = bytes(answer.read(4 * LARGEST_SUM))
    except urllib.error.HTTPError as error:
        again = error.code == 429 or error.code >= 500
        raise Refused(f"{place} answers {error.code}{_said(error)}", again, error.code) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise StoreError(f"{place}: its certificate: {reason.verify_message}", retry=False) from None
        late = "no answer in time" if isinstance(reason, TimeoutError) else str(reason)[:100]
        told = getattr(reason, "strerror", None) or late
        raise StoreError(f"{place} does not answer ({told})", retry=True) from None
    return data


class Refused(StoreError):
    """An answer that is no success; its status."""

    def __init__(self, reason: str, retry: bool, status: int) -> None:
        """Take the status of the answer too."""
        super().__init__(reason, retry)
        self.status = status


class _Stay(urllib.request.HTTPRedirectHandler):
    """No redirect is followed: the credential would go along."""

    def redirect_request(self, *_arguments: Any) -> None:
        """Take the answer for what it is."""
        return


def shown(url: str) -> str:
    """A URL without what may be secret in it: scheme, host and port."""
    return "/".join(url.split("/")[:3]).rpartition("@")[2] if "@" in url else "/".join(url.split("/")[:3])


def _said(error: urllib.error.HTTPError) -> str:
    """The first words of an error's body, if they are text."""
    try:
        text = error.read(300).decode("utf-8").strip()
    except (OSError, ValueError):
        return ""
    line = "".join(letter for letter in text.partition("\n")[0] if letter.isprintable())
    return f" ({line[:120]})" if line else ""


def conflict() -> StoreError:
    """The error of a write whose keys somebody else changed after they were read."""
    return StoreError("somebody else changed it meanwhile, nothing of this was written", retry=False)
