# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The containers of a lab as bodies of the Docker Engine API's `POST /containers/create`."""

from __future__ import annotations

from typing import Any

from .layout import REGISTRY_PORT, LabHost, Layout

LABEL = "stowage.lab"
REGISTRY_VOLUME = "stowage-lab-registry"


def labels(lab: Layout, host: LabHost, role: str) -> dict[str, str]:
    """Labels that tell whose container, volume or network this is; removal goes by them."""
    return {LABEL: lab.name, f"{LABEL}.role": role, f"{LABEL}.host": host.name}


def node_container(lab: Layout, host: LabHost, image: str, host_key: str) -> dict[str, Any]:
    """A host: systemd as PID 1, the host's cgroups and devices, a volume for its own Docker Engine.

    Instead of `privileged`, which is refused where the machine itself lacks a capability, everything that it
    means is asked for by name. `host_key` is the public part and ends up in a label for later known_hosts files.
    """
    return {
        "Image": image,
        "Hostname": host.name,
        "Labels": {**labels(lab, host, "node"), f"{LABEL}.host_key": host_key},
        "HostConfig": {
            "CapAdd": ["ALL"],
            "CapDrop": ["SYS_RESOURCE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "MaskedPaths": [],
            "ReadonlyPaths": [],
            "DeviceCgroupRules": ["a *:* rwm"],
            "CgroupnsMode": "host",
            "Tmpfs": {"/run": "", "/tmp": "exec"},
            "Binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw", f"{host.container}-docker:/var/lib/docker"],
            "NetworkMode": lab.network,
        },
        "NetworkingConfig": _at(lab, host),
    }


def registry_container(lab: Layout, image: str) -> dict[str, Any]:
    """The image registry: hosts reach it by its fixed address, the controller through a port on 127.0.0.1.

    Docker talks plain HTTP to 127.0.0.0/8 without being told, so the local Engine's settings stay as they are.
    All labs share the volume with the images.
    """
    port = f"{REGISTRY_PORT}/tcp"
    return {
        "Image": image,
        "Hostname": lab.registry.name,
        "Labels": labels(lab, lab.registry, "registry"),
        "ExposedPorts": {port: {}},
        "HostConfig": {
            "Binds": [f"{REGISTRY_VOLUME}:/var/lib/docker-registry"],
            "PortBindings": {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "NetworkMode": lab.network,
        },
        "NetworkingConfig": _at(lab, lab.registry),
    }


def _at(lab: Layout, host: LabHost) -> dict[str, Any]:
    return {"EndpointsConfig": {lab.network: {"IPAMConfig": {"IPv4Address": host.address}, "Aliases": [host.name]}}}
