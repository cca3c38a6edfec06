# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How Ansible reaches the hosts of a lab: inventory, known_hosts, control sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..canonical import text_digest
from .layout import Layout

ZONES = "abc"


def host_key_line(address: str, key: str) -> str:
    """One line of a known_hosts file. `key` is `<type> <base64>`; a comment behind it is dropped."""
    return f"{address} {' '.join(key.split()[:2])}\n"


def known_hosts(lab: Layout, keys: Mapping[str, str]) -> str:
    """The known_hosts file of a lab. `keys`: host name to public host key."""
    return "".join(host_key_line(host.address, keys[host.name]) for host in lab.hosts)


def control_path(lab: Layout, host: str, key: str) -> str:
    """SSH control socket of one host, named by its key: a host made anew never meets the old one's connection."""
    return f"%(directory)s/{lab.name}-{host}-{text_digest(key)[:8]}"


def engine_config(lab: Layout) -> dict[str, Any]:
    """daemon.json of the hosts: plain image names come from the lab's registry, logs stay small."""
    return {
        "insecure-registries": [lab.registry_endpoint],
        "log-driver": "json-file",
        "log-opts": {"max-file": "3", "max-size": "10m"},
        "registry-mirrors": [f"http://{lab.registry_endpoint}"],
    }


def engine_config_text(lab: Layout) -> str:
    """The same, byte by byte as the role engine writes it: a fresh host needs no restart of its Engine."""
    return json.dumps(engine_config(lab), indent=4, sort_keys=True) + "\n"


def inventory(lab: Layout, keys: Mapping[str, str], directory: str) -> dict[str, Any]:
    """The inventory of a lab as data. `directory` (absolute) holds `id_ed25519` and `known_hosts`.

    Zones a, b, c go round; n1 is the ingress host. Hosts pull plain image names from the lab's registry.
    """
    hosts = {
        host.name: {
            "ansible_host": host.address,
            "ansible_control_path": control_path(lab, host.name, keys[host.name]),
            "stowage_labels": {"zone": ZONES[i % len(ZONES)], **({"ingress": "true"} if i == 0 else {})},
        }
        for i, host in enumerate(lab.hosts)
    }
    shared = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{directory}/id_ed25519",
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={directory}/known_hosts -o StrictHostKeyChecking=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
        "stowage_engine_config": engine_config(lab),
    }
    return {
        "all": {
            "vars": {"stowage_lab_name": lab.name, "stowage_fleet_nodes": [host.name for host in lab.hosts]},
            "children": {
                "stowage_nodes": {"hosts": hosts, "vars": shared},
                "stowage_ingress": {"hosts": {lab.hosts[0].name: None}},
            },
        }
    }
