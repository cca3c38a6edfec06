# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""keepalived's configuration: one address, held by an ingress host whose Traefik serves routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, raise_all, show
from .fence import FENCE_HOST, READY_PATH

HIGHEST_PRIORITY = 150
PRIORITY_STEP = 5
MOST_HOSTS = 20
# A host that is gone is noticed after three of these, one whose Traefik does not serve after two looks.
ADVERT_SECONDS = 0.5
LOOK_SECONDS, LOOKS_DOWN, LOOKS_UP = 1, 2, 2
TEMPLATE = """\
# Written by the role stowage.fleet.ingress.
global_defs {{
    router_id {node}
    vrrp_version 3
    enable_script_security
    script_user root
    vrrp_garp_master_refresh 10
}}

vrrp_script stowage_ready {{
    script "/usr/bin/curl -fsS -o /dev/null -m 1 http://{host}:{port}{path}"
    interval {look}
    timeout 2
    fall {fall}
    rise {rise}
}}

vrrp_instance stowage {{
    state BACKUP
    interface {device}
    virtual_router_id {router_id}
    priority {priority}
    advert_int {advert}
    nopreempt
    unicast_src_ip {own}
    unicast_peer {{
{peers}
    }}
    virtual_ipaddress {{
        {address} dev {device}
    }}
    track_script {{
        stowage_ready
    }}
}}
"""


def keepalived(
    address: str, node: str, hosts: Mapping[str, str], devices: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]
) -> str:
    """The text of keepalived.conf on one ingress host.

    address: `192.0.2.10/24`. hosts: {name: address} of all ingress hosts, in the order of preference; node is one of
    them. devices: what `ip -j -4 address` prints there. settings: {port: of the fence, router_id: 0 = the last byte}.
    The address stays where it is when another host comes back. Raises StowageError (STW-INGRESS-ADDRESS).
    """
    problems, wanted = [], _interface(address)
    if wanted is None:
        fix = "write an IPv4 address with its prefix length, e.g. 192.0.2.10/24"
        problems.append(_problem(f"{show(address)} is no address of an interface", fix))
    if wanted is not None and str(wanted.ip) in hosts.values():
        problems.append(_problem(f"{wanted.ip} is a host's own address", "choose one that nobody has"))
    if not 2 <= len(hosts) <= MOST_HOSTS:
        fix = "put a second host into stowage_ingress, or take stowage_ingress_address away"
        problems.append(_problem(f"{len(hosts)} ingress host(s) are not from 2 to {MOST_HOSTS}", fix))
    device = next((one["ifname"] for one in devices if _has(one, hosts[node])), None)
    if device is None:
        problems.append(
            _problem(f"no device of {node} has the address {hosts[node]}", "set stowage_address of the host")
        )
    router_id = settings.get("router_id") or (int(str(wanted.ip).rpartition(".")[2]) if wanted else 1)
    if isinstance(router_id, bool) or not isinstance(router_id, int) or not 1 <= router_id <= 255:
        fix = "set stowage_ingress_router_id, from 1 to 255"
        problems.append(_problem(f"{show(router_id)} is no number of a virtual router", fix))
    raise_all(problems)
    return TEMPLATE.format(
        node=node,
        host=FENCE_HOST,
        port=int(settings["port"]),
        path=READY_PATH,
        look=LOOK_SECONDS,
        fall=LOOKS_DOWN,
        rise=LOOKS_UP,
        device=device,
        router_id=router_id,
        priority=HIGHEST_PRIORITY - PRIORITY_STEP * list(hosts).index(node),
        advert=ADVERT_SECONDS,
        own=hosts[node],
        peers="\n".join(f"        {other}" for name, other in hosts.items() if name != node),
        address=wanted,
    )


def _interface(address: Any) -> ipaddress.IPv4Interface | None:
    try:
        return ipaddress.IPv4Interface(address) if "/" in str(address) else None
    except ValueError:
        return None


def _has(device: Mapping[str, Any], address: str) -> bool:
    return any(one.get("local") == address for one in device.get("addr_info") or ())


def _problem(reason: str, fix: str) -> Problem:
    return Problem("STW-INGRESS-ADDRESS", "stowage_ingress_address", reason, fix)
