# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One service's Traefik labels to routers, services and middlewares, as Traefik's own Swarm and Docker providers do."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import Problem, StowageError, show
from .labels import Decoder, is_routing, parse, place, read_flag

Task = Mapping[str, Any]
MAX_PORT = 65536
COOKIE_SEED = "_TRAEFIK_BACKEND_"


class Item(NamedTuple):
    """One router, service or middleware that a service's labels define."""

    protocol: str  # http | tcp | udp | tls
    kind: str  # routers | services | middlewares | stores
    name: str
    owner: str  # the Stowage service
    value: dict[str, Any]


def normalize(name: str) -> str:
    """Traefik's name for a Docker name: letters and digits joined by dashes (`shop_web` -> `shop-web`)."""
    return "-".join("".join(char if char.isalnum() else " " for char in name).split())


def is_enabled(service: Mapping[str, Any], options: Mapping[str, Any], problems: list[Problem]) -> bool:
    """Whether a service is exposed: `traefik.enable`, else the option exposed_by_default.

    problems gets STW-INGRESS-ENABLE for a value that is no boolean, and for routing labels without traefik.enable:
    Swarm's provider would expose them, so silence would lose a route.
    """
    labels = service.get("labels") or {}
    given = [key for key in sorted(labels) if key.lower() == "traefik.enable"]
    if given:
        flag = read_flag(str(labels[given[0]]))
        if flag is None:
            reason = f"{show(labels[given[0]])} is neither true nor false"
            problems.append(Problem("STW-INGRESS-ENABLE", place(service["name"], given[0]), reason, "write true"))
        return bool(flag)
    routing = sum(1 for key in labels if is_routing(key))
    if routing and not options.get("exposed_by_default"):
        reason = f"{routing} Traefik label(s) but no traefik.enable, so nothing would be exposed"
        fix = "add traefik.enable=true (or =false), or set stowage_ingress.exposed_by_default"
        problems.append(Problem("STW-INGRESS-ENABLE", service["name"], reason, fix))
    return bool(options.get("exposed_by_default"))


def convert(
    service: Mapping[str, Any], tasks: Iterable[Task], options: Mapping[str, Any], problems: list[Problem]
) -> list[Item]:
    """The items of one enabled service, with one server per serving task.

    service, tasks: docs/architecture.md; tasks are those of this service. problems collects what Traefik would drop
    or refuse: STW-INGRESS-LABEL, -PORT, -SERVICE, -RULE.
    """
    tree = parse(service["name"], service.get("labels") or {}, problems)
    found = Decoder(service["name"], problems, bool(options.get("unknown_fields"))).decode(tree)
    sections = {name: found.get(name) or {} for name in ("http", "tcp", "udp")}
    others = any(sections[name].get(kind) for name in ("tcp", "udp") for kind in ("routers", "services"))
    addresses = [address(task) for task in sorted(tasks, key=task_order)]
    conversion = _Conversion(service, addresses, problems)
    items: list[Item] = []
    for protocol, section in sections.items():
        wanted = bool(section.get("routers") or section.get("services"))
        if protocol == "http":
            wanted = wanted or bool(section.get("middlewares")) or not others
        if wanted:
            conversion.complete(protocol, section)
        for kind in ("routers", "services", "middlewares"):
            items += [Item(protocol, kind, name, service["name"], value) for name, value in _dicts(section.get(kind))]
    for name, value in _dicts((found.get("tls") or {}).get("stores")):
        items.append(Item("tls", "stores", name, service["name"], value))
    return items


def task_order(task: Task) -> tuple[str, int, str, str, str]:
    """Sort key of tasks: service, slot (numbers as numbers), node, address."""
    slot = str(task["slot"])
    return str(task["service"]), int(slot) if slot.isdigit() else -1, slot, str(task["node"]), str(task["ip"])


def address(task: Task) -> str:
    """The task's address, checked: it comes from a label on a host and goes into files of others.

    Raises StowageError STW-INGRESS-ADDRESS.
    """
    try:
        found = ipaddress.ip_address(str(task["ip"]))
        if not getattr(found, "scope_id", None):  # a scope may hold any text
            return str(found)
        raise ValueError
    except ValueError:
        where = f"{show(task['service'])}.{show(task['slot'])} on {show(task['node'])}"
        reason = f"{show(task['ip'])} is not an address"
        raise StowageError(
            Problem("STW-INGRESS-ADDRESS", where, reason, "remove that container: docker rm -f")
        ) from None


def _dicts(names: Any) -> list[tuple[str, dict[str, Any]]]:
    """Names in order; a value that was switched off or is no mapping is left out."""
    return [(name, value) for name, value in sorted((names or {}).items()) if isinstance(value, dict)]


def _name_cookie(target: str, sticky: Any) -> None:
    """Names a sticky cookie without a name as Traefik's Swarm provider does: sessions survive the move from Swarm.

    Left alone, Traefik would make another name, from `<service>@file`.
    """
    cookie = sticky.get("cookie") if isinstance(sticky, dict) else None
    if cookie and not (isinstance(cookie, dict) and cookie.get("name")):
        seed = f"{COOKIE_SEED}{target}@swarm".encode()
        digest = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
        sticky["cookie"] = {**(cookie if isinstance(cookie, dict) else {}), "name": f"_{digest[:5]}"}


class _Conversion:
    """Adds to the sections of one service what labels leave to defaults: services, routers, servers, references."""

    def __init__(self, service: Mapping[str, Any], addresses: list[str], problems: list[Problem]) -> None:
        self.owner = str(service["name"])
        self.service = service
        self.addresses = addresses
        self.problems = problems

    def complete(self, protocol: str, section: dict[str, Any]) -> None:
        name = normalize(self.owner)
        services = section["services"] = section.get("services") or {name: {}}
        for target, value in _dicts(services):
            balancer = value.setdefault("loadBalancer", {})
            balancer["servers"] = self._servers(protocol, target, balancer.pop("server", {}))
            if protocol == "http":
                _name_cookie(target, balancer.get("sticky"))
        routers = section.setdefault("routers", {})
        if protocol == "http" and not routers and len(services) == 1:
            routers[name] = {}
        for router, value in _dicts(routers):
            self._router(protocol, router, value, sorted(services))

    def _router(self, protocol: str, router: str, value: dict[str, Any], services: list[str]) -> None:
        path = place(self.owner, f"traefik.{protocol}.routers.{router}")
        if not value.get("rule") and protocol == "http":
            value["rule"] = f"Host(`{normalize(self.owner)}`)"
        if not value.get("rule") and protocol == "tcp":
            self._add("RULE", path, "a TCP router needs a rule", "add .rule=HostSNI(`*`)")
        if value.get("service"):
            return
        if len(services) == 1:
            value["service"] = services[0]
            return
        reason = f"has no service and {len(services)} are defined ({', '.join(services)}), so Traefik drops it"
        self._add("SERVICE", path, reason, f"add .service={services[0]}")

    def _servers(self, protocol: str, target: str, server: Any) -> list[dict[str, Any]]:
        settings = dict(server) if isinstance(server, dict) else {}
        where = place(self.owner, f"traefik.{protocol}.services.{target}.loadbalancer.server.port")
        if settings.get("url"):
            if "port" in settings or "scheme" in settings:
                self._add("PORT", where, "server.url stands beside port or scheme", "keep only url")
            return [{key: value for key, value in settings.items() if key not in ("port", "scheme")}]
        settings.pop("url", None)
        scheme, port = settings.pop("scheme", "") or "http", settings.pop("port", "")
        number = self._port(protocol, port, where)
        if number is None:
            return []
        hosts = [f"[{ip}]" if ":" in ip else ip for ip in self.addresses]
        if protocol == "http":
            return [{"url": f"{scheme}://{host}:{number}", **settings} for host in hosts]
        return [{"address": f"{host}:{number}", **settings} for host in hosts]

    def _port(self, protocol: str, port: str, where: str) -> int | None:
        """The label's port, else the only port of that protocol in `ports:`."""
        if port:
            if port.isascii() and port.isdigit() and 0 < int(port) < MAX_PORT:
                return int(port)
            self._add("PORT", where, f"{show(port)} is not a port", "write 1 to 65535")
            return None
        transport = "udp" if protocol == "udp" else "tcp"
        stated = [entry for entry in self.service.get("ports") or [] if entry.get("protocol", "tcp") == transport]
        targets = sorted({int(entry["target"]) for entry in stated})
        if len(targets) == 1:
            return targets[0]
        shown = f"{len(targets)} ports ({', '.join(map(str, targets))})" if targets else "no port"
        reason = f"port is missing: the label is not set and ports: names {shown}"
        self._add("PORT", where, reason, "set it to the port the containers listen on")
        return None

    def _add(self, code: str, where: str, reason: str, fix: str) -> None:
        self.problems.append(Problem(f"STW-INGRESS-{code}", where, reason, fix))
