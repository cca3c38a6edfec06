# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The fleet's Docker network on one host: seen, made, made anew when nothing hangs on it, removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import Problem, StowageError, show
from .client import EngineError, connect

NAME = "stowage"
BRIDGE = "stw0"
PREFIX = "com.docker.network."
# Engines from this major on read the gateway mode; one made before keeps none (docs/network.md).
GATEWAY_MODES = 28
MTU = f"{PREFIX}driver.mtu"
# 172.17.0.0/16 to 172.31.0.0/16, and 192.168.0.0/16; the same from Engine 20.10 to 29.
BUILT_IN_POOLS = ("172.17.0.0/16", "172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "192.168.0.0/16")

Api = Any


def networks(api: Api) -> dict[str, list[str]]:
    """{Docker network: [its subnets]} of every network but ours."""
    found = {}
    for entry in _call(api.networks):
        if not _ours(entry):
            configs = (entry.get("IPAM") or {}).get("Config") or []
            found[str(entry["Name"])] = [str(config["Subnet"]) for config in configs if config.get("Subnet")]
    return found


def pools(api: Api) -> list[str]:
    """The networks that the Engine takes subnets for new networks from: those it was told, else its own."""
    told = [str(pool.get("Base")) for pool in _call(api.info).get("DefaultAddressPools") or []]
    return sorted(told) or list(BUILT_IN_POOLS)


def own(api: Api) -> list[dict[str, Any]]:
    """Our networks, as `GET /networks` lists them."""
    return [entry for entry in _call(api.networks) if _ours(entry)]


def _ours(entry: Mapping[str, Any]) -> bool:
    bridge = (entry.get("Options") or {}).get(f"{PREFIX}bridge.name")
    return entry["Name"] == NAME or str(bridge).startswith(BRIDGE)


def docker_networks() -> dict[str, list[str]] | None:
    """`networks` of this host's Engine; None if no Engine answers."""
    try:
        return networks(open_api())
    except StowageError:
        return None


def docker_pools() -> list[str]:
    """`pools` of this host's Engine; none if no Engine answers."""
    try:
        return pools(open_api())
    except StowageError:
        return []


def open_api() -> Api:
    """A low-level APIClient. Raises StowageError (STW-ENGINE) if no Engine answers."""
    return connect()._api


def engine_major(api: Api) -> int:
    """28 for Docker Engine 28.3.1."""
    return int(str(_call(api.version)["Version"]).split(".", 1)[0])


def wanted(fleet: str, entry: Mapping[str, Any], ip_range: str, mtu: int, major: int) -> dict[str, Any]:
    """What the network is created from: {options, config, labels}.

    entry: this host's entry of the fleet table {block, gateway}; for fixed addresses {block, gateway, bridge} and no
    ip_range.
    """
    return {
        "options": {
            f"{PREFIX}bridge.name": entry.get("bridge", BRIDGE),
            MTU: str(mtu),
            # Sources are kept inside the fleet; what leaves it is masqueraded by our own table.
            f"{PREFIX}bridge.enable_ip_masquerade": "false",
            # From 28 on Docker drops what comes from other hosts, unless told; our table guards instead.
            f"{PREFIX}bridge.gateway_mode_ipv4": "nat-unprotected",
        },
        "config": {
            "Subnet": entry["block"],
            "Gateway": entry["gateway"],
            **({"IPRange": ip_range} if ip_range else {}),
        },
        "labels": {"stowage.fleet": fleet, "stowage.engine_major": str(major)},
    }


def keep(api: Api, want: Mapping[str, Any], check: bool, name: str = NAME) -> tuple[list[str], list[str]]:
    """Have the network of a name as wanted; (what was changed, warnings).

    It is made anew only when no container, running or not, is on it; raises StowageError (STW-NETWORK) otherwise. A
    different MTU alone is a warning: the containers keep working.
    """
    found = inspect(api, name)
    if found is None:
        if not check:
            _create(api, want, name)
        return [f"create Docker network {name}"], []
    differences = differs(found, want)
    if not differences:
        return [], []
    holders = attached(api, name)
    text = ", ".join(differences)
    if holders and all(line.startswith(MTU) for line in differences):
        fix = f"it takes effect once no container is on it (now {len(holders)})"
        return [], [f"Docker network {name}: {text}; {fix}"]
    if holders:
        shown = ", ".join(show(name) for name in holders[:5]) + (", ..." if len(holders) > 5 else "")
        reason = f"must be made anew ({text}), but {len(holders)} containers are on it: {shown}"
        raise StowageError(Problem("STW-NETWORK", f"Docker network {name}", reason, "drain the host first"))
    if not check:
        _call(api.remove_network, found["Id"])
        _create(api, want, name)
    return [f"recreate Docker network {name} ({text})"], []


def remove(api: Api, check: bool) -> list[str]:
    """Remove the network; refuses (STW-NETWORK) while containers are on it."""
    found = inspect(api)
    if found is None:
        return []
    holders = attached(api)
    if holders:
        reason = f"{len(holders)} containers are on it: {', '.join(show(name) for name in holders[:5])}"
        raise StowageError(Problem("STW-NETWORK", f"Docker network {NAME}", reason, "remove the containers first"))
    if not check:
        _call(api.remove_network, found["Id"])
    return [f"remove Docker network {NAME}"]


def inspect(api: Api, name: str = NAME) -> dict[str, Any] | None:
    """The network of a name in full; None if there is none."""
    for entry in _call(api.networks, names=[name]):
        if entry["Name"] == name:
            return dict(_call(api.inspect_network, entry["Id"]))
    return None


def attached(api: Api, name: str = NAME) -> list[str]:
    """Names of all containers on a network, stopped ones too."""
    found = _call(api.containers, all=True, filters={"network": [name]})
    return sorted(str((entry.get("Names") or [entry["Id"]])[0]).lstrip("/") for entry in found)


def differs(found: Mapping[str, Any], want: Mapping[str, Any]) -> list[str]:
    """`key: there, not wanted` for everything that matters and differs, sorted."""
    options, labels = found.get("Options") or {}, found.get("Labels") or {}
    config: dict[str, Any] = next(iter((found.get("IPAM") or {}).get("Config") or []), {})
    pairs = [("driver", found.get("Driver"), "bridge")]
    pairs += [(key, options.get(key), value) for key, value in want["options"].items()]
    pairs += [(key, config.get(key), value) for key, value in want["config"].items()]
    pairs.append(("stowage.fleet", labels.get("stowage.fleet"), want["labels"]["stowage.fleet"]))
    lines = [f"{key}: {show(there)}, not {show(value)}" for key, there, value in pairs if there != value]
    made_by, major = labels.get("stowage.engine_major", "0"), want["labels"]["stowage.engine_major"]
    if made_by.isdigit() and int(made_by) < GATEWAY_MODES <= int(major):
        lines.append(f"made by engine {made_by}, which knows no gateway mode, now {major}")
    return sorted(lines)


def drop(api: Api, identity: str) -> None:
    """Remove a network by its id."""
    _call(api.remove_network, identity)


def _create(api: Api, want: Mapping[str, Any], name: str = NAME) -> None:
    ipam = {"Driver": "default", "Config": [dict(want["config"])]}
    _call(api.create_network, name, driver="bridge", options=want["options"], ipam=ipam, labels=want["labels"])


def _call(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    from docker.errors import DockerException  # noqa: PLC0415 (as in client.py: only where an Engine is needed)
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        return call(*args, **kwargs)
    except (DockerException, RequestException, OSError) as error:
        raise EngineError(str(error)) from error
