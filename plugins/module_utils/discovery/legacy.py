# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Traefik 1 labels: recognised, never converted; the message gives the form of Traefik 3."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Problem
from .labels import near, place

KNOWN_SECOND = ("enable", "http", "tcp", "udp", "tls", "docker", "swarm")
SERVER = "traefik.http.services.{name}.loadbalancer"
ROUTER = "traefik.http.routers.{name}"
MIDDLEWARE = "traefik.http.middlewares.{name}"
FORMS = (
    ("port", SERVER + ".server.port=<port>"),
    ("protocol", SERVER + ".server.scheme=<http|https|h2c>"),
    ("weight", SERVER + ".server.weight=<weight>"),
    ("domain", ROUTER + ".rule=Host(`<host>`)"),
    ("backend.healthcheck", SERVER + ".healthcheck.path=<path>"),
    ("backend.loadbalancer.stick", SERVER + ".sticky.cookie=true"),
    ("backend.loadbalancer.swarm", "traefik.swarm.lbswarm=true"),
    ("backend.circuitbreaker", MIDDLEWARE + ".circuitbreaker.expression=<expression>"),
    ("backend.maxconn", MIDDLEWARE + ".inflightreq.amount=<n>"),
    ("backend.buffering", MIDDLEWARE + ".buffering.maxrequestbodybytes=<n>"),
    ("backend", ROUTER + ".service=<service>"),
    ("frontend.rule", ROUTER + ".rule=Host(`<host>`) && PathPrefix(`<path>`)"),
    ("frontend.entrypoints", ROUTER + ".entrypoints=<entry point>"),
    ("frontend.priority", ROUTER + ".priority=<n>"),
    ("frontend.passhostheader", SERVER + ".passhostheader=<true|false>"),
    ("frontend.auth.basic", MIDDLEWARE + ".basicauth.users=<user:hash>"),
    ("frontend.auth.digest", MIDDLEWARE + ".digestauth.users=<user:realm:hash>"),
    ("frontend.auth.forward", MIDDLEWARE + ".forwardauth.address=<url>"),
    ("frontend.redirect", MIDDLEWARE + ".redirectscheme.scheme=https"),
    ("frontend.headers", MIDDLEWARE + ".headers.<field>=<value>"),
    ("frontend.whitelist", MIDDLEWARE + ".ipallowlist.sourcerange=<networks>"),
    ("frontend.ratelimit", MIDDLEWARE + ".ratelimit.average=<n>"),
    ("frontend.errors", MIDDLEWARE + ".errors.status=<codes>"),
    ("frontend", ROUTER + ".rule=Host(`<host>`)"),
)


def check_keys(service: str, name: str, labels: Mapping[str, str]) -> list[Problem]:
    """Problems of `traefik.*` keys that Traefik 3 would not read.

    service: for the place; name: the router's name in the suggestions. STW-INGRESS-V1 for Traefik 1 labels,
    STW-INGRESS-LABEL for near misses (`traefik.htp.`) and for what labels cannot set (`traefik.tls.options`).
    Other keys (`traefik.constraint-label`) are the user's own, as for Traefik.
    """
    problems = []
    for key in sorted(key for key in labels if key.lower().startswith("traefik.")):
        rest = key.lower().split(".", 1)[1]
        second = rest.split(".")[0]
        if second == "tls" and not rest.startswith("tls.stores.default."):
            fix = "put it in the static part of stowage_ingress or a file of your own"
            problems.append(Problem("STW-INGRESS-LABEL", place(service, key), "labels cannot set TLS options", fix))
        elif second not in KNOWN_SECOND:
            problems += _old_or_near(service, name, key, rest, second)
    return problems


def _old_or_near(service: str, name: str, key: str, rest: str, second: str) -> list[Problem]:
    form = _v3_form(rest) or (_v3_form(rest.split(".", 1)[1]) if "." in rest else None)
    if form:
        fix = f"write {form.format(name=name)}"
        return [Problem("STW-INGRESS-V1", place(service, key), "is a Traefik 1 label, Traefik 3 ignores it", fix)]
    hint = near(second, list(KNOWN_SECOND))
    if hint.startswith("did you mean"):
        return [Problem("STW-INGRESS-LABEL", place(service, key), f"Traefik does not read traefik.{second}", hint)]
    return []


def _v3_form(rest: str) -> str | None:
    for old, new in FORMS:
        if rest == old or rest.startswith(old + ".") or (old.endswith("stick") and rest.startswith(old)):
            return new
    return None
