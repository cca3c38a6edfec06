# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Routes that Traefik would take and nobody should be given unasked: other people's hosts, and the host's own doors."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import show
from .rules import Matcher, Mistake

SCHEMES = ("http", "https", "h2c")
PROBE = "any-name.of-any.domain-1.invalid"  # what a pattern for everything matches, and one for a domain does not
NUMBERS = re.compile(r"^[0-9a-fx.]+$", re.IGNORECASE)
OPT_IN = "name the hosts, or allow it: stowage_ingress.wildcards: true (or a list of domains)"


def wildcard(matchers: Iterable[Matcher], allowed: Any) -> Mistake | None:
    """The first matcher that claims hosts by a wildcard the settings do not allow, or None.

    allowed: True, False, or a list of domains (`shop.example` allows `*.shop.example`).
    """
    if allowed is True:
        return None
    domains = [str(domain).lower().lstrip("*.") for domain in allowed or ()]
    for matcher in matchers:
        value = matcher.values[0] if matcher.values else ""
        if matcher.name == "Host" and value.startswith("*") and not _covered(value, domains):
            return Mistake(f"Host(`{value}`) takes every name{' of that domain' if value != '*' else ''}", OPT_IN)
        if matcher.name == "HostRegexp" and _matches_all(value):
            return Mistake(f"HostRegexp(`{value}`) takes every name of every stack", OPT_IN)
    return None


def back_end(url: str) -> Mistake | None:
    """Why the address must not be one that Traefik sends requests to, or None."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 (raises for a port that is none)
    except ValueError:
        return Mistake(f"{show(url)} is not a URL", "write http://host:port")
    if parts.scheme not in SCHEMES or not host:
        return Mistake(f"{show(url)} is not a URL of http, https or h2c", "write http://host:port")
    found = _address(host)
    if host.lower().rstrip(".") in ("localhost", "metadata.google.internal") or (found and _is_local(found)):
        reason = f"{show(url)} leads to the ingress host itself or to its cloud's metadata, past every firewall"
        return Mistake(reason, "name a service of the fleet, or put this into a file of your own")
    return None


def same_place(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two routers (keys entryPoints, tls, priority) listen where a rule they share would be ambiguous."""
    if bool(one.get("tls")) != bool(other.get("tls")) or one.get("priority") != other.get("priority"):
        return False
    first, second = set(one.get("entryPoints") or ()), set(other.get("entryPoints") or ())
    return not first or not second or bool(first & second)


def _covered(value: str, domains: list[str]) -> bool:
    name = value.lower().lstrip("*").strip(".")
    return any(name == domain or name.endswith("." + domain) for domain in domains if domain)


def _matches_all(pattern: str) -> bool:
    try:
        return bool(re.search(pattern, PROBE))
    except (re.error, OverflowError, RecursionError):
        return False  # Go's syntax differs a little; what Python cannot read is Traefik's to judge


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host name is, in any notation a resolver takes: 169.254.1.1, 0xa9fe0101, [::ffff:a9fe:101]."""
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return mapped or found
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host)) if NUMBERS.match(host) else None
    except OSError:
        return None


def _is_local(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return found.is_link_local or found.is_loopback or found.is_unspecified or found.is_multicast
