# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Is a running container what we would have created? Pure functions over what `docker inspect` says.

A Difference is a dict {kind, words, update}: `replace` needs another container, `live` is changed while it runs (by
the values in `update`, those of POST /containers/{id}/update), `kept` stays until the container is replaced for another
reason. Words never hold a value of the environment, of labels, or of a command line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from . import merging
from .client import printable
from .comparison_keys import FROM_IMAGE, IGNORED, LIVE, OWN, SHOWN, UNORDERED, UNSTATED, WORDS
from .comparison_mounts import mounts
from .labels import NAMESPACE, SWARM
from .payload import NANO
from .records import NETWORK

Difference = dict[str, Any]
Body = Mapping[str, Any]
DEFAULT_GRACE = 10
OURS = ("stowage.", NAMESPACE, SWARM)
COMPOSE_LABELS = ("com.docker.compose.", "desktop.docker.io/")
_HEALTH_KEYS = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")
_ANYWHERE = ("", "0.0.0.0", "::")
LISTED = 8


def compare(
    service: Mapping[str, Any], body: Body, running: Body, image: Body | None, log: Mapping[str, Any]
) -> list[Difference]:
    """Every Difference between a running container and the body it would be created from today.

    service: {template, ports: the Service's}. body: payload.container's. running: its inspect. image: the inspect of
    the wanted image, None if it is not on the host. log: the Engine's default {Type, Config}.
    """
    config = dict((image or {}).get("Config") or {})
    found = _image(body, running, image)
    found += _process(body, running, config)
    found += _labels(body, running, config)
    found += mounts(body, running, config)
    found += _network(body, running)
    found += _ports(service, body, running)
    found += _names(service["template"], body, running)
    found += _host(body["HostConfig"], running["HostConfig"], log)
    return found + _plain_keys(body, running, config)


def replace(words: str) -> Difference:
    """A difference that needs another container."""
    return {"kind": "replace", "words": printable(words, 300), "update": {}}


def kept(words: str) -> Difference:
    """A difference that stays until the container is replaced for another reason."""
    return {"kind": "kept", "words": printable(words, 300), "update": {}}


def live(words: str, update: Mapping[str, Any]) -> Difference:
    """A difference that is changed while the container runs."""
    return {"kind": "live", "words": printable(words, 300), "update": dict(update)}


def _image(body: Body, running: Body, image: Body | None) -> list[Difference]:
    ran = str((running.get("Config") or {}).get("Image"))
    if image is None:
        return [replace(f"image: {body['Image']} is not on this host; it runs {ran}")]
    if image["Id"] == running["Image"]:
        return []
    if ran == body["Image"]:
        return [replace(f"image: {ran} is another one on this host than when the container was made")]
    return [replace(f"image: {ran}, wanted {body['Image']}")]


def _process(body: Body, running: Body, image: Body) -> list[Difference]:
    """Environment, command, entrypoint, health check, host name and grace, merged as the Engine does."""
    config, found = running["Config"], []
    entrypoint, command = merging.process(body, image)
    if merging.words(config.get("Entrypoint")) != entrypoint:
        found.append(replace("entrypoint differs"))
    if merging.words(config.get("Cmd")) != command:
        found.append(replace("command differs"))
    found += _environment(body, config, image)
    if _health(config.get("Healthcheck"), {}) != _health(body.get("Healthcheck"), image.get("Healthcheck") or {}):
        found.append(replace("health check differs"))
    grace = [one.get("StopTimeout") or DEFAULT_GRACE for one in (config, body)]
    if grace[0] != grace[1]:
        found.append(replace(f"stop grace period: {grace[0]} s, wanted {grace[1]} s"))
    given = str(config.get("Hostname") or "")
    own = "" if given == str(running["Id"])[:12] or body["HostConfig"].get("NetworkMode") == "host" else given
    if own != (body.get("Hostname") or ""):
        found.append(replace(f"host name: {own or 'none of its own'}, wanted {body.get('Hostname') or 'none'}"))
    return found


def _environment(body: Body, config: Body, image: Body) -> list[Difference]:
    return _by_name("environment", merging.variables(config.get("Env")), merging.environment(body, image))


def _by_name(what: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Difference]:
    """One Difference that names what lacks, what is too much and what has another value."""
    parts = []
    for words, names in (
        ("lacks", set(wanted) - set(there)),
        ("has besides", set(there) - set(wanted)),
        ("has other values of", {key for key in set(there) & set(wanted) if there[key] != wanted[key]}),
    ):
        shown = sorted(names)[:LISTED]
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        parts += [f"{words} {', '.join(shown)}{more}"] if names else []
    return [replace(f"{what}: {'; '.join(parts)}")] if parts else []


def _health(check: Any, image: Mapping[str, Any]) -> dict[str, Any]:
    """What is stated, then the image's; without any test there is none."""
    merged = {key: (check or {}).get(key) or image.get(key) for key in _HEALTH_KEYS}
    if not merged["Test"] or merged["Test"] == ["NONE"]:
        return {}
    return {key: value for key, value in merged.items() if value}


def _labels(body: Body, running: Body, image: Body) -> list[Difference]:
    """Labels but those that Compose and we put there ourselves."""
    own = image.get("Labels") or {}
    wanted = {**own, **{k: v for k, v in body["Labels"].items() if not k.startswith(OURS)}}
    there = running["Config"].get("Labels") or {}
    stated = {k: v for k, v in there.items() if k in wanted or not k.startswith(COMPOSE_LABELS)}
    return _by_name("labels", stated, wanted)


def _network(body: Body, running: Body) -> list[Difference]:
    wanted, mode = body["HostConfig"]["NetworkMode"], str(running["HostConfig"].get("NetworkMode") or "")
    if wanted == "host" or mode == "host":
        return [] if wanted == mode else [replace(f"network: {mode}, wanted {wanted}")]
    if mode == "none" or mode.startswith("container:"):
        return [replace(f"network: {mode}, wanted {NETWORK}")]
    return []


def _ports(service: Mapping[str, Any], body: Body, running: Body) -> list[Difference]:
    """Bindings on this host. What every host publishes may stay published by the container as well."""
    wanted = _bindings(body["HostConfig"].get("PortBindings"))
    there = _bindings(running["HostConfig"].get("PortBindings"))
    everywhere = {
        (f"{port['target']}/{port.get('protocol') or 'tcp'}", "", str(port.get("published") or ""))
        for port in service.get("ports") or ()
        if port.get("mode", "ingress") == "ingress"
    }
    found = [replace(f"ports: does not publish {_binding(one)}") for one in sorted(wanted - there)]
    for one in sorted(there - wanted):
        if one in everywhere:
            found.append(kept(f"publishes {_binding(one)} by itself, beside the hosts"))
        else:
            found.append(replace(f"ports: publishes {_binding(one)}, which is not wanted"))
    return found


def _bindings(stated: Any) -> set[tuple[str, str, str]]:
    found = set()
    for key, bindings in (stated or {}).items():
        for one in bindings or [{}]:
            address, port = one.get("HostIp") or "", one.get("HostPort") or ""
            found.add((str(key), "" if address in _ANYWHERE else str(address), "" if port == "0" else str(port)))
    return found


def _binding(one: tuple[str, str, str]) -> str:
    target, address, port = one
    return f"{address + ':' if address else ''}{port or 'any port'} for {target}"


def _names(template: Mapping[str, Any], body: Body, running: Body) -> list[Difference]:
    """How it looks names up: compared where the stack file states it."""
    stated = {"dns": "Dns", "dns_search": "DnsSearch", "dns_opt": "DnsOptions"}
    wanted, there = body["HostConfig"], running["HostConfig"]
    differs = [key for key, api in stated.items() if (wanted.get(api) or []) != (there.get(api) or [])]
    found = [replace(f"{key} differs") for key in differs if key in template]
    if set(differs) - set(template):
        found.append(kept("asks Docker and the host for names, not the fleet"))
    return found


def _host(wanted: Body, there: Body, log: Mapping[str, Any]) -> list[Difference]:
    """Restart policy, log driver, swap and security options."""
    found = []
    policies = [_restart(one.get("RestartPolicy")) for one in (there, wanted)]
    if policies[0] != policies[1]:
        words = f"restart policy: {_policy(policies[0])}, wanted {_policy(policies[1])}"
        found.append(live(words, {"RestartPolicy": policies[1]}))
    if _log(there.get("LogConfig"), log) != _log(wanted.get("LogConfig"), log):
        found.append(replace("log driver or its options differ"))
    if not _swap_fits(wanted, there):
        pair = [_shown(one.get("MemorySwap")) for one in (there, wanted)]
        found.append(replace(f"swap limit: {pair[0]}, wanted {pair[1]}"))
    options = [_security(one) for one in (there, wanted)]
    if options[0] != options[1]:
        found.append(replace("security options differ"))
    return found


def _restart(policy: Any) -> dict[str, Any]:
    name = (policy or {}).get("Name") or "no"
    tries = int((policy or {}).get("MaximumRetryCount") or 0)
    return {"Name": name, "MaximumRetryCount": tries if name == "on-failure" else 0}


def _policy(policy: Mapping[str, Any]) -> str:
    tries = policy["MaximumRetryCount"]
    return f"{policy['Name']}:{tries}" if tries else str(policy["Name"])


def _log(stated: Any, default: Mapping[str, Any]) -> dict[str, Any]:
    """Type and options as the Engine completes them."""
    kind = (stated or {}).get("Type") or default["Type"]
    options = {**(default["Config"] if kind == default["Type"] else {}), **((stated or {}).get("Config") or {})}
    return {"Type": kind, "Config": options}


def _swap_fits(wanted: Body, there: Body) -> bool:
    """Unstated, it is twice the memory, or -1 where the kernel cannot limit it."""
    stated, found = wanted.get("MemorySwap") or 0, there.get("MemorySwap") or 0
    return found == stated if stated else found in (0, -1, 2 * int(there.get("Memory") or 0))


def _security(config: Body) -> tuple[Any, ...]:
    """Options, and whether /proc and /sys are masked: the lists themselves are the Engine's."""
    open_by_right = bool(config.get("Privileged"))
    plain = sorted(option for option in config.get("SecurityOpt") or () if option != "label=disable")
    masked = not open_by_right and [] not in (config.get("MaskedPaths"), config.get("ReadonlyPaths"))
    return (*plain, masked)


def _plain_keys(body: Body, running: Body, image: Body) -> list[Difference]:
    """All other keys of Config and HostConfig, as they stand."""
    found = []
    imaged = {key: image.get(key) for key in FROM_IMAGE}
    pairs = (
        ("Config", running["Config"], {**imaged, **{key: body[key] for key in body if body[key] not in (None, "")}}),
        ("HostConfig", running["HostConfig"], body["HostConfig"]),
    )
    for part, there, wanted in pairs:
        skipped = {*IGNORED[part], *OWN[part], "HostConfig", "NetworkingConfig"}
        for key in sorted({*there, *wanted} - skipped):
            if _value(key, there.get(key)) != _value(key, wanted.get(key)):
                found.append(_of_key(key, there.get(key), wanted.get(key)))
    return found


def _value(key: str, value: Any) -> Any:
    """A value as it compares: nothing stated is None, lists without order are sorted."""
    if not value or value in UNSTATED.get(key, ()):
        return None
    if key in ("CapAdd", "CapDrop"):
        return sorted(re.sub("^CAP_", "", str(name).upper()) for name in value)
    return sorted(json.dumps(one, sort_keys=True) for one in value) if key in UNORDERED else value


def _of_key(key: str, there: Any, wanted: Any) -> Difference:
    what = WORDS.get(key, key)
    pair = [one / NANO if key == "NanoCpus" and one else one for one in (there, wanted)]
    words = f"{what}: {_shown(pair[0])}, wanted {_shown(pair[1])}" if key in SHOWN else f"{what} differs"
    if key not in LIVE or not wanted:
        return replace(words)
    # The Engine refuses a memory limit above the swap limit that it derived from the old one.
    swap = {"MemorySwap": 2 * int(wanted)} if key == "Memory" else {}
    return live(words, {key: wanted, **swap})


def _shown(value: Any) -> str:
    if value is True or not value:
        return "yes" if value else "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
