# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as inputs: what the inventory names, what is refused, the file that has Traefik serve them.

A pair (certificate with its chain, and key) is known by its digest, which is also the name of its two files: another
certificate is another name, and that is what Traefik sees change.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from .. import canonical
from ..errors import Problem, raise_all, show
from .certified import DIRECTORY
from .fence import FENCE_PREFIX
from .options import FENCE_ENTRYPOINT
from .render import build, escape_templates
from .rules import check_rule

KEYS = ("certificate", "key", "default")
PEM = "-----BEGIN "
DAY = 86400
SOON_DAYS = 14


def read_certificates(value: Any) -> list[dict[str, Any]]:
    """`stowage_certificates` of the inventory: [{certificate, key, default: bool}], texts or paths as they were given.

    Raises StowageError (STW-CERT-OPTION) with every mistake. It never shows a value: a key may stand where a path is
    due.
    """
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        reason = f"a {type(value).__name__} is not a list"
        raise_all(
            [_problem("OPTION", "stowage_certificates", reason, "write [{certificate: shop.pem, key: shop.key}]")]
        )
    problems, found = [], []
    for index, one in enumerate(value):
        where = f"stowage_certificates[{index}]"
        if not isinstance(one, Mapping):
            problems.append(
                _problem("OPTION", where, "is not a mapping", "write {certificate: shop.pem, key: shop.key}")
            )
            continue
        wrong = [show(key) for key in one if key not in KEYS]
        if wrong:
            problems.append(_problem("OPTION", where, f"unknown key {', '.join(wrong)}", f"it takes {', '.join(KEYS)}"))
        for key in ("certificate", "key"):
            if not isinstance(one.get(key), str) or not one[key].strip():
                fix = "give a path, relative to the inventory, or the PEM text itself (of Ansible Vault)"
                problems.append(_problem("OPTION", f"{where}.{key}", "is not a text", fix))
        if not isinstance(one.get("default", False), bool):
            problems.append(_problem("OPTION", f"{where}.default", "is not a boolean", "true or false"))
        found.append({"default": False, **one})
    if sum(one["default"] is True for one in found) > 1:
        reason = "more than one certificate is the default"
        problems.append(_problem("OPTION", "stowage_certificates", reason, "give default: true to one"))
    raise_all(problems)
    return found


def refused(facts: Iterable[Mapping[str, Any]], now: float) -> list[Problem]:
    """Why certificates cannot be served.

    facts: {where, names [str], begins, ends (seconds since 1970), matches (whether the key is its key), ...}.
    """
    problems = []
    for one in facts:
        if not one["matches"]:
            fix = "the key is of another certificate: give the one that it was requested with"
            problems.append(_problem("KEY", one["where"], "key and certificate do not belong together", fix))
        if not one["names"]:
            fix = "request one with the host names as subject alternative names; clients ignore the common name"
            problems.append(_problem("NAMES", one["where"], "the certificate is for no host name", fix))
        if one["ends"] <= now:
            fix = "renew it, or take it out of the list"
            problems.append(_problem("EXPIRED", one["where"], f"{title(one)} expired on {day(one['ends'])}", fix))
        elif one["begins"] > now + DAY:
            fix = "wait, or look at the controller's clock"
            problems.append(_problem("EXPIRED", one["where"], f"{title(one)} begins on {day(one['begins'])}", fix))
    return problems


def soon(facts: Iterable[Mapping[str, Any]], now: float) -> list[str]:
    """Warnings of certificates that end within 14 days."""
    return [
        f"STW-CERT-SOON {one['where']}: {title(one)} expires on {day(one['ends'])},"
        f" in {int((one['ends'] - now) // DAY)} day(s); renew it"
        for one in facts
        if now < one["ends"] < now + SOON_DAYS * DAY
    ]


def uncovered(services: Iterable[Mapping[str, Any]], options: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    """Warnings of hosts that routers serve over TLS, and no certificate is for. names: those of all certificates.

    Routers with a resolver of Traefik's own are left out; all are if the settings name files that only hosts know.
    """
    if options.get("certificates"):
        return []
    listed, known, found = list(services), list(names), set()
    document = build(listed, [], {**options, "defaults": False, "certificates": []}, [])
    for protocol in ("http", "tcp"):
        routers = (document.get(protocol) or {}).get("routers") or {}
        for name, router in sorted(routers.items()):
            ours = _is_ours(router.get("tls"))
            for host in _hosts(router.get("rule"), protocol) if ours else ():
                if not any(covers(one, host) for one in known):
                    found.add(
                        f"STW-CERT-HOST {protocol} router {show(name)}: no certificate is for {show(host)}, so clients"
                        " get the default one; add it to stowage_certificates or stowage_acme"
                    )
    return sorted(found)


def _hosts(rule: Any, protocol: str) -> list[str]:
    matchers, mistake = check_rule(rule, tcp=protocol == "tcp") if rule else ([], None)
    wanted = [one for one in matchers if one.name in ("Host", "HostSNI")] if not mistake else []
    return sorted({value.lower() for one in wanted for value in one.values if "*" not in value})


def _is_ours(tls: Any) -> bool:
    """Whether a router's TLS ends in Traefik, with a certificate that it has from a file."""
    if not isinstance(tls, Mapping):
        return _true(tls)
    return not tls.get("certResolver") and not _true(tls.get("passthrough"))


def _true(value: Any) -> bool:
    return str(value).lower() == "true"


def covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is for a host; a wildcard stands for exactly one label."""
    name, host = name.lower().rstrip("."), host.lower().rstrip(".")
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def certificates_file(
    facts: Iterable[Mapping[str, Any]], source: str = "inventory", challenge: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """{text, generation, digests}: Traefik's file for pairs {digest, default}; text is None without any.

    challenge: {address, port} of who answers ACME's HTTP-01 for all ingress hosts: they forward what is asked for it.
    The fence has the form of the routes' fence.
    """
    pairs = {str(one["digest"]): one for one in facts}
    if not pairs and not challenge:
        return {"text": None, "generation": "", "digests": []}
    files = {digest: _files(source, digest) for digest in sorted(pairs)}
    document: dict[str, Any] = {"tls": {"certificates": list(files.values())}} if pairs else {}
    default = [digest for digest in files if pairs[digest].get("default")]
    if default:
        document["tls"]["stores"] = {"default": {"defaultCertificate": files[default[0]]}}
    routers: dict[str, Any] = {}
    if challenge:
        document["http"] = _forwarded(challenge)
        routers = document["http"]["routers"]
    generation = canonical.digest([source, document])[:16]
    rule = f"Path(`{FENCE_PREFIX}{generation}`)"
    fence = {"rule": rule, "service": "ping@internal", "entryPoints": [FENCE_ENTRYPOINT]}
    document.setdefault("http", {})["routers"] = {**routers, f"stowage-{source}-gen": fence}
    return {
        "text": escape_templates(canonical.dumps(document) + "\n"),
        "generation": generation,
        "digests": list(files),
    }


def _files(source: str, digest: str) -> dict[str, str]:
    return {"certFile": f"{DIRECTORY}/{source}/{digest}.pem", "keyFile": f"{DIRECTORY}/{source}/{digest}.key"}


def _forwarded(challenge: Mapping[str, Any]) -> dict[str, Any]:
    """Routes before all others, with and without TLS: an issuer of certificates follows redirects to https."""
    router = {
        "rule": "PathPrefix(`/.well-known/acme-challenge/`)",
        "priority": 2**62,
        "service": "stowage-acme",
    }
    server = {"url": f"http://{challenge['address']}:{challenge['port']}"}
    return {
        "routers": {"stowage-acme": router, "stowage-acme-tls": {**router, "tls": {}}},
        "services": {"stowage-acme": {"loadBalancer": {"servers": [server]}}},
    }


def lines(facts: Iterable[Mapping[str, Any]], missing: Iterable[str], removed: int) -> list[str]:
    """What changes on a host, for people: one line per certificate that it does not have yet, one for old ones."""
    absent = set(missing)
    told = [
        f"certificate {title(one)}: expires {day(one['ends'])}, changes" for one in facts if one["digest"] in absent
    ]
    return told + ([f"{removed} certificate(s) that are not wanted any more: removed"] if removed else [])


def title(one: Mapping[str, Any]) -> str:
    """A certificate's names, as far as they fit."""
    names = [str(name) for name in one["names"]]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(show(name)[1:-1] for name in names[:3]) + more if names else "a certificate without names"


def day(seconds: float) -> str:
    """2027-02-21, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _problem(code: str, where: str, reason: str, fix: str) -> Problem:
    return Problem(f"STW-CERT-{code}", where, reason, fix)
