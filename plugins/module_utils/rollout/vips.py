# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which services have an address of their own, and which: from what the hosts hold and were told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..fleet.observed import one_shot
from ..network.vips import assign_vips

Services = Iterable[Mapping[str, Any]]
Observations = Mapping[str, Mapping[str, Any]]


def with_vips(services: Services, observations: Observations) -> list[dict[str, Any]]:
    """The services, each with the `vip` it has or gets now; without one if it wants none, or the hosts have no range.

    A service keeps its address as long as any host remembers it: it depends on nothing else, least of all on replicas.
    """
    listed = [dict(service) for service in services]
    told = [seen["endpoints"].get("vips") or {} for seen in observations.values()]
    given = assign_vips((one["name"] for one in listed if wants_vip(one)), _range(observations), told)
    return [{**one, "vip": given[one["name"]]} if one["name"] in given else one for one in listed]


def wants_vip(service: Mapping[str, Any]) -> bool:
    """True unless its names shall answer with its tasks.

    It says so, it has a fixed address, it is on its host's own network, or its tasks end.
    """
    template = service["template"]
    own = template.get("network_mode") == "host" or template.get("address")
    return service.get("endpoint_mode") != "dnsrr" and not own and not one_shot(service)


def vip_warnings(services: Services, observations: Observations) -> list[str]:
    """Why services have no address of their own, as far as nobody asked for that."""
    listed = [service for service in services if wants_vip(service)]
    ranges = {str(claim.get("vips") or "") for claim in _claims(observations)}
    if not listed or ranges <= {""}:
        return []
    if len(ranges) > 1:
        return ["hosts disagree on the addresses of services: run stowage.fleet.bootstrap; names answer with tasks"]
    short = sorted(service["name"] for service in listed if not service.get("vip"))
    return [f"{', '.join(short)}: no address is left in {min(ranges)}: their names answer with tasks"] if short else []


def _range(observations: Observations) -> str:
    """The range that every host that answered routes; "" if one does not: its containers could not follow a name."""
    ranges = {str(claim.get("vips") or "") for claim in _claims(observations)}
    return ranges.pop() if len(ranges) == 1 else ""


def _claims(observations: Observations) -> list[Mapping[str, Any]]:
    return [seen["network"]["claim"] for seen in observations.values() if seen["network"].get("claim")]
