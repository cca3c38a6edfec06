# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ZooKeeper, by the library kazoo. A credential is user:password (scheme digest).

What has no children below the prefix is a file. Endpoints are host:port.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .base import MOST, Access, StoreError, conflict

PACKAGE = "kazoo (python3-kazoo) is not installed here"


@contextlib.contextmanager
def session(access: Access) -> Iterator[Any]:
    """A client that is connected. Raises StoreError, also for what goes wrong within."""
    try:
        from kazoo import client as made  # noqa: PLC0415 (no standard library: only who has such a store needs it)
        from kazoo import exceptions  # noqa: PLC0415
        from kazoo.handlers import threading  # noqa: PLC0415
    except ImportError:
        raise StoreError(PACKAGE, retry=False) from None
    with contextlib.ExitStack() as stack:
        options: dict[str, Any] = {"auth_data": [("digest", access.credential)]} if access.credential else {}
        if access.ca:
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", suffix=".pem"))
            file.write(access.ca)
            file.flush()
            options.update({"use_ssl": True, "ca": file.name})
        client = made.KazooClient(",".join(access.source["endpoints"]), timeout=access.timeout, **options)
        try:
            client.start(timeout=access.timeout * len(access.source["endpoints"]))
            stack.callback(client.close)
            stack.callback(client.stop)
            yield client
        except threading.KazooTimeoutError:
            raise StoreError(f"{access.source['endpoints'][0]} does not answer", retry=True) from None
        except exceptions.NoAuthError:
            raise StoreError("does not let this credential in", retry=False) from None
        except exceptions.KazooException as error:
            raise StoreError(f"{type(error).__name__} {str(error)[:100]!a}", retry=True) from None


def inherited(client: Any, path: str) -> Any:
    """The access rights of the nearest node at or above a path that is there: ZooKeeper itself hands none down."""
    while path.rpartition("/")[0] and not client.exists(path):
        path = path.rpartition("/")[0]
    return client.get_acls(path)[0] if client.exists(path) else None


def left_empty(removed: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Nodes above removed ones that have nothing below them any more, the deepest first: they would become files."""
    above = {name.rsplit("/", n)[0] for name in removed for n in range(1, name.count("/") + 1)}
    still = {name.rsplit("/", n)[0] for name in kept for n in range(name.count("/") + 1)}
    return sorted(above - still, reverse=True)


def nodes(client: Any, prefix: str) -> dict[str, tuple[bytes, int]]:
    """{name below the prefix: (content, version)} of the nodes without children."""
    top = "/" + prefix.strip("/")
    found: dict[str, tuple[bytes, int]] = {}
    waiting = [top] if client.exists(top) else []
    while waiting:
        path = waiting.pop()
        below = client.get_children(path)
        waiting += [f"{path.rstrip(os.sep)}/{name}" for name in below]
        if not below and path != top:
            content, told = client.get(path)
            found[path[len(top.rstrip("/")) + 1 :]] = (content or b"", told.version)
        if len(found) > MOST:
            break
    return found


def versions(access: Access) -> dict[str, tuple[bytes, int]]:
    """{name: (content, version)}. Raises StoreError."""
    with session(access) as client:
        return nodes(client, access.source["prefix"])


def write(access: Access, now: Mapping[str, Any], changes: Any) -> None:
    """One transaction; nodes above new ones are made before it, with the rights of those above. Raises StoreError."""
    top = "/" + access.source["prefix"].strip("/")
    with session(access) as client:
        rights = inherited(client, top)
        for name in changes.added:
            client.ensure_path(f"{top}/{name}".rpartition("/")[0], rights)
        every = client.transaction()
        for name, content in changes.puts.items():
            if name in now:
                every.set_data(f"{top}/{name}", content, now[name][1])
            else:
                every.create(f"{top}/{name}", content, rights)
        for name in changes.removed:
            every.delete(f"{top}/{name}", now[name][1])
        for name in left_empty(changes.removed, {*now, *changes.puts}.difference(changes.removed)):
            every.delete(f"{top}/{name}")
        if any(isinstance(result, Exception) for result in every.commit()):
            raise conflict()
