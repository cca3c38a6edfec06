# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ports on a host: one address, protocol and port can be bound once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

ANY = ""  # every address


class Port(NamedTuple):
    """A bound port. address "" binds every address."""

    address: str
    port: int
    protocol: str

    def __str__(self) -> str:
        """Docker's way to write it: `8080/tcp`, `127.0.0.1:8080/tcp`."""
        host = f"[{self.address}]:" if ":" in self.address else f"{self.address}:" if self.address else ""
        return f"{host}{self.port}/{self.protocol}"


def clash(one: Port, other: Port) -> bool:
    """True if only one of them can be bound on a host."""
    same = one.port == other.port and one.protocol == other.protocol
    return same and (one.address == ANY or other.address in (ANY, one.address))


class HostPorts:
    """The ports that are bound on one host."""

    __slots__ = ("_bound",)

    def __init__(self, ports: Iterable[Port] = ()) -> None:
        """These so far."""
        self._bound: dict[tuple[str, int], set[str]] = {}
        for port in ports:
            self.add(port)

    def add(self, port: Port) -> None:
        """Bind a port."""
        key, bound = (port.protocol, port.port), self._bound
        if key in bound:
            bound[key].add(port.address)
        else:
            bound[key] = {port.address}

    def drop(self, port: Port) -> None:
        """Give a port back."""
        self._bound[(port.protocol, port.port)].discard(port.address)

    def bound(self) -> Iterable[tuple[str, int]]:
        """Protocol and port of all that was ever bound."""
        return self._bound

    def takes(self, port: Port) -> bool:
        """True if the port, or the same port on every address, is bound already."""
        bound = self._bound.get((port.protocol, port.port))
        if not bound:
            return False
        return port.address == ANY or ANY in bound or port.address in bound
