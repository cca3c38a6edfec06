# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Stowage adds to an HTTP service unless its labels say otherwise: the ingress survives the death of a replica.

Active checks alone are not enough: each reload of Traefik's configuration takes every server for healthy again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

RETRY_NAME = "stowage-retry"
TRANSPORT_NAME = "stowage"
# A status retry reads the request's body into memory first: bodies above 1 MiB pass without it.
RETRY = {
    "retry": {
        "attempts": 4,
        "initialInterval": "50ms",
        "status": ["502", "503", "504"],
        "maxRequestBodyBytes": 1048576,
    }
}
TRANSPORT = {"forwardingTimeouts": {"dialTimeout": "1s"}}
PASSIVE = {"failureWindow": "10s", "maxFailedAttempts": 1}
HTTP_PORT = 80
CHECK_TIMES = {"interval": "2s", "unhealthyInterval": "1s", "timeout": "1s"}
LOCAL_URL = re.compile(
    r"""\bhttp://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?(/[^\s"'|;&<>()$`\\]*)?(?=$|[\s"'|;&)])"""
)


def complete_http(http: dict[str, Any], owners: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Adds the default blocks to a merged `http` section, in place.

    owners: the Stowage services behind each Traefik service, for their health check.
    """
    services = http.get("services") or {}
    for name, service in services.items():
        _complete_service(service["loadBalancer"], owners.get(name, ()))
    if any(service["loadBalancer"]["serversTransport"] == TRANSPORT_NAME for service in services.values()):
        http.setdefault("serversTransports", {})[TRANSPORT_NAME] = TRANSPORT
    middlewares = http.get("middlewares") or {}
    for router in (http.get("routers") or {}).values():
        target = services.get(router.get("service"))
        used = router.get("middlewares") or []
        if target is None or not target["loadBalancer"]["servers"]:
            continue
        if not _retries([*used, *(target.get("middlewares") or [])], middlewares, set()):
            router["middlewares"] = [*used, RETRY_NAME]
            http.setdefault("middlewares", middlewares)[RETRY_NAME] = RETRY


def health_path(service: Mapping[str, Any]) -> dict[str, Any] | None:
    """{path, hostname, port} of the HTTP check a Compose healthcheck makes, or None if it makes none that is known.

    A test counts when it fetches exactly one http://localhost URL. `health_path` in the Service wins: {path} only; and
    so does the http probe of x-stowage.health.ready.
    """
    if service.get("health_path"):
        return {"path": str(service["health_path"]), "hostname": "", "port": None}
    asked = (service.get("health") or {}).get("ready") or {}
    if asked.get("kind") == "http":
        return {"path": asked["path"], "hostname": asked["host"], "port": asked["port"]}
    test = ((service.get("template") or {}).get("healthcheck") or {}).get("test") or []
    words = [test] if isinstance(test, str) else [str(word) for word in test]
    found = [match for word in words for match in LOCAL_URL.finditer(word)]
    if len(found) != 1 or (words and words[0] == "NONE"):
        return None
    host, colon_port, path = found[0].groups()
    port = int(colon_port[1:]) if colon_port else HTTP_PORT
    return {"path": path or "/", "hostname": host if port == HTTP_PORT else f"{host}:{port}", "port": port}


def _complete_service(balancer: dict[str, Any], owners: Sequence[Mapping[str, Any]]) -> None:
    balancer.setdefault("serversTransport", TRANSPORT_NAME)
    if len(balancer["servers"]) > 1:
        balancer["passiveHealthCheck"] = {**PASSIVE, **(balancer.get("passiveHealthCheck") or {})}
    if balancer.get("healthCheck"):
        balancer["healthCheck"] = {**CHECK_TIMES, **balancer["healthCheck"]}
        return
    checks = [health_path(owner) for owner in owners]
    check = checks[0] if checks and all(other == checks[0] for other in checks) else None
    if check and _serves(balancer["servers"], check["port"]):
        # The container's own check sends this Host and takes a redirect as success: do the same.
        host = {"hostname": check["hostname"], "followRedirects": False} if check["hostname"] else {}
        balancer["healthCheck"] = {**CHECK_TIMES, "path": check["path"], **host}


def _serves(servers: Sequence[Mapping[str, Any]], port: int | None) -> bool:
    """Only the port that serves traffic is surely reachable from outside: an admin port may listen on loopback."""
    urls = [str(server["url"]) for server in servers]
    return bool(urls) and all(url.startswith("http://") and (port is None or url.endswith(f":{port}")) for url in urls)


def _retries(names: Sequence[str], middlewares: Mapping[str, Any], seen: set[str]) -> bool:
    """Whether one of the middlewares retries, chains included."""
    for name in names:
        value = middlewares.get(name)
        if name in seen or not isinstance(value, Mapping):
            continue
        seen.add(name)
        if "retry" in value or _retries((value.get("chain") or {}).get("middlewares") or [], middlewares, seen):
            return True
    return False
