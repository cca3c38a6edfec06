# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""OpenBao or HashiCorp Vault: one login, then versions and values side by side. Errors never quote what was read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .references import Version
from .settings import SECRET, Settings

THREADS = 8
AGAIN = 2  # times that a request which nobody answered is sent again
AWAY, SEALED, DENIED, MISSING, WRONG = "away", "sealed", "denied", "missing", "wrong"
TOKEN_VARIABLES = ("BAO_TOKEN", "VAULT_TOKEN")


class StoreError(Exception):
    """What the store refused. kind: away, sealed, denied, missing or wrong; the text names no value and no token."""

    def __init__(self, kind: str, reason: str, fix: str = "") -> None:
        """Take the kind, the reason and what to do."""
        super().__init__(reason)
        self.kind, self.reason, self.fix = kind, reason, fix

    @property
    def closed(self) -> bool:
        """True if the store as a whole gives nothing now."""
        return self.kind in (AWAY, SEALED)


class Store:
    """A session with the store. Needs hvac."""

    def __init__(self, settings: Settings, variables: Mapping[str, str] | None = None) -> None:
        """Log in. variables: the process environment, for a token. Raises StoreError."""
        self._settings, self._own = settings, settings.auth.get("method", "token") != "token"
        self._client = connection(settings)
        auth = {**settings.auth, **{key: _secret(settings.auth, key) for key in SECRET}}
        given = os.environ if variables is None else variables
        answer(lambda: self._log_in(auth, given), "login")

    def _log_in(self, auth: Mapping[str, str], variables: Mapping[str, str]) -> None:
        method, mount = auth.get("method", "token"), auth.get("mount", "")
        if method == "token":
            token = auth["token"] or next((variables[name] for name in TOKEN_VARIABLES if variables.get(name)), "")
            if not token:
                raise StoreError(DENIED, "there is no token", "give auth.token_file, or set BAO_TOKEN")
            self._client.token = token
        elif method == "approle":
            mount = mount or "approle"
            secret = auth["secret_id"] or self._unwrapped(auth, mount)
            self._client.auth.approle.login(auth["role_id"], secret, mount_point=mount)
        else:
            self._client.auth.jwt.jwt_login(auth["role"], auth["jwt"], path=mount or "jwt")

    def _unwrapped(self, auth: Mapping[str, str], mount: str) -> str:
        """The single-use secret id out of its wrapper, used up by that; a wrapper of anything else is refused."""
        wrapper = connection(self._settings, auth["wrapped_secret_id"])
        made = wrapper.adapter.post("/v1/sys/wrapping/lookup", json={"token": auth["wrapped_secret_id"]})
        path = str(made["data"].get("creation_path", ""))
        parts = path.split("/")
        role = auth.get("role") or (parts[-2] if len(parts) > 1 else "")
        if path != f"auth/{mount}/role/{role}/secret-id":
            raise StoreError(DENIED, "the wrapped token does not hold a secret id of this role", "have a new one made")
        return str(wrapper.sys.unwrap()["data"]["secret_id"])

    def versions(self, paths: Iterable[str]) -> dict[str, Version | StoreError]:
        """{path: its newest version}, from metadata alone; a StoreError for what cannot be told."""
        return self._each(self._version, sorted(set(paths)))

    def _version(self, path: str) -> Version:
        data = self._client.secrets.kv.v2.read_secret_metadata(path, mount_point=self._settings.mount)["data"]
        number = int(data["current_version"])
        one = (data["versions"] or {}).get(str(number)) or {}
        if one.get("destroyed") or _past(one.get("deletion_time")):
            raise StoreError(MISSING, f"version {number} was deleted", "write a new version, or undelete it")
        return Version(number, str(one.get("created_time", "")))

    def values(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], dict[str, Any] | StoreError]:
        """{(path, version): {key: value}}; version 0: what there is. A StoreError for what cannot be read."""
        return self._each(self._value, sorted(set(wanted)))

    def _value(self, wanted: tuple[str, int]) -> dict[str, Any]:
        (path, number), mount = wanted, self._settings.mount
        if self._settings.version == 1:
            return dict(self._client.secrets.kv.v1.read_secret(path, mount_point=mount)["data"])
        kv = self._client.secrets.kv.v2
        found = kv.read_secret_version(path, number or None, mount_point=mount, raise_on_deleted_version=True)
        return dict(found["data"]["data"])

    def _each(self, read: Callable[[Any], Any], things: list[Any]) -> dict[Any, Any]:
        def attempt(thing: Any) -> Any:
            try:
                return answer(lambda: read(thing), "path")
            except StoreError as error:
                return error

        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            return dict(zip(things, pool.map(attempt, things)))

    def close(self) -> None:
        """Give back a token that this session was given for its login; the store forgets others by itself."""
        if self._own:
            try:
                answer(self._client.auth.token.revoke_self, "login")
            except StoreError:
                return  # it ends by its own time to live


def connection(settings: Settings, token: str = "", again: int = AGAIN) -> Any:
    """A client of the store, not logged in; it follows no redirect. again: times that an unanswered request is sent."""
    import hvac  # noqa: PLC0415 (only who has a store needs it)
    import requests  # noqa: PLC0415
    from urllib3.util.retry import Retry  # noqa: PLC0415

    session = requests.Session()
    retry = Retry(total=again, backoff_factor=0.3, status=0, allowed_methods=None)
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=THREADS, max_retries=retry))
    session.verify = settings.ca_file or True
    session.hooks["response"].append(_stay)
    return hvac.Client(
        url=settings.address,
        token=token or None,
        timeout=settings.timeout,
        namespace=settings.namespace or None,
        verify=settings.ca_file or True,
        session=session,
    )


def _stay(answer: Any, *_more: Any, **_options: Any) -> None:
    """Refuse to be sent elsewhere: requests would take the token along, to another host and from HTTPS to HTTP."""
    if answer.is_redirect:
        fix = "write the address of the active server into stowage_vault.address"
        raise StoreError(WRONG, "the store sends the run to another address, where no token goes", fix)


def _past(moment: Any) -> bool:
    """True if the store's time (RFC 3339, UTC) is over: delete_version_after states one that is yet to come."""
    return bool(moment) and str(moment)[:19] <= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())


def _secret(auth: Mapping[str, str], key: str) -> str:
    path = auth.get(f"{key}_file")
    if not path:
        return auth.get(key, "")
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise StoreError(DENIED, f"auth.{key}_file cannot be read", "name a file on the controller") from None


def answer(ask: Callable[[], Any], what: str = "path") -> Any:
    """What the store answers; its refusals as StoreErrors, without their own texts."""
    import requests  # noqa: PLC0415
    from hvac import exceptions as refused  # noqa: PLC0415

    try:
        return ask()
    except refused.VaultDown:
        raise StoreError(SEALED, "the store is sealed", "unseal it") from None
    except (refused.Forbidden, refused.Unauthorized):
        fix = "look at the policy of the token" if what == "path" else "give a token that is still good"
        raise StoreError(DENIED, "the store does not permit it", fix) from None
    except refused.InvalidPath:
        raise StoreError(MISSING, "there is no such path", "look at mount, version and path") from None
    except refused.InvalidRequest:
        if what == "login":
            fix = "have a new secret id made: one that is used up or too old is refused"
            raise StoreError(DENIED, "the store refuses the login", fix) from None
        raise StoreError(WRONG, "the store refuses the request", "look at mount and version") from None
    except requests.exceptions.SSLError:
        raise StoreError(AWAY, "its certificate is not trusted", "name its CA: stowage_vault.ca_file") from None
    except (refused.VaultError, requests.exceptions.RequestException, OSError):
        raise StoreError(AWAY, "the store does not answer", "look at it, and at stowage_vault.address") from None
    except (KeyError, TypeError, ValueError):
        raise StoreError(WRONG, "the store's answer is of another kind", "look at mount and version") from None
