# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The part of a container's body that says what it may have of its host: rights, namespaces, devices, kernel limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Template = Mapping[str, Any]

# Template key -> key of HostConfig, taken over as it stands.
AS_IT_STANDS = {
    "read_only": "ReadonlyRootfs",
    "init": "Init",
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "sysctls": "Sysctls",
    "shm_size": "ShmSize",
    "privileged": "Privileged",
    "group_add": "GroupAdd",
    "pid": "PidMode",
    "ipc": "IpcMode",
    "uts": "UTSMode",
    "userns_mode": "UsernsMode",
    "cgroup": "CgroupnsMode",
    "cgroup_parent": "CgroupParent",
    "device_cgroup_rules": "DeviceCgroupRules",
    "oom_score_adj": "OomScoreAdj",
    "oom_kill_disable": "OomKillDisable",
    "cpu_shares": "CpuShares",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpuset": "CpusetCpus",
    "mem_swappiness": "MemorySwappiness",
    "memswap_limit": "MemorySwap",
    "runtime": "Runtime",
    "storage_opt": "StorageOpt",
    "annotations": "Annotations",
}
_THROTTLES = {
    "device_read_bps": "BlkioDeviceReadBps",
    "device_write_bps": "BlkioDeviceWriteBps",
    "device_read_iops": "BlkioDeviceReadIOps",
    "device_write_iops": "BlkioDeviceWriteIOps",
}
_PATHS = ("MaskedPaths", "ReadonlyPaths")


def too_old(template: Template, api: tuple[int, ...]) -> str:
    """What the template needs that an Engine of this API version does not know, in words; "" if nothing."""
    mounts = template.get("mounts", ())
    subpath = any((mount.get("volume") or {}).get("subpath") for mount in mounts)
    recursive = any((mount.get("bind") or {}).get("recursive") in ("writable", "readonly") for mount in mounts)
    needs = (
        ("annotations", bool(template.get("annotations")), (1, 43), "24"),
        ("bind.recursive", recursive, (1, 44), "25"),
        ("volume.subpath", subpath, (1, 45), "26"),
    )
    missing = [f"{key} needs Engine {engine}" for key, used, since, engine in needs if used and api < since]
    return ", ".join(missing)


def host_keys(template: Template) -> dict[str, Any]:
    """HostConfig's keys for rights, namespaces, devices and kernel limits that the template states."""
    found = {api: template[key] for key, api in AS_IT_STANDS.items() if template.get(key) is not None}
    found.update(_security(template.get("security_opt") or ()))
    if template.get("devices"):
        found["Devices"] = [_device(device) for device in template["devices"]]
    if template.get("gpus"):
        found["DeviceRequests"] = [_request(wanted) for wanted in template["gpus"]]
    found.update(_blkio(template.get("blkio_config") or {}))
    return found


def _security(options: Any) -> dict[str, Any]:
    """SecurityOpt; systempaths=unconfined is said by empty lists of paths, as Docker's command line does."""
    plain = [option for option in options if option.replace(":", "=") != "systempaths=unconfined"]
    found: dict[str, Any] = {"SecurityOpt": plain} if plain else {}
    return {**found, **{key: [] for key in _PATHS}} if len(plain) < len(options) else found


def _device(text: str) -> dict[str, str]:
    """host[:container][:rights] as the Engine has it."""
    source, *rest = str(text).split(":")
    target = rest[0] if rest and rest[0].startswith("/") else source
    rights = rest[-1] if rest and not rest[-1].startswith("/") else "rwm"
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": rights}


def _request(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A GPU request: count -1 is all of them."""
    found: dict[str, Any] = {"Driver": wanted.get("driver", ""), "Capabilities": [list(wanted["capabilities"])]}
    if wanted.get("device_ids"):
        found["DeviceIDs"] = list(wanted["device_ids"])
    else:
        found["Count"] = wanted.get("count", -1)
    return {**found, "Options": dict(wanted["options"])} if wanted.get("options") else found


def _blkio(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Weights and throttles of block devices."""
    found: dict[str, Any] = {"BlkioWeight": stated["weight"]} if stated.get("weight") else {}
    if stated.get("weight_device"):
        weights = stated["weight_device"]
        found["BlkioWeightDevice"] = [{"Path": one["path"], "Weight": one["weight"]} for one in weights]
    for key, api in _THROTTLES.items():
        if stated.get(key):
            found[api] = [{"Path": one["path"], "Rate": one["rate"]} for one in stated[key]]
    return found
