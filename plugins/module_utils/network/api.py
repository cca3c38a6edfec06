# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the network room offers to the controller."""

from __future__ import annotations

from .allocation import allocate, plan_table
from .blocks import address_pool, container_mac, gateway, ip_range, vtep, vtep_mac
from .converge import NetworkError
from .host import apply_policy, apply_ports, claim, policy_applied, ports_applied
from .policy import model, policy_table
from .services import service_table
from .settings import check, overlaps
from .tables import base_table
from .vips import assign_vips, vip_range

__all__ = [
    "NetworkError",
    "address_pool",
    "allocate",
    "apply_policy",
    "apply_ports",
    "assign_vips",
    "base_table",
    "check",
    "claim",
    "container_mac",
    "gateway",
    "ip_range",
    "model",
    "overlaps",
    "plan_table",
    "policy_applied",
    "policy_table",
    "ports_applied",
    "service_table",
    "vip_range",
    "vtep",
    "vtep_mac",
]
