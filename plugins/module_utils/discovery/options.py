# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of the ingress: `stowage_ingress` of the inventory, checked and completed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import Problem, raise_all, show
from .labels import near

FENCE_ENTRYPOINT = "stowage"
MAX_PORT = 65536
NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$")
ADDRESS = re.compile(r"^(\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9.-]*):([0-9]{1,5})(/(tcp|udp))?$", re.IGNORECASE)
DOMAIN = re.compile(r"^(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$")
OF_THE_ROLE = ("image", "static", "access_log", "metrics", "drain")
MOST_DRAIN = 300
TLS_FIELDS = (
    "minVersion",
    "maxVersion",
    "cipherSuites",
    "curvePreferences",
    "clientAuth",
    "sniStrict",
    "alpnProtocols",
    "disableSessionTickets",
    "preferServerCipherSuites",
)
TRANSPORT_FIELDS = (
    "forwardingTimeouts",
    "serverName",
    "insecureSkipVerify",
    "rootCAs",
    "certificates",
    "maxIdleConnsPerHost",
    "disableHTTP2",
    "peerCertURI",
    "spiffe",
)
TLS_VERSION = re.compile(r"^VersionTLS1[0-3]$")
SETTINGS: dict[str, Any] = {
    "image": "traefik:v3",
    "entrypoints": {"web": ":80"},
    "fence_port": 8090,
    "exposed_by_default": False,
    "defaults": True,
    "internal_services": False,
    "unknown_fields": False,
    "wildcards": False,
    "access_log": False,
    "metrics": False,
    "certificates": [],
    "tls_options": {},
    "ready_entrypoints": [],
    "transports": {},
    "drain": 0,
    "static": {},
}


def ingress_options(settings: Any, domain: str = "fleet", ingress_nodes: int = 1) -> dict[str, Any]:
    """The `options` of this room from the variable `stowage_ingress` and the fleet.

    settings: {image, entrypoints {name: ":80" | {address: ":80", ...}}, fence_port, exposed_by_default, defaults,
    internal_services, unknown_fields, wildcards (flag or [domain]), certificates [{cert, key}], tls_options {name: {}},
    ready_entrypoints [name], transports {name: {}}, drain (seconds), static {}}; every key
    has a default, access_log and metrics are flags. domain: the fleet's. ingress_nodes: how many hosts run Traefik.
    Result: those keys without image, static, drain and the two flags (the role's own, no part of a plan), `entrypoints`
    as a sorted list of names, plus domain, ingress_nodes and resolvers (certificate resolvers named in `static`).
    Raises StowageError with every mistake (STW-INGRESS-OPTION).
    """
    given = {} if settings is None else settings
    if not isinstance(given, Mapping):
        raise_all([_problem("stowage_ingress", f"{show(given)} is not a mapping", "write {entrypoints: {web: ':80'}}")])
    merged = {**SETTINGS, **given}
    problems = [
        _problem(f"stowage_ingress.{show(key)}", "unknown key", near(str(key), list(SETTINGS)))
        for key in given
        if key not in SETTINGS
    ]
    problems += _flag_problems(merged) + _entrypoint_problems(merged["entrypoints"], merged["fence_port"])
    problems += _certificate_problems(merged["certificates"]) + _tls_problems(merged["tls_options"])
    problems += _ready_problems(merged["ready_entrypoints"], merged["entrypoints"]) + _drain_problems(merged["drain"])
    problems += _transport_problems(merged["transports"])
    raise_all(problems)
    resolvers = merged["static"].get("certificatesResolvers") or {}
    return {
        **{key: merged[key] for key in SETTINGS if key not in OF_THE_ROLE},
        "entrypoints": sorted(merged["entrypoints"]),
        "resolvers": sorted(resolvers),
        "domain": domain,
        "ingress_nodes": ingress_nodes,
    }


def _problem(where: str, reason: str, fix: str) -> Problem:
    return Problem("STW-INGRESS-OPTION", where, reason, fix)


def _flag_problems(merged: Mapping[str, Any]) -> list[Problem]:
    problems = []
    for key, default in SETTINGS.items():
        if key == "wildcards" and isinstance(merged[key], (list, tuple)) and all(map(_is_domain, merged[key])):
            continue
        if isinstance(default, bool) and not isinstance(merged[key], bool):
            problems.append(
                _problem(f"stowage_ingress.{key}", f"{show(merged[key])} is not a boolean", "true or false")
            )
    if not isinstance(merged["image"], str) or not merged["image"]:
        reason = f"{show(merged['image'])} is not an image reference"
        problems.append(_problem("stowage_ingress.image", reason, "write traefik:v3"))
    if not isinstance(merged["static"], Mapping):
        reason = f"{show(merged['static'])} is not a mapping"
        problems.append(_problem("stowage_ingress.static", reason, "write Traefik's static configuration as a mapping"))
    elif isinstance(merged["static"].get("api"), Mapping) and merged["static"]["api"].get("insecure"):
        reason = "shows every route, header and password hash to all who reach port 8080"
        fix = "drop it; a router to api@internal with authentication needs internal_services: true"
        problems.append(_problem("stowage_ingress.static.api.insecure", reason, fix))
    return problems


def _is_domain(text: Any) -> bool:
    return isinstance(text, str) and bool(DOMAIN.match(text))


def _entrypoint_problems(entrypoints: Any, fence_port: Any) -> list[Problem]:
    where = "stowage_ingress.entrypoints"
    problems = []
    if not isinstance(fence_port, int) or isinstance(fence_port, bool) or not 0 < fence_port < MAX_PORT:
        reason = f"{show(fence_port)} is not a port"
        problems.append(_problem("stowage_ingress.fence_port", reason, "choose a free port, e.g. 8090"))
    if not isinstance(entrypoints, Mapping) or not entrypoints:
        return [*problems, _problem(where, f"{show(entrypoints)} is not a mapping of entry points", "web: ':80'")]
    taken = {(fence_port, "tcp"): FENCE_ENTRYPOINT}
    for name in sorted(entrypoints, key=str):
        setting = entrypoints[name]
        address = setting.get("address") if isinstance(setting, Mapping) else setting
        found = ADDRESS.match(str(address))
        port = (int(found.group(2)), (found.group(4) or "tcp").lower()) if found else (0, "")
        if not NAME.match(str(name)) or str(name).lower() in (FENCE_ENTRYPOINT, "traefik"):
            problems.append(_problem(f"{where}.{show(name)}", "is not a free entry point name", "call it web"))
        elif not 0 < port[0] < MAX_PORT:
            problems.append(
                _problem(f"{where}.{name}", f"{show(address)} is not an address", "write ':80' or ':53/udp'")
            )
        elif port in taken:
            reason = f"port {port[0]}/{port[1]} is already that of {taken[port]}"
            problems.append(_problem(f"{where}.{name}", reason, "give every entry point its own port"))
        else:
            taken[port] = str(name)
    return problems


def _certificate_problems(certificates: Any) -> list[Problem]:
    where = "stowage_ingress.certificates"
    if not isinstance(certificates, (list, tuple)):
        return [_problem(where, f"{show(certificates)} is not a list", "write [{cert: /path, key: /path}]")]
    problems = []
    for index, pair in enumerate(certificates):
        good = isinstance(pair, Mapping) and set(pair) == {"cert", "key"}
        if not good or not all(str(path).startswith("/etc/stowage/traefik/") for path in pair.values()):
            reason = f"{show(pair)} is not a pair of paths below /etc/stowage/traefik/"
            fix = "write {cert: /etc/stowage/traefik/certs/shop.pem, key: /etc/stowage/traefik/certs/shop.key}"
            problems.append(_problem(f"{where}[{index}]", reason, fix))
    return problems


def _tls_problems(options: Any) -> list[Problem]:
    where = "stowage_ingress.tls_options"
    if not isinstance(options, Mapping):
        return [_problem(where, f"{show(options)} is not a mapping", "write {default: {minVersion: VersionTLS12}}")]
    problems = []
    for name in sorted(options, key=str):
        if not NAME.match(str(name)) or not isinstance(options[name], Mapping):
            fix = "write a name and its options, e.g. {default: {minVersion: VersionTLS12}}"
            problems.append(_problem(f"{where}.{show(name)}", "is not a name with options", fix))
            continue
        for key, value in options[name].items():
            if key not in TLS_FIELDS:
                reason = "Traefik takes no such TLS option"
                problems.append(_problem(f"{where}.{name}.{show(key)}", reason, near(str(key), list(TLS_FIELDS))))
            elif key in ("minVersion", "maxVersion") and not TLS_VERSION.match(str(value)):
                fix = "VersionTLS12 or VersionTLS13"
                problems.append(_problem(f"{where}.{name}.{key}", f"{show(value)} is no version of TLS", fix))
    return problems


def _transport_problems(transports: Any) -> list[Problem]:
    where = "stowage_ingress.transports"
    if not isinstance(transports, Mapping):
        fix = "write {quick: {forwardingTimeouts: {responseHeaderTimeout: 3s}}}"
        return [_problem(where, f"{show(transports)} is not a mapping", fix)]
    problems = []
    for name in sorted(transports, key=str):
        if (
            not NAME.match(str(name))
            or str(name).lower().startswith("stowage")
            or not isinstance(transports[name], Mapping)
        ):
            fix = "write a name that does not begin with stowage, and its settings"
            problems.append(_problem(f"{where}.{show(name)}", "is not a name with settings", fix))
            continue
        for key in transports[name]:
            if key not in TRANSPORT_FIELDS:
                reason = "Traefik's transports have no such setting"
                problems.append(_problem(f"{where}.{name}.{show(key)}", reason, near(str(key), list(TRANSPORT_FIELDS))))
    return problems


def _ready_problems(names: Any, entrypoints: Any) -> list[Problem]:
    where = "stowage_ingress.ready_entrypoints"
    if not isinstance(names, (list, tuple)):
        return [_problem(where, f"{show(names)} is not a list", "write the names of entry points, e.g. [web]")]
    known = list(entrypoints) if isinstance(entrypoints, Mapping) else []
    return [
        _problem(where, f"there is no entry point {show(name)}", near(str(name), known))
        for name in names
        if name not in known
    ]


def _drain_problems(drain: Any) -> list[Problem]:
    if isinstance(drain, (int, float)) and not isinstance(drain, bool) and 0 <= drain <= MOST_DRAIN:
        return []
    reason = f"{show(drain)} is not a number of seconds from 0 to {MOST_DRAIN}"
    return [_problem("stowage_ingress.drain", reason, "0 without a balancer before the ingress hosts, 15 with one")]
