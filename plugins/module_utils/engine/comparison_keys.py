# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `docker inspect` says of a container, key by key: why some keys are not compared, and how others are.

A key that is in none of these tables, from a newer Engine perhaps, is compared as it stands.
"""

from __future__ import annotations

from typing import Any

ADDRESSES = "a container that is taken over gets its address on the fleet's network while it runs"
MOUNTED = "compared by what is mounted in the end (Mounts)"
CLIENT = "how the client that created it was attached; nothing of it is left"

# Keys of Config and of HostConfig that are not compared, and why.
IGNORED = {
    "Config": {
        "AttachStdin": CLIENT,
        "AttachStdout": CLIENT,
        "AttachStderr": CLIENT,
        "StdinOnce": CLIENT,
        "ArgsEscaped": "Windows only",
        "ExposedPorts": "information only: the fleet's network is open",
        "Image": "the name it was created by; images are compared by id",
        "MacAddress": ADDRESSES,
        "OnBuild": "the image's, for builds",
        "Shell": "the image's, for builds",
        "Volumes": MOUNTED,
    },
    "HostConfig": {
        "Binds": MOUNTED,
        "Mounts": MOUNTED,
        "VolumeDriver": "the drivers of named volumes are compared themselves",
        "ConsoleSize": CLIENT,
        "ContainerIDFile": CLIENT,
        "Dns": "see `names`: unless the stack file states it, it stays as it is until the container is replaced",
        "DnsSearch": "as Dns is",
        "DnsOptions": "as Dns is",
        "NetworkMode": "compared by itself: another network is fine, having none is not",
        "PortBindings": "compared by itself: a port of mode ingress may stay published by the container, too",
    },
}

# Compared by a function of their own, with what the image brings.
OWN = {
    "Config": ("Env", "Cmd", "Entrypoint", "Labels", "Healthcheck", "Hostname", "StopTimeout"),
    "HostConfig": ("RestartPolicy", "LogConfig", "MemorySwap", "SecurityOpt", "MaskedPaths", "ReadonlyPaths"),
}
FROM_IMAGE = ("User", "WorkingDir", "StopSignal")

# What the Engine writes where nothing was stated.
UNSTATED: dict[str, tuple[Any, ...]] = {
    "CgroupnsMode": ("host", "private"),
    "IpcMode": ("private", "shareable"),
    "Isolation": ("default",),
    "MemorySwappiness": (-1,),
    "PidsLimit": (-1,),
    "Runtime": ("runc",),
    "ShmSize": (67108864,),
    "StopSignal": ("SIGTERM", "15"),
}

# Changed by POST /containers/{id}/update without a restart, as long as there is a value: 0 changes nothing there.
LIVE = ("CpuShares", "CpusetCpus", "Memory", "MemoryReservation", "NanoCpus", "PidsLimit")
UNORDERED = ("CapAdd", "CapDrop", "DeviceCgroupRules", "Devices", "ExtraHosts", "GroupAdd", "Ulimits")

WORDS = {
    "AutoRemove": "removal at its end (--rm)",
    "CapAdd": "added capabilities",
    "CapDrop": "dropped capabilities",
    "CgroupnsMode": "cgroup namespace",
    "CpuShares": "cpu shares",
    "CpusetCpus": "cpu set",
    "Devices": "devices",
    "DeviceRequests": "GPUs",
    "Domainname": "domain name",
    "ExtraHosts": "extra hosts",
    "GroupAdd": "additional groups",
    "Init": "init",
    "IpcMode": "IPC namespace",
    "Memory": "memory limit",
    "MemoryReservation": "memory reservation",
    "NanoCpus": "cpu limit",
    "OpenStdin": "open standard input",
    "PidMode": "PID namespace",
    "PidsLimit": "limit of processes",
    "Privileged": "privileged",
    "PublishAllPorts": "all exposed ports published",
    "ReadonlyRootfs": "read-only root file system",
    "Runtime": "runtime",
    "ShmSize": "size of /dev/shm",
    "StopSignal": "stop signal",
    "Sysctls": "sysctls",
    "Tmpfs": "tmpfs",
    "Tty": "terminal",
    "Ulimits": "ulimits",
    "User": "user",
    "VolumesFrom": "volumes of other containers",
    "WorkingDir": "working directory",
}
# Shown with both values; of others it is only said that they differ, because values may be anything.
SHOWN = (*LIVE, *UNSTATED, "CapAdd", "CapDrop", "Privileged", "ReadonlyRootfs", "Tty", "OpenStdin", "Init")
SHOWN = (*SHOWN, "AutoRemove", "User", "WorkingDir", "PidMode", "Domainname", "PublishAllPorts")
