# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Label and name mistakes found while planning, before a host is contacted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import Problem, show
from . import hostile
from .canary import check_stated
from .convert import is_enabled, normalize
from .dns import check_names
from .labels import is_routing, near, place
from .legacy import check_keys
from .options import FENCE_ENTRYPOINT
from .render import build, local_name
from .rules import Mistake, alternatives, check_rule

HARMLESS_INTERNALS = ("noop@internal", "ping@internal")
NO_API = (
    "drop this router, and a Traefik service that is here for it: Stowage runs Traefik on the ingress hosts; "
    "or set stowage_ingress.internal_services: true"
)


def check(services: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> list[Problem]:
    """Every mistake in the services' ingress labels and names, in a stable order.

    services: docs/architecture.md; options: `ingress_options`. Codes: STW-INGRESS-{ENABLE, LABEL, V1, PORT, SERVICE,
    RULE, REFERENCE, RESOLVER, INTERNAL, RESERVED, TEMPLATE, CLASH, WILDCARD, ROUTE, URL} and STW-DNS-NAME.
    """
    listed = sorted(services, key=lambda service: str(service["name"]))
    problems: list[Problem] = []
    for service in listed:
        problems += check_names(service, str(options.get("domain", "fleet")))
        problems += _key_problems(service)
        if is_enabled(service, options, []):
            problems += check_keys(service["name"], normalize(service["name"]), service.get("labels") or {})
            problems += _value_problems(service)
        problems += check_stated(service, options)
    document = build(listed, [], {**options, "defaults": False, "certificates": []}, problems)
    problems += _References(document, listed, options).problems()
    return list(dict.fromkeys(problems))


def _key_problems(service: Mapping[str, Any]) -> list[Problem]:
    keys = sorted(service.get("labels") or {})
    return [
        Problem("STW-INGRESS-RESERVED", place(service["name"], key), "labels stowage.* are Stowage's own", "rename it")
        for key in keys
        if key.lower().startswith("stowage.")
    ]


def _value_problems(service: Mapping[str, Any]) -> list[Problem]:
    problems = []
    labels = service.get("labels") or {}
    for key in sorted(key for key in labels if is_routing(key)):
        where, value = place(service["name"], key), str(labels[key])
        if "{{" in value or "{{" in key:
            reason = f"{show(value)} holds {{{{: Traefik would run it as a Go template of its file"
            problems.append(Problem("STW-INGRESS-TEMPLATE", where, reason, "write the value itself; }} alone is fine"))
        odd = _unprintable(key + value)
        if odd:
            reason = f"holds the control character {odd[0]!a}"
            problems.append(Problem("STW-INGRESS-LABEL", where, reason, "remove it"))
    return problems


def _unprintable(text: str) -> list[str]:
    return [char for char in text if ord(char) < 32 or 127 <= ord(char) < 160 or 0xD800 <= ord(char) < 0xE000]


class _References:
    """Checks of the merged document: what one object says of another."""

    def __init__(
        self, document: Mapping[str, Any], services: list[Mapping[str, Any]], options: Mapping[str, Any]
    ) -> None:
        self.document = document
        self.options = options
        self.owners = _owners(services, options)
        self.normalized = {normalize(owner): owner for owner in sorted({str(one["name"]) for one in services})}
        self.taken: dict[frozenset[str], list[tuple[str, Mapping[str, Any]]]] = {}
        self.found: list[Problem] = []

    def problems(self) -> list[Problem]:
        for protocol, kind, name, value in self._objects():
            if name.lower() == "stowage" or name.lower().startswith("stowage-"):
                where = self._where(protocol, kind, name)
                self._add("RESERVED", where, "names stowage and stowage-* are Stowage's own", "rename it")
            elif kind == "routers":
                self._router(protocol, name, value)
            elif kind == "middlewares":
                self._middleware(protocol, name, value)
            elif kind == "services":
                self._service(protocol, name, value)
        return self.found

    def _objects(self) -> Iterator[tuple[str, str, str, Any]]:
        for protocol in ("http", "tcp", "udp"):
            section = self.document.get(protocol) or {}
            for kind in ("middlewares", "routers", "services"):
                for name, value in sorted((section.get(kind) or {}).items()):
                    yield protocol, kind, name, value

    def _router(self, protocol: str, name: str, value: Mapping[str, Any]) -> None:
        where = self._where(protocol, "routers", name)
        self._entrypoints(where, value.get("entryPoints"))
        if value.get("service"):
            self._reference(where, protocol, "services", value["service"])
        for middleware in value.get("middlewares") or []:
            self._reference(where, protocol, "middlewares", middleware)
        if value.get("rule") and not self._is_v2(where, value) and not _unprintable(value["rule"]):
            self._rule(where, protocol, value)
        if isinstance(value.get("tls"), Mapping):
            self._tls(where, value["tls"])

    def _is_v2(self, where: str, value: Mapping[str, Any]) -> bool:
        syntax = str(value.get("ruleSyntax", ""))
        if syntax and syntax not in ("v2", "v3"):
            self._add("RULE", where, f"{show(syntax)} is not a rule syntax", "leave ruleSyntax out")
        return syntax == "v2"

    def _rule(self, where: str, protocol: str, value: Mapping[str, Any]) -> None:
        matchers, mistake = check_rule(value["rule"], tcp=protocol == "tcp")
        if mistake:
            self._add("RULE", f"{where} rule {show(value['rule'])}", mistake.reason, mistake.fix)
            return
        claim = hostile.wildcard(matchers, self.options.get("wildcards"))
        self._add_mistake("WILDCARD", where, claim)
        if protocol == "http":
            self._same_route(where, value)
        named = [m for m in matchers if m.name in ("HostSNI", "HostSNIRegexp") and m.values[0] != "*"]
        if protocol == "tcp" and named and not value.get("tls"):
            reason = f"{named[0].name}(`{named[0].values[0]}`) needs TLS: plain TCP carries no host name"
            self._add("RULE", where, reason, "add .tls=true (or .tls.passthrough=true), or write HostSNI(`*`)")

    def _same_route(self, where: str, value: Mapping[str, Any]) -> None:
        """Two services that claim one host and path: which of them answers would be chance."""
        owner = where.split(" ", 1)[0]
        for terms in sorted(alternatives(value["rule"]), key=sorted):
            others = self.taken.setdefault(terms, [])
            for other, settings in others:
                if other.split(" ", 1)[0] != owner and hostile.same_place(settings, value):
                    reason = f"{' && '.join(sorted(terms))} is also claimed by {other}"
                    self._add("ROUTE", where, reason, "change one of the rules, or give them different .priority")
                    return
            others.append((where, value))

    def _entrypoints(self, where: str, names: list[str] | None) -> None:
        known = list(self.options.get("entrypoints") or [])
        for name in names or []:
            if name == FENCE_ENTRYPOINT:
                self._add("RESERVED", where, f"entry point {FENCE_ENTRYPOINT} is Stowage's own", near(name, known))
            elif known and name not in known:
                self._add("REFERENCE", where, f"there is no entry point {show(name)}", near(name, known))

    def _tls(self, where: str, tls: Mapping[str, Any]) -> None:
        known = list(self.options.get("resolvers") or [])
        resolver = tls.get("certResolver")
        if resolver and resolver not in known:
            fix = "define it in stowage_ingress.static.certificatesResolvers, or use stowage_certificates"
            self._add("RESOLVER", where, f"there is no certificate resolver {show(resolver)}", fix)
        elif resolver and int(self.options.get("ingress_nodes", 1)) > 1:
            count = self.options["ingress_nodes"]
            reason = f"certificate resolver {show(resolver)} cannot work on {count} ingress hosts: each would ask alone"
            self._add("RESOLVER", where, reason, "write tls=true instead, with stowage_certificates")
        named = [*(self.options.get("tls_options") or ()), "default"]
        if tls.get("options") and "@" not in tls["options"] and tls["options"] not in named:
            fix = f"add it to stowage_ingress.tls_options, or write {tls['options']}@file for one of your own file"
            self._add("REFERENCE", where, f"there are no TLS options {show(tls['options'])}", fix)

    def _middleware(self, protocol: str, name: str, value: Mapping[str, Any]) -> None:
        where = self._where(protocol, "middlewares", name)
        kinds = sorted(value)
        if len(kinds) > 1:
            reason = f"has {len(kinds)} kinds ({', '.join(kinds)}), Traefik takes one"
            self._add("LABEL", where, reason, "give each its own name, and name both in the router")
        for other in (value.get("chain") or {}).get("middlewares") or []:
            self._reference(where, protocol, "middlewares", other)
        if (value.get("forwardAuth") or {}).get("address"):
            self._add_mistake("URL", where, hostile.back_end(value["forwardAuth"]["address"]))
        if (value.get("errors") or {}).get("service"):
            self._reference(where, protocol, "services", value["errors"]["service"])

    def _service(self, protocol: str, name: str, value: Mapping[str, Any]) -> None:
        where = self._where(protocol, "services", name)
        balancer = value.get("loadBalancer") or {}
        for server in balancer.get("servers") or []:
            if protocol == "http" and server.get("url"):  # without tasks there are only those that labels name
                self._add_mistake("URL", where, hostile.back_end(server["url"]))
        transport = balancer.get("serversTransport") or ""
        named = [*(self.options.get("transports") or ()), "stowage"]
        if transport and transport not in named and "@" not in transport:
            fix = f"add it to stowage_ingress.transports, or write {transport}@file for one of your own file"
            self._add("REFERENCE", where, f"there is no serversTransport {show(transport)}", fix)
        for other in value.get("middlewares") or []:
            self._reference(where, protocol, "middlewares", other)

    def _add_mistake(self, code: str, where: str, mistake: Mistake | None) -> None:
        if mistake:
            self._add(code, where, mistake.reason, mistake.fix)

    def _reference(self, where: str, protocol: str, kind: str, name: str) -> None:
        if name.endswith("@internal"):
            if name not in HARMLESS_INTERNALS and not self.options.get("internal_services"):
                self._add("INTERNAL", where, f"{name} shows every route, header and password hash of the fleet", NO_API)
            return
        known = (self.document.get(protocol) or {}).get(kind) or {}
        if "@" in name or local_name(name) in known:
            return  # name@file may stand in a file of the operator's
        what = f"there is no {protocol} {kind[:-1]} {show(name)}"
        self._add("REFERENCE", where, what, near(name, list(known)))

    def _where(self, protocol: str, kind: str, name: str) -> str:
        owner = self.owners.get(f"traefik.{protocol}.{kind}.{name}".lower(), "")
        found = owner or self.normalized.get(name, "")
        return place(found or "stowage_ingress", f"traefik.{protocol}.{kind}.{name}")

    def _add(self, code: str, where: str, reason: str, fix: str) -> None:
        self.found.append(Problem(f"STW-INGRESS-{code}", where, reason, fix))


def _owners(services: list[Mapping[str, Any]], options: Mapping[str, Any]) -> dict[str, str]:
    """The first service that names an object: {"traefik.http.routers.web": "shop_web"}, keys in lower case."""
    owners: dict[str, str] = {}
    for service in services:
        if not is_enabled(service, options, []):
            continue
        for key in sorted(key for key in service.get("labels") or {} if is_routing(key)):
            owners.setdefault(".".join(key.lower().split(".")[:4]), service["name"])
    return owners
