# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All services' labels and serving tasks to the one file an ingress host's Traefik reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from .. import canonical
from ..errors import Problem, raise_all
from .canary import add_canaries, apart
from .convert import Item, Task, convert, is_enabled
from .defaults import TRANSPORT, complete_http
from .fence import FENCE_PREFIX, READY_PATH
from .options import FENCE_ENTRYPOINT

OWN_PROVIDERS = ("@swarm", "@docker")
# Legal in JSON but not in the YAML that Traefik takes it for.
UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def traefik_file(
    services: Iterable[Mapping[str, Any]], tasks: Iterable[Task], options: Mapping[str, Any]
) -> dict[str, str]:
    """The file for every ingress host: {"text", "generation"}. Same input in any order, same bytes.

    services, tasks: docs/architecture.md (tasks = those that serve now); options: `ingress_options`.
    text is one JSON document (Traefik reads JSON as YAML, file name stowage.yml) with Go template openings escaped.
    generation names the routes, not the fence: the first 16 hex digits of the document's digest without it. A service
    without a serving task keeps its routers and has an empty server list: clients get 503, not another route or 404.
    Raises StowageError with what `check` would have found in the labels themselves.
    """
    problems: list[Problem] = []
    document = build(services, tasks, options, problems)
    raise_all(problems)
    generation = canonical.digest(document)[:16]
    http = document.setdefault("http", {})
    http["routers"] = {**http.get("routers", {}), **_fence(generation), **_ready(options)}
    return {"text": escape_templates(_yaml_safe(document)), "generation": generation}


def build(
    services: Iterable[Mapping[str, Any]],
    tasks: Iterable[Task],
    options: Mapping[str, Any],
    problems: list[Problem],
) -> dict[str, Any]:
    """The document without the fence; problems collects what is wrong in labels, clashes between services included."""
    listed, canaries = apart(sorted(services, key=lambda service: str(service["name"])))
    serving: dict[str, list[Task]] = {}
    for task in tasks:
        serving.setdefault(str(task["service"]), []).append(task)
    items: list[Item] = []
    for service in listed:
        if is_enabled(service, options, problems):
            items += convert(service, serving.get(service["name"], []), options, problems)
    document, owners = _merge(items, problems)
    if options.get("defaults", True) and "http" in document:
        named = {service["name"]: service for service in listed}
        complete_http(document["http"], {name: [named[owner] for owner in found] for name, found in owners.items()})
    if canaries and "http" in document:
        problems += add_canaries(document["http"], owners, canaries, lambda name: serving.get(name, []), options)
    _add_settings(document, options)
    return document


def _add_settings(document: dict[str, Any], options: Mapping[str, Any]) -> None:
    """What the settings of the ingress say and labels cannot: files of certificates, TLS options, transports."""
    if options.get("certificates"):
        pairs = sorted((pair["cert"], pair["key"]) for pair in options["certificates"])
        document.setdefault("tls", {})["certificates"] = [{"certFile": cert, "keyFile": key} for cert, key in pairs]
    if options.get("tls_options"):
        document.setdefault("tls", {})["options"] = dict(options["tls_options"])
    for name, stated in sorted((options.get("transports") or {}).items()):
        timeouts = {**TRANSPORT["forwardingTimeouts"], **(stated.get("forwardingTimeouts") or {})}
        kept = document.setdefault("http", {}).setdefault("serversTransports", {})
        kept[name] = {**stated, "forwardingTimeouts": timeouts}


def escape_templates(text: str) -> str:
    """Text that Traefik's Go template engine turns back into `text`: nothing of it is executed."""
    return text.replace("{{", "{{`{{`}}")


def _fence(generation: str) -> dict[str, Any]:
    """Routes on the loopback entry point: this generation is live; any configuration is live."""
    paths = {"stowage-gen": FENCE_PREFIX + generation, "stowage-ready": READY_PATH}
    return {
        name: {"rule": f"Path(`{path}`)", "service": "ping@internal", "entryPoints": [FENCE_ENTRYPOINT]}
        for name, path in paths.items()
    }


def _ready(options: Mapping[str, Any]) -> dict[str, Any]:
    """For a balancer before the ingress hosts: whether this one shall get requests; before any route of a service."""
    names = sorted(options.get("ready_entrypoints") or ())
    if not names:
        return {}
    router = {"rule": f"Path(`{READY_PATH}`)", "service": "ping@internal", "entryPoints": names, "priority": 2**62}
    return {"stowage-ready-public": router}


def _yaml_safe(document: Any) -> str:
    # Not ASCII-only: JSON's surrogate pairs are no characters in YAML.
    text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False)
    return UNSAFE.sub(lambda match: f"\\u{ord(match.group()):04x}", text) + "\n"


def _merge(items: list[Item], problems: list[Problem]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The document, and the owners of each HTTP service. Equal objects unite (servers joined), others clash."""
    document: dict[str, Any] = {}
    first: dict[tuple[str, str, str], Item] = {}
    owners: dict[str, list[str]] = {}
    for item in items:
        key = (item.protocol, item.kind, item.name)
        value = _own_references(item)
        names = document.setdefault(item.protocol, {}).setdefault(item.kind, {})
        if key not in first:
            first[key] = item
            names[item.name] = value
        elif _without_servers(names[item.name]) != _without_servers(value):
            problems.append(_clash(first[key], item))
        else:
            _join_servers(names[item.name], value)
        if key[:2] == ("http", "services"):
            owners.setdefault(item.name, []).append(item.owner)
    return document, owners


def _clash(one: Item, other: Item) -> Problem:
    what = f"{one.protocol} {one.kind[:-1]} {one.name!a}"
    reason = f"{one.owner} and {other.owner} define {what} with different settings, and Traefik would drop both"
    return Problem("STW-INGRESS-CLASH", other.owner, reason, "rename one of them, or make the labels equal")


def _without_servers(value: Any) -> Any:
    if not isinstance(value, dict) or "loadBalancer" not in value:
        return value
    return {**value, "loadBalancer": {key: part for key, part in value["loadBalancer"].items() if key != "servers"}}


def _join_servers(value: Any, more: Any) -> None:
    if isinstance(value, dict) and "loadBalancer" in value:
        servers = value["loadBalancer"]["servers"]
        servers += [server for server in more["loadBalancer"]["servers"] if server not in servers]


def _own_references(item: Item) -> dict[str, Any]:
    """A copy in which `name@swarm` and `name@docker` mean our own name."""
    value = json.loads(json.dumps(item.value))
    if item.kind == "routers" and value.get("service"):
        value["service"] = local_name(value["service"])
    if value.get("middlewares") and isinstance(value["middlewares"], list):
        value["middlewares"] = [local_name(name) for name in value["middlewares"]]
    for holder, field in (("chain", "middlewares"), ("errors", "service")):
        part = value.get(holder)
        if item.kind == "middlewares" and isinstance(part, dict) and part.get(field):
            given = part[field]
            part[field] = [local_name(name) for name in given] if isinstance(given, list) else local_name(given)
    return dict(value)


def local_name(name: str) -> str:
    """`web@swarm` -> `web`; other names unchanged."""
    for provider in OWN_PROVIDERS:
        if name.endswith(provider):
            return name[: -len(provider)]
    return name
