# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Container addresses: the lowest free one of the host's block, never one that is or was just in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import Problem, raise_all
from ..network.blocks import address_pool

# From this share of a host's addresses on, a plan says that they run out.
FEW = 0.8


class Addresses:
    """Hands out addresses per node; collects a Problem for every one it could not give."""

    def __init__(
        self,
        observations: Mapping[str, Mapping[str, Any]],
        serving: Iterable[Mapping[str, Any]],
        nodes: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        """Take the observations (blocks, containers), the tasks that serve now (on cooldown) and the fleet's nodes."""
        self._hosts = {node["name"]: str(node["address"]) for node in nodes}
        self._used = {task["ip"] for task in serving if task["ip"]}
        self._used |= {c["ip"] for seen in observations.values() for c in seen["containers"] if c["ip"]}
        self._used |= {task["ip"] for seen in observations.values() for task in seen["endpoints"].get("tasks", [])}
        self._held = {c["ip"]: str(c["name"]) for seen in observations.values() for c in seen["containers"] if c["ip"]}
        self._claims = {node: seen["network"].get("claim") for node, seen in observations.items()}
        self._pools: dict[str, Iterator[str]] = {}
        self.problems: list[Problem] = []

    def take(self, node: str, task: str) -> str:
        """The next free address of the node's block; "" (and a Problem) if there is none."""
        claim = self._claims.get(node)
        if not claim:
            fix = "run stowage.fleet.bootstrap first"
            self.problems.append(Problem("STW-NETWORK", f"host {node}", "has no container network", fix))
            return ""
        pool = self._pools.setdefault(node, iter(address_pool(claim["block"])))
        for address in pool:
            if address not in self._used:
                self._used.add(address)
                return str(address)
        reason = f"block {claim['block']} has no free address for {task}"
        fix = "place fewer containers there, or use a shorter block_prefix in a new fleet"
        self.problems.append(Problem("STW-ADDRESSES", f"host {node}", reason, fix))
        return ""

    def fixed(self, address: str, task: str, own: Iterable[str]) -> str:
        """A fixed address, for the task that may have it: free, or held by `own`, the container that it replaces."""
        holder = self._held.get(address)
        if holder and holder not in own:
            reason = f"{address} is still held by {holder}"
            fix = f"remove that service first (a deploy without {task.rpartition('.')[0]}), or choose another address"
            self.problems.append(Problem("STW-ADDRESS", f"task {task}", reason, fix))
        return address

    def of_host(self, node: str) -> str:
        """The host's own address, for a container that uses its host's network."""
        return self._hosts[node]

    def foretell(self) -> list[str]:
        """A warning for every host whose addresses run out, in use or given or just given back."""
        found = []
        for node, claim in sorted(self._claims.items()):
            pool = address_pool(claim["block"]) if claim else []
            used = sum(address in self._used for address in pool)
            if pool and used >= len(pool) * FEW:
                reason = f"{used} of {len(pool)} addresses of its block are taken, and an update takes new ones first"
                found.append(f"host {node}: {reason}: place fewer containers there")
        return found

    def check(self) -> None:
        """Raise StowageError if any address could not be given."""
        raise_all(self.problems)
