# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a plan opens and closes: who reaches which service now, and who will. Services that nobody has are named.

A record is what a service says of that: {networks, closed, allow, sources, ports} as in the Service, and only what is
stated. Each host's policy carries those of the services that it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, show

CODE = "STW-ALLOW"
REACH = "# reach "
ANYWHERE = "anywhere"
ALL = "all ports"
Record = Mapping[str, Any]
Port = Iterable[Any]


def problems(services: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Services that an allow names and no stack has."""
    from difflib import get_close_matches  # noqa: PLC0415 (hosts import this file and never ask)

    known = {str(service["name"]): service for service in services}
    found = []
    for name, service in sorted(known.items()):
        for entry in service.get("allow") or ():
            if entry["from"] != "*" and entry["from"] not in known:
                close = get_close_matches(entry["from"][:100], sorted(known), n=1)
                reason = f"x-stowage.allow names {show(entry['from'])}, which is no service of the fleet"
                fix = f"did you mean {close[0]}?" if close else "name a service of this stack, or <stack>_<service>"
                found.append(Problem(CODE, f"service {name}", reason, fix))
    return found


def record(service: Mapping[str, Any]) -> dict[str, Any]:
    """A service's record."""
    published = [
        [port.get("protocol") or "tcp", int(port["target"]), int(port["target"])]
        for port in service.get("ports") or ()
        if int(port.get("published") or 0)
    ]
    made = {
        "networks": sorted(network["name"] for network in service.get("networks") or ()),
        "closed": bool(service.get("closed")),
        "allow": service.get("allow"),
        "sources": service.get("sources"),
        "ports": sorted(map(list, {tuple(port) for port in published})),
    }
    return {key: value for key, value in made.items() if value}


def told(script: str) -> dict[str, Any] | None:
    """The records that a host's policy carries; None if it carries none (it is of an older version)."""
    for line in script.split("\n", 3)[:3]:
        if line.startswith(REACH):
            return dict(json.loads(line[len(REACH) :]))
    return None


def changes(before: Mapping[str, Record], after: Mapping[str, Record], kept: Iterable[str]) -> list[dict[str, str]]:
    """What is opened and closed: [{service, from, ports, was}], ports and was as text, "" for nothing. Sorted.

    before, after: {service: record}. kept: services that run now; of those without a record in before nothing is said,
    and nothing of services that end.
    """
    quiet = {name for name in kept if name not in before} | (set(before) - set(after))
    old, new = _Side(before), _Side(after)
    found = []
    for name in sorted(set(after) - quiet):
        for client in sorted(old.near(name) ^ new.near(name) | set(old.stated(name)) | set(new.stated(name))):
            was, now = old.ports(name, client), new.ports(name, client)
            if was != now and client not in quiet and client != name:
                found.append({"service": name, "from": client, "ports": now, "was": was})
    return found


def overview(records: Mapping[str, Record]) -> dict[str, Any]:
    """Who may reach whom: {networks: {name: [service]}, closed: [service], allowed, published}, all sorted.

    allowed: what services state beyond their networks, published: their published ports; [{service, from, ports}].
    """
    networks: dict[str, list[str]] = {}
    allowed, published = [], []
    for name, one in sorted(records.items()):
        for network in one.get("networks", ()):
            networks.setdefault(network, []).append(name)
        for entry in one.get("allow", ()):
            whom = "its networks" if entry["from"] == "*" else entry["from"]
            allowed.append({"service": name, "from": whom, "ports": _port_text(entry["ports"]) or ALL})
        for source in (one.get("sources") or [ANYWHERE]) if one.get("ports") else ():
            published.append({"service": name, "from": source, "ports": _port_text(one["ports"])})
    closed = [name for name, one in sorted(records.items()) if one.get("closed")]
    return {"networks": dict(sorted(networks.items())), "closed": closed, "allowed": allowed, "published": published}


def _port_text(ports: Iterable[Port]) -> str:
    return ", ".join(
        f"{first}-{last}/{kind}" if last != first else f"{first}/{kind}"
        for kind, first, last in sorted(map(tuple, ports))
    )


class _Side:
    """Who reaches what, by records."""

    def __init__(self, records: Mapping[str, Record]) -> None:
        self._records = records
        self._members: dict[str, set[str]] = {}
        for name, one in records.items():
            for network in one.get("networks", ()):
                self._members.setdefault(network, set()).add(name)

    def near(self, name: str) -> set[str]:
        """Services that reach all ports of a service by a common network."""
        one = self._records.get(name, {})
        return set() if one.get("closed") else self._around(one)

    def _around(self, one: Record) -> set[str]:
        return set().union(*(self._members[network] for network in one.get("networks", ())))

    def stated(self, name: str) -> dict[str, list[Port]]:
        """{client: ports} that a service states for services, networks, or everybody; [] is all ports."""
        one = self._records.get(name, {})
        found: dict[str, list[Port]] = {}
        for entry in one.get("allow", ()):
            for client in self._around(one) if entry["from"] == "*" else [entry["from"]]:
                both = [*found.get(client, ()), *entry["ports"]]
                found[client] = both if entry["ports"] and found.get(client) != [] else []
        for client in one.get("sources") or [ANYWHERE]:
            if one.get("ports"):
                found[client] = list(one["ports"])
        return found

    def ports(self, name: str, client: str) -> str:
        """The ports of a service that a client reaches, as text."""
        stated = self.stated(name)
        if client in self.near(name) or stated.get(client) == []:
            return ALL
        return _port_text(stated.get(client, ()))


def lines(found: Iterable[Mapping[str, str]]) -> list[str]:
    """The changes for people: clients that gain or lose the same are in one line."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for change in found:
        grouped.setdefault((change["service"], change["ports"], change["was"]), []).append(change["from"])
    made = []
    for (service, ports, was), clients in grouped.items():
        sign, text = ("-", f"{was} no more") if not ports else ("+", ports) if not was else ("~", f"{ports}, was {was}")
        shown = ", ".join(clients[:8]) + (f" and {len(clients) - 8} more" if len(clients) > 8 else "")
        made.append(f"reach {sign} {service} from {shown}: {text}")
    return made
