# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who has which block: claims on the hosts are kept for ever, new hosts get a stable place of their own."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import Problem, StowageError, raise_all, show
from . import bgp, blocks, encryption, evpn
from .settings import RANGES, as_address, as_network, check, overlaps, settings
from .vips import kept_range, vip_range

HOST_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
DEFAULT_MTU = 1500
CLAIM_FIX = "if it is a copy of another host, remove /etc/stowage/network.json there; else give it back its name"

Table = Mapping[str, Any]


def allocate(
    network: Mapping[str, Any] | None,
    nodes: Iterable[Mapping[str, Any]],
    claims: Mapping[str, Table | None],
    fleet: str = "",
    mtus: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The fleet table: one block per node, the same for every order of the arguments.

    network: stowage_network. nodes: the Fleet's nodes [{name, address}].
    claims: {host: the table it holds with its `name` (`converge.load_state`), None if it has none}; a host that did
    not answer is absent. mtus: {host: MTU of its underlay device}.
    Returns {fleet, mode, cidr, block_prefix, mtu, vni, port, vips, retired: {name: block},
    nodes: {name: {index, block, gateway, vtep, address, mac}}}; vips: the part of cidr for services (`vips.vip_range`).
    A host's own claim wins; a host without one gets back what the others' tables say; a new host gets the block at
    hash(name), or the next free one. Blocks of hosts that left are `retired`: reused last.
    Raises StowageError with every mistake: those of `check`, STW-CLAIM, STW-CIDR-FULL, STW-MTU.
    """
    members = sorted(nodes, key=lambda node: str(node["name"]))
    raise_all(check(network, members))
    wanted = settings(network)
    book = _Book(wanted, {str(node["name"]) for node in members}, fleet)
    book.read(claims)
    raise_all(book.problems)
    book.settle()
    mtu = _mtu(wanted, members, claims, mtus or {}, book.problems)
    raise_all(book.problems)
    return {
        "fleet": fleet,
        **{key: wanted[key] for key in ("mode", "cidr", "block_prefix", "vni", "port")},
        "mtu": mtu,
        "vips": vip_range(str(book.cidr), book.prefix, book.vips, book.taken(), book.taken(retired=True)),
        "nodes": {str(node["name"]): book.entry(node) for node in members},
        "retired": {name: str(block) for name, block in sorted(book.retired.items())},
    }


def mistakes(fleet: Mapping[str, Any]) -> list[Problem]:
    """Every mistake of the Fleet's network that shows without asking a host: `settings.check`, STW-BGP, STW-EVPN,
    STW-ENCRYPTION."""
    network, nodes, reflectors = fleet["network"], fleet["nodes"], fleet.get("reflectors") or []
    problems = check(network, nodes)
    if network is None or isinstance(network, Mapping):
        wanted = settings(network)
        problems += bgp.check(wanted, nodes, reflectors) + evpn.check(wanted, nodes) + encryption.check(wanted)
    return problems


def plan_table(
    fleet: Mapping[str, Any], observed: Mapping[str, Mapping[str, Any]], keys: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The fleet table from the Fleet and what the hosts that answered said, after all checks that need both.

    observed: {host: {held, networks, pools, addresses, mtu, links, devices}} as `host_network state=observed` returns;
    keys: {host: public key} as state=keyed does.
    Raises StowageError with every mistake: those of `allocate`, STW-CIDR-OVERLAP, STW-BGP, STW-EVPN, STW-ENCRYPTION,
    STW-INVENTORY (an address the host does not have).
    """
    nodes, reflectors = fleet["nodes"], fleet.get("reflectors") or []
    problems = mistakes(fleet)
    raise_all(problems)
    wanted = settings(fleet["network"])
    cidr = wanted["cidr"]
    for node in nodes:
        seen = observed.get(node["name"])
        if seen is None:
            continue
        problems += overlaps(cidr, [*(seen.get("networks") or []), *_pools(observed, seen)], f"host {node['name']}")
        if not seen.get("mtu"):
            reason = (
                f"{node['address']} is not on the host, which has {', '.join(seen.get('addresses') or []) or 'none'}"
            )
            fix = "set stowage_address to the one the other hosts reach it by"
            problems.append(Problem("STW-INVENTORY", f"host {node['name']}: stowage_address", reason, fix))
    mtus = {host: seen["mtu"] for host, seen in observed.items() if seen.get("mtu")}
    claims = {host: seen.get("held") for host, seen in observed.items()}
    try:
        table = allocate(fleet["network"], nodes, claims, fleet["name"], mtus)
        bgp.extend(table, wanted, nodes, reflectors)
        evpn.extend(table, wanted)
        problems += encryption.extend(table, wanted, keys or {}, claims)
        problems += bgp.unreachable(table, observed)
    except StowageError as error:
        problems += error.problems
    raise_all(problems)
    return table


def _pools(observed: Mapping[str, Mapping[str, Any]], seen: Mapping[str, Any]) -> list[dict[str, str]]:
    """Docker's address pools on a host, as networks of it; only while nobody has a claim and cidr may be chosen.

    Docker gives later networks subnets of them, and does not look at routes through gateways, as ours are.
    """
    if any(one.get("held") for one in observed.values()):
        return []
    what = "from which Docker takes subnets: default-address-pools"
    return [{"cidr": str(pool), "kind": "docker", "what": what} for pool in seen.get("pools") or []]


class _Book:
    """The claims of one pass: `blocks` of members, `retired` ones of others, and the problems found."""

    def __init__(self, wanted: Mapping[str, Any], members: set[str], fleet: str) -> None:
        self.cidr = ipaddress.IPv4Network(wanted["cidr"])
        self.prefix: int = wanted["block_prefix"]
        self.members = members
        self.fleet = fleet
        self.blocks: dict[str, ipaddress.IPv4Network] = {}
        self.retired: dict[str, ipaddress.IPv4Network] = {}
        self.vips = ""
        self.problems: list[Problem] = []

    def read(self, claims: Mapping[str, Table | None]) -> None:
        """Own claims first; then what tables say of everybody else, the most common word winning."""
        held = {host: table for host, table in sorted(claims.items()) if table is not None and host in self.members}
        held = {host: table if isinstance(table, Mapping) else {} for host, table in held.items()}
        for host, table in held.items():
            self._own(host, table)
        hearsay: dict[str, Counter[str]] = {}
        for table in held.values():
            for name, block in _told(table):
                hearsay.setdefault(name, Counter())[block] += 1
        for name in sorted(hearsay):
            if name not in self.blocks:
                self._heard(name, hearsay[name])
        self._conflicts()
        self.vips = kept_range(
            str(self.cidr), self.prefix, [table.get("vips") for table in held.values()], self.taken()
        )

    def _own(self, host: str, table: Table) -> None:
        place, name = f"host {host}", str(table.get("name", ""))
        theirs = str(table.get("fleet", ""))
        if theirs != self.fleet:
            reason = f"belongs to fleet {show(theirs)}, not to {show(self.fleet)}"
            fix = "a host is in one fleet: remove it there first (host_network state=absent)"
            self.problems.append(Problem("STW-CLAIM", place, reason, fix))
            return
        if name != host:
            self.problems.append(Problem("STW-CLAIM", place, f"holds the claim of host {show(name)}", CLAIM_FIX))
            return
        entry = _entries(table).get(name)
        text = entry.get("block") if isinstance(entry, Mapping) else None
        block = as_network(text)
        if block is None:
            reason = f"its claim {show(text)} is not a network"
            self.problems.append(Problem("STW-CLAIM", place, reason, "repair /etc/stowage/network.json there"))
        elif not self._fits(block):
            reason = f"its claim {block} is not a /{self.prefix} of {self.cidr}"
            fix = "a cidr may only grow; to move the fleet, remove the network from every host first"
            self.problems.append(Problem("STW-CLAIM", place, reason, fix))
        else:
            self.blocks[host] = block

    def _heard(self, name: str, words: Counter[str]) -> None:
        """A silent or reinstalled member gets back its block; a stranger's block is retired."""
        for text, _count in sorted(words.items(), key=lambda word: (-word[1], word[0])):
            block = as_network(text)
            if block is not None and self._fits(block):
                (self.blocks if name in self.members else self.retired)[name] = block
                return

    def _fits(self, block: ipaddress.IPv4Network) -> bool:
        return block.prefixlen == self.prefix and block.subnet_of(self.cidr)

    def _conflicts(self) -> None:
        holder: dict[ipaddress.IPv4Network, str] = {}
        for name, block in sorted(self.blocks.items()):
            other = holder.setdefault(block, name)
            if other != name:
                reason = f"claims {block}, as host {other} does"
                self.problems.append(Problem("STW-CLAIM", f"host {name}", reason, CLAIM_FIX))
        self.retired = {name: block for name, block in self.retired.items() if block not in holder}

    def settle(self) -> None:
        """Give every new member a block; collect STW-CIDR-FULL for those that get none."""
        room = 2 ** (self.prefix - self.cidr.prefixlen)
        used = {self.index(block) for block in self.blocks.values()}
        if self.vips:
            used |= {self.index(block) for block in ipaddress.IPv4Network(self.vips).subnets(new_prefix=self.prefix)}
        old = {self.index(block): name for name, block in self.retired.items()}
        for name in sorted(self.members - set(self.blocks)):
            start = int(hashlib.sha256(name.encode()).hexdigest(), 16) % room
            index = _free(start, room, used | set(old))
            index = _free(start, room, used) if index is None else index
            if index is None:
                reason = f"{self.cidr} has no free /{self.prefix}: {len(used)} of {room} are taken"
                self.problems.append(
                    Problem("STW-CIDR-FULL", f"host {name}", reason, "use a wider cidr around this one")
                )
                continue
            used.add(index)
            self.retired.pop(old.pop(index, ""), None)
            base = int(self.cidr.network_address) + index * 2 ** (32 - self.prefix)
            self.blocks[name] = ipaddress.IPv4Network((base, self.prefix))

    def taken(self, retired: bool = False) -> list[str]:
        """The blocks of members, and those of hosts that left if asked."""
        return [str(block) for block in [*self.blocks.values(), *(self.retired.values() if retired else ())]]

    def index(self, block: ipaddress.IPv4Network) -> int:
        return (int(block.network_address) - int(self.cidr.network_address)) >> (32 - self.prefix)

    def entry(self, node: Mapping[str, Any]) -> dict[str, Any]:
        block = self.blocks[str(node["name"])]
        return {
            "index": self.index(block),
            "block": str(block),
            "gateway": blocks.gateway(str(block)),
            "vtep": blocks.vtep(str(block)),
            "address": str(node["address"]),
            "mac": blocks.vtep_mac(str(node["address"])),
        }


def _entries(table: Table) -> Mapping[str, Any]:
    nodes = table.get("nodes")
    return nodes if isinstance(nodes, Mapping) else {}


def _told(table: Table) -> list[tuple[str, str]]:
    """[(name, block)] that one host's table says of all hosts."""
    retired = table.get("retired")
    told = [(name, entry.get("block")) for name, entry in _entries(table).items() if isinstance(entry, Mapping)]
    told += list(retired.items()) if isinstance(retired, Mapping) else []
    return [(str(name), str(block)) for name, block in told if HOST_NAME.match(str(name))]


def _free(start: int, room: int, used: set[int]) -> int | None:
    """The first free index from start on, around the end; None if all are used."""
    if len(used) >= room:
        return None
    index = start
    while index in used:
        index = (index + 1) % room
    return index


def _mtu(
    wanted: Mapping[str, Any],
    nodes: Iterable[Mapping[str, Any]],
    claims: Mapping[str, Table | None],
    mtus: Mapping[str, int],
    problems: list[Problem],
) -> int:
    """One MTU for the fleet. It never grows by itself: running containers keep the one they were made with."""
    sealed = encryption.wanted(wanted)
    extra = max(
        (blocks.overhead(str(node["address"]), sealed) for node in nodes if as_address(node["address"])), default=50
    )
    host = min(mtus, key=lambda name: (mtus[name], name), default="")
    limit = (mtus[host] if host else DEFAULT_MTU) - extra
    if wanted["mtu"]:
        if host and wanted["mtu"] > limit:
            reason = f"{wanted['mtu']} is more than {limit}: host {host} has {mtus[host]}, VXLAN takes {extra}"
            problems.append(Problem("STW-MTU", "stowage_network.mtu", reason, f"use at most {limit}"))
        return int(wanted["mtu"])
    least = RANGES["mtu"][0]
    if limit < least:
        reason = f"has {limit + extra} on its device: containers would have {limit}, less than {least}"
        problems.append(
            Problem("STW-MTU", f"host {host}", reason, "give its device a larger MTU, or set another address")
        )
    before = [table.get("mtu") for table in claims.values() if isinstance(table, Mapping)]
    return min([limit] + [mtu for mtu in before if isinstance(mtu, int) and mtu >= 576])
