# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A stack's normal form as Service values: names resolved, seconds and bytes, Swarm's defaults filled in."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .. import secrets
from ..errors import SHOWN_CHARACTERS, Problem, raise_all, show
from .allow import compile_allow
from .bake import bakes, pinned
from .canary import compile_canary
from .check import NAME, check
from .check_container import file_target
from .check_rights import host_network
from .config_golang import TemplateMistake
from .config_source import compile_config_source, used_by_host
from .config_templates import described, identity
from .depending import awaited, says_restart, targets
from .findings import Findings
from .fixed import idle_subnets
from .health import compile_health
from .live import split_live
from .placement import compile_placement
from .rolling import compile_update, versions
from .template import container_template, published
from .units import parse_cpus, seconds

ReadFile = Callable[[str], bytes]
SecretDigest = Callable[[str, str, bytes], str]
DEFAULT_DRAIN = 2.0
LEAST_READY_TIMEOUT = 60.0
LONGEST_JOB = 600.0  # seconds that others wait for the end of a service, if it does not say
MAX_FILE = {"secret": 500 * 1024, "config": 1000 * 1024}  # bytes, as in Swarm
OPEN_MODE = 0o444
RESERVED_STACKS = ("all", "localhost", "svc", "tasks", "stowage")


def compile_services(
    stack: str,
    normal: Mapping[str, Any],
    base_dir: str,
    read_file: ReadFile | None = None,
    secret_digest: SecretDigest | None = None,
) -> dict[str, Any]:
    """The Services of one stack: {"services": [...], "files": {digest: entry}, "networks": [...], "warnings": [str]}.

    normal: what load gave (or a plain dict of the same shape). base_dir: where relative paths of configs and secrets
    start. read_file(path) -> bytes reads them; secret_digest(stack, name, value) -> hex tells secrets apart. The shape
    of a Service is in docs/architecture.md. Raises one StowageError with every mistake.
    """
    problems = _stack_name(stack) + check(normal)
    findings = Findings(normal)
    source = Source(base_dir, read_file or _read, secret_digest or _default_digest)
    files = _Files(stack, normal, source, findings)
    if not problems or all(problem.code != "STW-REFERENCE" for problem in problems):
        files.collect()
    wanted = bakes(normal, base_dir, source.read, findings)
    images = pinned(wanted, getattr(normal, "given", {}).get("baked", {}), findings)
    raise_all(problems + findings.problems)
    stated = normal["services"]
    jobs = versions({name: {**item, "image": images.get(name, item.get("image", ""))} for name, item in stated.items()})
    whole = _Whole(stack, normal, files, awaited(stated), _linked(stated), images, jobs)
    services = [_service(whole, name) for name in sorted(normal["services"])]
    names = {network for service in normal["services"].values() for network in service.get("networks") or ["default"]}
    return {
        "services": services,
        "files": files.entries,
        "networks": [_network(stack, normal, name) for name in sorted(names)],
        "warnings": _warnings(stack, normal),
    }


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def _shown(path: str) -> str:
    """A path, safe to print; a long one keeps its end, which tells it from others."""
    room = SHOWN_CHARACTERS - len("'...'")
    return show(path if len(path) <= room else f"...{path[-room:]}")


def _default_digest(stack: str, name: str, value: bytes) -> str:
    return secrets.digest("", stack, name, value)


def _stack_name(stack: str) -> list[Problem]:
    if not NAME.fullmatch(stack) or stack in RESERVED_STACKS or stack.startswith("stowage-"):
        fix = "use small letters, digits, - _ ., no reserved name; the name is the file's, or stated in stowage_stacks"
        return [Problem("STW-NAME", f"stack {show(stack)}", "the stack's name is not usable in DNS", fix)]
    return []


class Source(NamedTuple):
    """Where the contents of configs and secrets come from, and how secrets are told apart."""

    base: str
    read: ReadFile
    secret_digest: SecretDigest


class _Files:
    """Configs and secrets that services mount: read once, each with its digest."""

    def __init__(self, stack: str, normal: Mapping[str, Any], source: Source, findings: Findings) -> None:
        self._stack, self._normal, self._source, self._findings = stack, normal, source, findings
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self.entries: dict[str, dict[str, Any]] = {}

    def collect(self) -> None:
        """Read every config and secret that a service uses; mistakes go to the findings."""
        for kind in ("configs", "secrets"):
            used = {
                item["source"]
                for service in (self._normal.get("services") or {}).values()
                for item in _items(kind, service)
                if item.get("source")
            }
            for source in sorted(used):
                self._collect(kind, source, (self._normal.get(kind) or {})[source])

    def _collect(self, kind: str, source: str, stated: Mapping[str, Any]) -> None:
        name = stated.get("name") or f"{self._stack}_{source}"
        entry: dict[str, Any] = {"kind": kind[:-1], "name": name}
        reference = (stated.get("x-stowage") or {}).get("from") if kind == "secrets" else None
        if reference:
            self._refer((kind, source), entry, secrets.sops.placed(reference, os.path.abspath(self._source.base)))
            return
        if stated.get("external") or not (stated.get("file") or stated.get("content")):
            return
        if stated.get("file"):
            entry["path"] = os.path.normpath(os.path.join(self._source.base, stated["file"]))
        else:
            entry["content"] = stated["content"]
        value = self._content((kind, source), entry)
        key = str((stated.get("x-stowage") or {}).get("key", "")) if kind == "secrets" else ""
        if value is not None and secrets.sops.kind(value):
            self._encrypted((kind, source), entry, key)
        elif value is not None and key:
            reason = "has a key, and its file is not encrypted by SOPS"
            self._findings.add((kind, source, "x-stowage", "key"), "STW-SOPS", reason, "take the key away, or encrypt")
        elif value is not None and self._is_described((kind, source), entry, value):
            config = kind == "configs"
            digest = identity(entry, value) if config else self._source.secret_digest(self._stack, name, value)
            self._known[(kind, source)] = (name, digest)
            self.entries[digest] = entry

    def _refer(self, path: tuple[str, str], entry: Mapping[str, Any], reference: str) -> None:
        """A secret by reference: its digest is found out when its source is asked."""
        digest = secrets.placeholder(self._stack, entry["name"], reference)
        self._known[path] = (entry["name"], digest)
        named = {"kind": "secret", "name": entry["name"], "stack": self._stack}
        self.entries[digest] = {**named, "reference": reference}

    def _encrypted(self, path: tuple[str, str], entry: Mapping[str, Any], key: str) -> None:
        if path[0] == "configs":
            reason = "is encrypted by SOPS, and a config is handed out as it is"
            self._findings.add((*path, "file"), "STW-SOPS", reason, "make it a secret")
            return
        self._refer(path, entry, secrets.sops.written(os.path.abspath(entry["path"]), key))

    def _is_described(self, path: tuple[str, str], entry: dict[str, Any], value: bytes) -> bool:
        """False (and a finding) if it is a template that cannot be filled in; of one that can, the entry tells so."""
        driver = self._normal[path[0]][path[1]].get("template_driver")
        if not driver:
            return True
        try:
            entry["template"] = described(driver, value, getattr(self._normal, "given", {}))
        except TemplateMistake as mistake:
            line = f", line {mistake.line}" if mistake.line else ""
            self._findings.add(
                (*path, "template_driver"), "STW-TEMPLATE", f"{_shown(mistake.reason)}{line}", mistake.fix
            )
            return False
        return True

    def _content(self, path: tuple[str, ...], entry: Mapping[str, Any]) -> bytes | None:
        try:
            value = self._source.read(entry["path"]) if "path" in entry else entry["content"].encode("utf-8", "strict")
        except (OSError, ValueError) as error:
            reason = f"{_shown(entry.get('path', 'content'))}: {getattr(error, 'strerror', None) or 'cannot be read'}"
            fix = "the path starts at the first stack file, on the controller"
            self._findings.add((*path, "file"), "STW-FILE", reason, fix)
            return None
        if len(value) > MAX_FILE[entry["kind"]]:
            reason = f"has {len(value)} bytes, at most {MAX_FILE[entry['kind']]} are allowed"
            self._findings.add((*path, "file"), "STW-FILE", reason, "put large files into a volume or the image")
            return None
        return value

    def mounted(self, service: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The template's `files` of one service."""
        return [
            {
                "kind": kind[:-1],
                "name": self._known[(kind, item["source"])][0],
                "target": posixpath.normpath(file_target(kind, item)),
                "digest": self._known[(kind, item["source"])][1],
                "uid": str(item.get("uid", "0")),
                "gid": str(item.get("gid", "0")),
                "mode": item.get("mode", OPEN_MODE),
                **({"host": True} if item.get("host") else {}),
            }
            for kind in ("configs", "secrets")
            for item in _items(kind, service)
            if not (kind == "configs" and item.get("host"))
        ]

    def text(self, config: str) -> str:
        """The content of a config that a service states."""
        entry = self.entries[self._known[("configs", config)][1]]
        value = self._source.read(entry["path"]) if "path" in entry else entry["content"].encode()
        return value.decode("utf-8", "replace")


def _items(kind: str, service: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Configs or secrets of a service: those that it mounts, and those that its host uses for it."""
    return [*service.get(kind, ()), *used_by_host(kind, service)]


class _Whole(NamedTuple):
    """What a service is compiled with: its stack, whom others wait for, what links call it, images, jobs of a roll."""

    stack: str
    normal: Mapping[str, Any]
    files: _Files
    awaited: set[str]
    linked: Mapping[str, set[str]]
    images: Mapping[str, str]  # of services whose image is baked
    jobs: Mapping[str, list[str]]  # of a job before a roll, the images of those that wait for it


def _service(whole: _Whole, name: str) -> dict[str, Any]:
    """One Service."""
    stack, normal, files = whole.stack, whole.normal, whole.files
    must_end = name in whole.awaited
    stated = normal["services"][name]
    deploy, own = stated.get("deploy") or {}, stated.get("x-stowage") or {}
    mounted, live = split_live(stated, files.mounted(stated))
    stated = {**stated, "image": whole.images[name]} if name in whole.images else stated
    template = container_template(stack, normal, stated, mounted)
    template.update(compile_config_source(stated, files.text))
    if name in whole.jobs:
        template["run_for"] = whole.jobs[name]
    if must_end and not says_restart(stated) and template["restart"]["condition"] == "any":
        template["restart"] = {"condition": "none", "max_attempts": 0}
    tested = "test" in template.get("healthcheck", {}) and template["healthcheck"]["test"] != ["NONE"]
    usual = LONGEST_JOB if must_end else _ready_timeout(template.get("healthcheck"), tested)
    return {
        "name": f"{stack}_{name}",
        "stack": stack,
        "short": name,
        "mode": deploy.get("mode", "replicated"),
        "replicas": 1 if str(deploy.get("mode")).startswith("global") else deploy.get("replicas", 1),
        "placement": _placement(stack, normal, stated),
        "reservations": _reservations((deploy.get("resources") or {}).get("reservations") or {}),
        "ports": published(stated, normal),
        "update": _update(deploy, own, stated, tested),
        "rollback": compile_update(deploy.get("rollback_config") or {}, stated, tested),
        "drain": seconds(own.get("drain"), DEFAULT_DRAIN),
        "depends_on": sorted({f"{stack}_{target}" for target in targets(stated, normal["services"])}),
        "labels": dict(sorted({**stated.get("labels", {}), **deploy.get("labels", {})}.items())),
        "aliases": _aliases(normal["services"], name, whole.linked.get(name, set())),
        "networks": _networks(stack, normal, stated),
        "volumes": _volumes(stack, normal, stated),
        "healthcheck": tested,
        "ready_timeout": seconds(own.get("ready_timeout"), usual),
        **_asked(own),
        **compile_allow(stack, normal["services"], own),
        **({"must_end": True} if must_end else {}),
        **({"live": live} if live else {}),
        **({"require_labels": own["require_labels"]} if own.get("require_labels") else {}),
        **({"pre_roll": True} if name in whole.jobs else {}),
        **({"endpoint_mode": "dnsrr"} if deploy.get("endpoint_mode") == "dnsrr" else {}),
        "template": template,
    }


def _update(
    deploy: Mapping[str, Any], own: Mapping[str, Any], stated: Mapping[str, Any], tested: bool
) -> dict[str, Any]:
    """How a new version replaces the old one: update_config, and over it what x-stowage says."""
    base = compile_update(deploy.get("update_config") or {}, stated, tested)
    return {**base, **(own.get("update") or {}), **compile_canary(own)}


def _asked(own: Mapping[str, Any]) -> dict[str, Any]:
    """health and observe_for of x-stowage, as far as they are stated."""
    health, watched = compile_health(own), seconds(own.get("observe_for"))
    return {**({"health": health} if health else {}), **({"observe_for": watched} if watched else {})}


def _placement(stack: str, normal: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Where the service may run: deploy.placement, x-stowage.placement and platform."""
    deploy, own = stated.get("deploy") or {}, stated.get("x-stowage") or {}
    placement = dict(deploy.get("placement") or {})
    parts = stated.get("platform", "").split("/")
    rules = [f"{key} == {part}" for key, part in zip(("node.platform.os", "node.platform.arch"), parts) if part]
    placement["constraints"] = list(dict.fromkeys([*placement.get("constraints", ()), *rules]))
    return compile_placement(stack, normal["services"], placement, own.get("placement") or {})


def _reservations(stated: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"cpus": parse_cpus(stated.get("cpus", "0")), "memory": int(stated.get("memory", 0))}
    for item in stated.get("generic_resources", ()):
        spec = item["discrete_resource_spec"]
        made[spec["kind"]] = made.get(spec["kind"], 0) + spec["value"]
    return made


def _linked(services: Mapping[str, Any]) -> dict[str, set[str]]:
    """{service: what links of others call it}."""
    found: dict[str, set[str]] = {}
    for service in services.values():
        for target, _colon, alias in (link.partition(":") for link in service.get("links", ())):
            found.setdefault(target, set()).update({alias} if alias else ())
    return found


def _aliases(services: Mapping[str, Any], name: str, linked: set[str]) -> list[str]:
    """Other names inside the stack: aliases, container_name, and what links of other services call it."""
    stated = services[name]
    found = {alias for item in (stated.get("networks") or {}).values() for alias in (item or {}).get("aliases", ())}
    found |= {stated["container_name"]} if stated.get("container_name") else set()
    return sorted(alias for alias in found | linked if alias not in services)


def _volumes(stack: str, normal: Mapping[str, Any], service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The named volumes that the service mounts."""
    sources = {m["source"] for m in service.get("volumes", ()) if m["type"] == "volume" and m.get("source")}
    return [
        {
            "name": stated.get("name") or f"{stack}_{source}",
            "driver": stated.get("driver", "local"),
            "driver_opts": dict(stated.get("driver_opts", {})),
            "labels": dict(stated.get("labels", {})),
            "external": bool(stated.get("external", False)),
            **_storage(stated.get("x-stowage") or {}),
        }
        for source, stated in sorted((source, normal["volumes"][source] or {}) for source in sources)
    ]


def _storage(own: Mapping[str, Any]) -> dict[str, Any]:
    """A volume's storage class, size in bytes, and hooks of its backup, as far as they are stated."""
    size = {"size": int(own["size"])} if own.get("size") else {}
    hooks = {"backup": dict(own["backup"])} if own.get("backup") else {}
    return {**({"class": own["class"]} if own.get("class") else {}), **size, **hooks}


def _ready_timeout(health: Mapping[str, Any] | None, tested: bool) -> float:
    """Time for the start period, all retries and half a minute; at least a minute."""
    if not tested or not health:
        return LEAST_READY_TIMEOUT
    tries = (health.get("retries") or 3) + 1
    longest = tries * ((health.get("interval") or 30.0) + (health.get("timeout") or 30.0))
    return float(max(LEAST_READY_TIMEOUT, health.get("start_period", 0.0) + longest + 30.0))


def _networks(stack: str, normal: Mapping[str, Any], service: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The networks of the service by their real names, sorted; none if it is on its host's own."""
    if host_network(service, normal):
        return []
    named = [
        (_network(stack, normal, name)["name"], (normal.get("networks") or {}).get(name) or {})
        for name in service.get("networks") or ["default"]
    ]
    return [
        {"name": name, **{key: True for key in ("internal", "attachable") if stated.get(key)}}
        for name, stated in sorted(named, key=lambda pair: pair[0])
    ]


def _network(stack: str, normal: Mapping[str, Any], name: str) -> dict[str, Any]:
    stated = (normal.get("networks") or {}).get(name) or {}
    return {"name": stated.get("name") or f"{stack}_{name}", "external": bool(stated.get("external", False))}


def _warnings(stack: str, normal: Mapping[str, Any]) -> list[str]:
    made = list(getattr(normal, "warnings", ()))
    services = normal["services"].items()
    direct = sorted(name for name, item in services if item.get("ports") and host_network(item, normal))
    if direct:
        made.append(f"{', '.join(direct)}: ports have no effect: it listens on the host itself")
    for name in idle_subnets(normal):
        made.append(f"networks.{name}: its subnet has no effect: no service has an ipv4_address in it")
    if normal.get("name", stack) != stack:
        made.append(f"name: {normal['name']} has no effect: the inventory names the stack {stack}")
    for name, item in services:
        policy = (item.get("deploy") or {}).get("restart_policy") or {}
        if policy.get("max_attempts") and policy.get("condition", "any") == "any":
            made.append(f"{name}: max_attempts has no effect with condition any; write on-failure")
    return [f"{stack}: {text}" for text in made]
