# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a service's template and a task to the body of POST /containers/create. Pure: no Engine, no files, no clock."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..network.blocks import fixed_network
from . import configured, live, mounts, secret_sets, shim
from .labels import task_labels, tool_labels
from .payload_host import host_keys
from .records import NETWORK

Template = Mapping[str, Any]
Task = Mapping[str, Any]
NANO = 1_000_000_000
ENDPOINT_MAC_API = (1, 44)  # from here on the MAC address belongs to the endpoint
START_INTERVAL_API = (1, 44)  # older Engines look at the interval from the start
CONFIGS = "/var/lib/stowage/configs"
OPEN_MODE = 0o444
_PLACEHOLDER = re.compile(
    r"\{\{\s*\.(Task\.Slot|Task\.Name|Task\.ID|Service\.Name|Service\.ID|Node\.Hostname|Node\.ID)\s*\}\}"
)
_TEXTS = {"user": "User", "working_dir": "WorkingDir", "domainname": "Domainname", "stop_signal": "StopSignal"}
_RECURSIVE = {
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}
_FLAGS = {"tty": "Tty", "stdin_open": "OpenStdin"}


def container(template: Template, task: Task, context: Mapping[str, Any]) -> dict[str, Any]:
    """{name, body}: the container of one task.

    template: a Service's. task: name, stack, service, slot, node, ip, spec. context: {fleet, domain, gateway: address
    that answers DNS (may be ""), api: "1.41", image: the image's Config where the template has a shim}.
    """
    body: dict[str, Any] = {
        "Image": template["image"],
        "Labels": {**template.get("labels", {}), **tool_labels(task), **task_labels(context["fleet"], task)},
        "HostConfig": _host_config(template, task, context),
    }
    body.update({api: template[key] for key, api in {**_TEXTS, **_FLAGS}.items() if template.get(key) is not None})
    body.update(_process(template, task, version(context["api"])))
    body.update(shim.wrapped(template, body, context.get("image") or {}))
    exposed: dict[str, Any] = {_port_key(port): {} for port in template.get("ports", ())}
    if exposed:
        body["ExposedPorts"] = exposed
    if template.get("network_mode") != "host":
        body.update(_endpoint(_network(template), task["ip"], version(context["api"])))
    return {"name": task["name"], "body": body}


def fill(text: str, task: Task) -> str:
    """Swarm's placeholders of a task filled in; any other `{{ }}` is kept as it stands."""
    values = {
        "Task.Slot": task["slot"],
        "Task.Name": task["name"],
        "Task.ID": str(task["name"]).rpartition(".")[2],
        "Service.Name": task["service"],
        "Service.ID": task["service"],
        "Node.Hostname": task["node"],
        "Node.ID": task["node"],
    }
    return _PLACEHOLDER.sub(lambda found: str(values[found.group(1)]), text)


def mac(ip: str) -> str:
    """The MAC address that goes with an IPv4 address: 02:42 and its four bytes."""
    return ":".join(["02", "42", *(f"{int(part):02x}" for part in ip.split("."))])


def file_name(wanted: Mapping[str, Any]) -> str:
    """Name of a config's file on the host: its digest, and owner and mode where they are not root, 0444.

    One that changes under its container has a name of its own (files_of).
    """
    if wanted.get("live"):
        return str(wanted["live"])
    owner = (str(wanted.get("uid") or "0"), str(wanted.get("gid") or "0"))
    mode = wanted.get("mode", OPEN_MODE)
    mode = OPEN_MODE if mode is None else int(mode)
    if owner == ("0", "0") and mode == OPEN_MODE:
        return str(wanted["digest"])
    return f"{wanted['digest']}-{owner[0]}-{owner[1]}-{mode:o}"


def named_volumes(template: Template, task: Task) -> list[tuple[str, str]]:
    """(name as the stack file has it, name on this host) of every named volume that the task mounts."""
    return [
        (str(mount["source"]), fill(str(mount["source"]), task))
        for mount in template.get("mounts", ())
        if mount["type"] == "volume" and mount.get("source")
    ]


def _process(template: Template, task: Task, api: tuple[int, ...]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if template.get("environment") or task.get("devices"):
        chosen = _device_variables(task.get("devices") or {})
        variables = {**(template.get("environment") or {}), **chosen}
        body["Env"] = [_variable(k, v, task) for k, v in sorted(variables.items())]
    if template.get("hostname"):
        body["Hostname"] = fill(str(template["hostname"]), task)
    if template.get("command") is not None:
        body["Cmd"] = list(template["command"])
    if template.get("entrypoint") is not None:
        # An empty list would mean the image's own; one empty word is how the Engine is told "none".
        body["Entrypoint"] = list(template["entrypoint"]) or [""]
    if template.get("stop_grace_period") is not None:
        body["StopTimeout"] = math.ceil(template["stop_grace_period"])
    if template.get("healthcheck"):
        body["Healthcheck"] = _healthcheck(template["healthcheck"], api)
    return body


def _device_variables(devices: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """DOCKER_RESOURCE_GPU=GPU-a,GPU-b, as Swarm tells a task which devices are its own."""
    return {f"DOCKER_RESOURCE_{kind.upper()}": ",".join(sorted(names)) for kind, names in devices.items()}


def _variable(key: str, value: Any, task: Task) -> str:
    """A name without `=` takes the image's variable away."""
    return key if value is None else f"{key}={fill(str(value), task)}"


def _healthcheck(check: Mapping[str, Any], api: tuple[int, ...]) -> dict[str, Any]:
    if check.get("disable"):
        return {"Test": ["NONE"]}
    durations = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    durations.update({"start_interval": "StartInterval"} if api >= START_INTERVAL_API else {})
    found: dict[str, Any] = {api: round(check[key] * NANO) for key, api in durations.items() if check.get(key)}
    if check.get("test"):
        found["Test"] = list(check["test"])
    if check.get("retries"):
        found["Retries"] = int(check["retries"])
    return found


def _host_config(template: Template, task: Task, context: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "NetworkMode": template.get("network_mode") or _network(template),
        "RestartPolicy": _restart(template.get("restart") or {}),
        "Mounts": [_mount(mount, task) for mount in template.get("mounts", ())] + _files(template, task),
        **_names(template, task, context),
        **_limits(template),
    }
    config.update(host_keys(template))
    if template.get("ports"):
        config["PortBindings"] = _bindings(template["ports"], task.get("ports") or {})
    if template.get("ulimits"):
        config["Ulimits"] = [_ulimit(name, limit) for name, limit in sorted(template["ulimits"].items())]
    if template.get("logging"):
        logging = template["logging"]
        config["LogConfig"] = {"Type": logging.get("driver") or "", "Config": dict(logging.get("options") or {})}
    if template.get("tmpfs"):
        config["Tmpfs"] = {path: options for path, _c, options in (str(t).partition(":") for t in template["tmpfs"])}
    if template.get("extra_hosts"):
        config["ExtraHosts"] = _extra_hosts(template["extra_hosts"])
    return config


def _restart(policy: Mapping[str, Any]) -> dict[str, Any]:
    condition = policy.get("condition", "any")
    if condition == "none":
        return {"Name": "no"}
    if condition == "on-failure":
        return {"Name": "on-failure", "MaximumRetryCount": int(policy.get("max_attempts") or 0)}
    return {"Name": "unless-stopped"}


def _names(template: Template, task: Task, context: Mapping[str, Any]) -> dict[str, Any]:
    """How the container looks names up: the host's own server, unless the service states otherwise."""
    config: dict[str, Any] = {}
    if template.get("dns"):
        config["Dns"] = list(template["dns"])
    elif context.get("gateway"):
        config["Dns"] = [context["gateway"]]
    own = "dns" not in template
    search = template.get("dns_search", [f"{task['stack']}.svc.{context['domain']}"] if own else None)
    options = template.get("dns_opt", ["ndots:2"] if own else None)
    if search is not None:
        config["DnsSearch"] = list(search)
    if options is not None:
        config["DnsOptions"] = list(options)
    return config


def _limits(template: Template) -> dict[str, Any]:
    limits, reserved = template.get("limits") or {}, template.get("reservations") or {}
    found: dict[str, Any] = {}
    if limits.get("cpus"):
        found["NanoCpus"] = round(limits["cpus"] * NANO)
    if limits.get("memory"):
        found["Memory"] = int(limits["memory"])
    if limits.get("pids"):
        found["PidsLimit"] = int(limits["pids"])
    if reserved.get("memory"):
        found["MemoryReservation"] = int(reserved["memory"])
    return found


def _mount(mount: Mapping[str, Any], task: Task) -> dict[str, Any]:
    result: dict[str, Any] = {"Type": mount["type"], "Target": fill(str(mount["target"]), task)}
    if mount.get("source") and mount["type"] != "tmpfs":
        result["Source"] = fill(str(mount["source"]), task)
    if mount.get("read_only"):
        result["ReadOnly"] = True
    bind, volume, tmpfs = (mount.get(kind) or {} for kind in ("bind", "volume", "tmpfs"))
    if mount["type"] == "bind" and bind.get("propagation"):
        # Unstated, the Engine picks what suits the source. Never CreateMountpoint: a source that is missing must stop
        # the start, as in Swarm.
        result["BindOptions"] = {"Propagation": bind["propagation"]}
    if mount["type"] == "bind" and bind.get("recursive") in _RECURSIVE:
        result.setdefault("BindOptions", {}).update({_RECURSIVE[bind["recursive"]]: True})
    if mount["type"] == "volume" and (volume.get("nocopy") or volume.get("subpath")):
        options = {"NoCopy": volume.get("nocopy"), "Subpath": volume.get("subpath")}
        result["VolumeOptions"] = {key: value for key, value in options.items() if value}
    if mount["type"] == "tmpfs":
        sizes = {"SizeBytes": tmpfs.get("size"), "Mode": tmpfs.get("mode")}
        result["TmpfsOptions"] = {key: int(value) for key, value in sizes.items() if value is not None}
    return result


def files_of(template: Template, task: Task) -> list[dict[str, Any]]:
    """The template's `files` as this task has them. task["rendered"]: {digest of a template: digest of its file}."""
    rendered, stated = task.get("rendered") or {}, (task.get("live") or {}).get("files") or {}
    found = []
    for one in template.get("files", ()):
        known = str(stated.get(one["target"], "")) if one.get("live") else one["digest"]
        own = {"live": live.name_of(task, one["target"])} if one.get("live") else {}
        found.append({**one, "digest": rendered.get(known, known), **own})
    return found


def _files(template: Template, task: Task) -> list[dict[str, Any]]:
    configs = [
        mounts.read_only(f"{CONFIGS}/{file_name(wanted)}", wanted["target"])
        for wanted in files_of(template, task)
        if wanted["kind"] == "config"
    ]
    own = ([shim.mount()] if template.get("shim") else []) + configured.mounted(template, task)
    return configs + secret_sets.mounts(secret_set(template, task)) + own


def secret_set(template: Template, task: Task) -> dict[str, Any] | None:
    """The set of secrets of a task; None if it has none."""
    found = files_of(template, task)
    taken = [str(mount["target"]) for mount in template.get("mounts", ())]
    taken += [str(text).partition(":")[0] for text in template.get("tmpfs", ())]
    taken += [str(one["target"]) for one in found if one["kind"] == "config"]
    return secret_sets.secret_set([one for one in found if one["kind"] == "secret"], task, taken)


def _port_key(port: Mapping[str, Any]) -> str:
    return f"{int(port['target'])}/{port.get('protocol') or 'tcp'}"


def _bindings(ports: Iterable[Mapping[str, Any]], chosen: Mapping[str, int]) -> dict[str, list[dict[str, str]]]:
    """Bindings of ports in mode host; published 0 is a port that the Engine picks, of a range the plan picked one."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        published = str(chosen.get(_range(port)) or port.get("published") or "")
        found.setdefault(_port_key(port), []).append({"HostIp": port.get("host_ip") or "", "HostPort": published})
    return found


def _range(port: Mapping[str, Any]) -> str:
    """A range as the scheduler names it: `8000-8010/tcp`, `192.0.2.1:8000-8010/tcp`."""
    address = str(port.get("host_ip") or "")
    host = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    return f"{host}{port.get('published')}-{port.get('published_end')}/{port.get('protocol') or 'tcp'}"


def _ulimit(name: str, limit: Any) -> dict[str, Any]:
    soft, hard = (limit["soft"], limit["hard"]) if isinstance(limit, Mapping) else (limit, limit)
    return {"Name": name, "Soft": int(soft), "Hard": int(hard)}


def _extra_hosts(stated: Any) -> list[str]:
    """Compose's `name=address` and mapping forms as the Engine's `name:address`."""
    if isinstance(stated, Mapping):
        return [f"{name}:{address}" for name, address in sorted(stated.items())]
    return [str(entry).replace("=", ":", 1) for entry in stated]


def _network(template: Template) -> str:
    """The Docker network: the fleet's, or that of the subnet of a fixed address."""
    return fixed_network(str(template["address"]["subnet"])) if template.get("address") else NETWORK


def _endpoint(network: str, ip: str, api: tuple[int, ...]) -> dict[str, Any]:
    """The body's keys for the task's address on a Docker network, and the MAC address that goes with it."""
    endpoint: dict[str, Any] = {"IPAMConfig": {"IPv4Address": ip}}
    body: dict[str, Any] = {"NetworkingConfig": {"EndpointsConfig": {network: endpoint}}}
    (body if api < ENDPOINT_MAC_API else endpoint)["MacAddress"] = mac(ip)
    return body


def version(api: str) -> tuple[int, ...]:
    """(1, 41) of an API version 1.41."""
    return tuple(int(part) for part in api.split("."))
