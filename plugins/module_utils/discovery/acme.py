# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ACME with one issuer and any number of ingress hosts: what the inventory asks for, what is due, how lego is called.

One ingress host asks for all certificates. Whichever ingress host is asked for a challenge forwards to the issuer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import Problem, raise_all, show
from .certificates import DAY

STORE = "/var/lib/stowage/acme"
DEFAULTS: dict[str, Any] = {
    "email": "",
    "certificates": [],
    "server": "https://acme-v02.api.letsencrypt.org/directory",
    "issuer": "",
    "port": 8402,
    "renew_days": 30,
    "ca_file": "",
    "key_type": "ec256",
}
KEY_TYPES = ("ec256", "ec384", "rsa2048", "rsa4096")
MOST_DAYS = 36500
EMAIL = re.compile(r"^[^\s@\"'\\]+@[A-Za-z0-9.-]+$")
SERVER = re.compile(r"^https://[^\s\"'\\{}]+$")
PATH = re.compile(r"^/[A-Za-z0-9._/-]+$")
HOST = re.compile(r"^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


def read_acme(value: Any, ingress_hosts: Sequence[str]) -> dict[str, Any]:
    """`stowage_acme` of the inventory, complete: {email, certificates [[name]], server, issuer, port, renew_days, ...}.

    ingress_hosts: names, the first is the issuer if none is stated. Raises StowageError (STW-ACME-OPTION) with every
    mistake.
    """
    if not isinstance(value, Mapping):
        raise_all(
            [
                _problem(
                    "stowage_acme",
                    f"{show(value)} is not a mapping",
                    "write {email: ..., certificates: [[shop.example]]}",
                )
            ]
        )
    found = {**DEFAULTS, **value}
    found["issuer"] = found["issuer"] or (ingress_hosts[0] if ingress_hosts else "")
    problems = [
        _problem(f"stowage_acme.{show(key)}", "unknown key", f"it takes {', '.join(DEFAULTS)}")
        for key in value
        if key not in DEFAULTS
    ]
    for key, form, fix in (
        ("email", EMAIL, "give the address that the issuer of certificates may write to"),
        ("server", SERVER, "give the URL of an ACME directory, https://..."),
    ):
        if not isinstance(found[key], str) or not form.match(found[key]):
            problems.append(_problem(f"stowage_acme.{key}", f"{show(found[key])} will not do", fix))
    if found["ca_file"] and not (isinstance(found["ca_file"], str) and PATH.match(found["ca_file"])):
        problems.append(_problem("stowage_acme.ca_file", "is not an absolute path", "give a file on the issuer"))
    if found["issuer"] not in ingress_hosts:
        fix = f"name one of {', '.join(ingress_hosts)}" if ingress_hosts else "put a host into stowage_ingress"
        problems.append(_problem("stowage_acme.issuer", f"{show(found['issuer'])} is no ingress host", fix))
    if found["key_type"] not in KEY_TYPES:
        fix = f"choose one of {', '.join(KEY_TYPES)}"
        problems.append(_problem("stowage_acme.key_type", f"{show(found['key_type'])} is no kind of key", fix))
    for key, most in (("port", 65535), ("renew_days", MOST_DAYS)):
        if isinstance(found[key], bool) or not isinstance(found[key], int) or not 1 <= found[key] <= most:
            problems.append(_problem(f"stowage_acme.{key}", f"{show(found[key])} is not from 1 to {most}", "a number"))
    raise_all([*problems, *_name_problems(found["certificates"])])
    return found


def _name_problems(certificates: Any) -> list[Problem]:
    where = "stowage_acme.certificates"
    if not isinstance(certificates, (list, tuple)) or not certificates:
        return [_problem(where, f"{show(certificates)} is not a list", "write [[shop.example, www.shop.example]]")]
    problems, first = [], set()
    for index, names in enumerate(certificates):
        place = f"{where}[{index}]"
        if not isinstance(names, (list, tuple)) or not names:
            problems.append(
                _problem(place, f"{show(names)} is no list of names", "write [shop.example, www.shop.example]")
            )
            continue
        for name in names:
            if str(name).startswith("*."):
                fix = "name the hosts one by one, or bring the certificate by stowage_certificates"
                problems.append(_problem(place, f"{show(name)}: HTTP-01 proves no wildcard", fix))
            elif not isinstance(name, str) or not HOST.match(name):
                problems.append(_problem(place, f"{show(name)} is no host name", "small letters, digits, - and dots"))
        if str(names[0]) in first:
            problems.append(_problem(place, f"{show(names[0])} begins two certificates", "put all its names into one"))
        first.add(str(names[0]))
    return problems


def due(names: Sequence[str], have: Mapping[str, Any] | None, now: float, renew_days: int) -> str:
    """Why a certificate for these names must be asked for; "" if the one that is there will do.

    have: {names, ends, matches} of it, None if there is none.
    """
    if have is None or not have["matches"]:
        return "there is none"
    if set(have["names"]) != set(names):
        return f"the one there is for {', '.join(sorted(have['names']))[:200]}"
    left = (have["ends"] - now) / DAY
    return f"{max(int(left), 0)} day(s) left" if left < renew_days else ""


def command(settings: Mapping[str, Any], names: Sequence[str], address: str) -> list[str]:
    """lego's argv for one certificate: it answers challenges on the issuer's own address while it runs."""
    domains = [word for name in names for word in ("--domains", name)]
    return [
        "lego",
        "--accept-tos",
        "--email",
        settings["email"],
        "--server",
        settings["server"],
        "--path",
        STORE,
        "--key-type",
        settings["key_type"],
        *domains,
        "--http",
        "--http.port",
        f"{address}:{settings['port']}",
        "run",
    ]


def _problem(where: str, reason: str, fix: str) -> Problem:
    return Problem("STW-ACME-OPTION", where, reason, fix)
