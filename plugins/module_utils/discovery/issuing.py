# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""On the issuer: lego asks for certificates, and keeps account and keys below one directory of root's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import Problem
from . import files

STORE = "var/lib/stowage/acme"
PATIENCE = 180.0
SAID = 600
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def stored(names: Iterable[str], root: str = "/") -> dict[str, dict[str, str]]:
    """{first name: {certificate, key}} of the certificates that lego has, PEM texts."""
    found = {}
    for name in names:
        parts = {
            part: files.read(_path(root, name, ending)) for part, ending in (("certificate", "crt"), ("key", "key"))
        }
        if parts["certificate"] and parts["key"]:
            found[name] = {part: str(text).strip() + "\n" for part, text in parts.items()}
    return found


def issue(
    orders: Iterable[Mapping[str, Any]], ca_file: str = "", root: str = "/", run: Run = subprocess.run
) -> list[Problem]:
    """Have lego ask for certificates, one after the other; the problems (STW-ACME) with what it said.

    orders: [{name: the first one, command: argv}]. A key is made anew for every certificate.
    """
    os.makedirs(os.path.join(root, STORE), mode=0o700, exist_ok=True)
    environment = {**os.environ, **({"LEGO_CA_CERTIFICATES": ca_file} if ca_file else {})}
    problems = []
    for order in orders:
        said = _asked(order["command"], environment, run)
        if said is not None:
            fix = (
                "every name must lead to an ingress host's port 80; what the issuer of certificates saw is in its words"
            )
            problems.append(Problem("STW-ACME", f"certificate {order['name']}", f"was not issued: {said!a}", fix))
    return problems


def _asked(command: Sequence[str], environment: Mapping[str, str], run: Run) -> str | None:
    """None if it went well, else the end of what it said."""
    try:
        done = run(
            list(command),
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE:.0f} s"
    except OSError as error:
        return f"lego cannot be run: {error.strerror}"
    return None if done.returncode == 0 else str(done.stdout).strip()[-SAID:]


def _path(root: str, name: str, ending: str) -> str:
    if os.path.basename(name) != name or name.startswith("."):
        raise ValueError(f"not a host name: {name!a}")
    return os.path.join(root, STORE, "certificates", f"{name}.{ending}")
