# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Published ports of mode ingress take a port on every address of every host: what else has it there is named."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import Problem, show

CODE = "STW-PORT"
FIX = "publish another port"
Service = Mapping[str, Any]
Port = tuple[str, int]  # protocol, number


def conflicts(
    services: Iterable[Service], observations: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Problem], list[str]]:
    """(what is refused, warnings): another service has the port, in whatever mode; a host has something that listens.

    services: Service values of all stacks; observations: of the hosts that answered. What listens on a host beside a
    service that runs already is a warning: its clients were taken away before this plan.
    """
    wanted = {str(one["name"]): one for one in sorted(services, key=lambda one: str(one["name"]))}
    owners: dict[Port, str] = {}
    problems: list[Problem] = []
    for name, service in wanted.items():
        for port in _ports(service, "ingress"):
            other = owners.setdefault(port, name)
            if other != name:
                problems.append(_problem(name, port, f"as {other} does"))
    for name, service in wanted.items():
        for port in _ports(service, "host"):
            if owners.get(port, name) != name:
                reason = f"on its own hosts, and {owners[port]} has it on every host"
                problems.append(_problem(name, port, reason))
    running = {str(one["service"]) for seen in observations.values() for one in seen["containers"]}
    warnings = []
    for port, (node, address) in sorted(_listening(observations).items()):
        if port in owners:
            reason = f"but host {node} listens there ({show(address)})"
            if owners[port] in running:
                warnings.append(f"{owners[port]} publishes {_text(port)}, {reason}: nobody reaches that any more")
            else:
                problems.append(_problem(owners[port], port, reason))
    return problems, warnings


def _problem(name: str, port: Port, reason: str) -> Problem:
    return Problem(CODE, f"service {name}", f"publishes {_text(port)}, {reason}", FIX)


def _text(port: Port) -> str:
    return f"{port[1]}/{port[0]}"


def _ports(service: Service, mode: str) -> Iterator[Port]:
    """The ports a service publishes in a mode; of a range all that it may take."""
    for port in service.get("ports") or ():
        first = int(port.get("published") or 0)
        if first and port.get("mode", "ingress") == mode:
            for number in range(first, int(port.get("published_end") or first) + 1):
                yield str(port.get("protocol") or "tcp"), number


def _listening(observations: Mapping[str, Mapping[str, Any]]) -> dict[Port, tuple[str, str]]:
    """{port: (the first host on which something that is not ours listens, its address)}."""
    found: dict[Port, tuple[str, str]] = {}
    for node, seen in sorted(observations.items()):
        for port in seen["foreign"]["ports"]:
            found.setdefault((str(port["protocol"]), int(port["port"])), (node, str(port["ip"])))
    return found
