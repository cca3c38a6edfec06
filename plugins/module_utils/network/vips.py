# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Addresses of services: the part of the fleet's cidr that they have, and which service has which."""

from __future__ import annotations

import hashlib
import ipaddress
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

SHARE = 4  # a sixteenth of the cidr
LARGEST = 16


def vip_range(cidr: str, block_prefix: int, kept: str, blocks: Iterable[str], retired: Iterable[str]) -> str:
    """The part of cidr that services' addresses come from; "" if no block is free for it.

    kept: the one that is in use, which stays. Otherwise the highest free sixteenth of cidr (at most a /16, at least one
    block). blocks: those in use; retired: those of hosts that left as well, spared as long as there are others.
    """
    if kept:
        return kept
    whole = ipaddress.IPv4Network(cidr)
    for spared in (list(retired), list(blocks)):
        taken = [ipaddress.IPv4Network(block) for block in spared]
        for prefix in range(min(max(LARGEST, whole.prefixlen + SHARE), block_prefix), block_prefix + 1):
            free = _highest_free(whole, prefix, taken)
            if free is not None:
                return str(free)
    return ""


def _highest_free(
    whole: ipaddress.IPv4Network, prefix: int, taken: list[ipaddress.IPv4Network]
) -> ipaddress.IPv4Network | None:
    """The highest part of this prefix that nobody is in; never the whole."""
    size = 2 ** (32 - prefix)
    for number in range(2 ** (prefix - whole.prefixlen) - 1, 0, -1):
        part = ipaddress.IPv4Network((int(whole.network_address) + number * size, prefix))
        if not any(part.overlaps(block) for block in taken):
            return part
    return None


def kept_range(cidr: str, block_prefix: int, told: Iterable[Any], blocks: Iterable[str]) -> str:
    """The range that most hosts' tables name, if it is blocks of cidr that nobody has; else ""."""
    whole, taken = ipaddress.IPv4Network(cidr), [ipaddress.IPv4Network(block) for block in blocks]
    words = Counter(str(text) for text in told if text)
    for text, _count in sorted(words.items(), key=lambda word: (-word[1], word[0])):
        try:
            part = ipaddress.IPv4Network(text)
        except ValueError:
            continue
        if (
            part.prefixlen <= block_prefix
            and part.subnet_of(whole)
            and not any(part.overlaps(block) for block in taken)
        ):
            return str(part)
    return ""


def assign_vips(names: Iterable[str], vips: str, told: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """{service: its address in vips}: the one it has, or the free one at hash(name) or next to it.

    told: what each host was last told, {service: address}; the most common word wins. Services that get none, because
    the range is full, are left out. vips "" gives {}.
    """
    if not vips:
        return {}
    wanted, whole = sorted(set(names)), ipaddress.IPv4Network(vips)
    given: dict[str, str] = {}
    used: set[str] = set()
    words = _words(told)
    for name in wanted:
        for text, _count in sorted(words.get(name, {}).items(), key=lambda word: (-word[1], word[0])):
            if _usable(text, whole) and text not in used:
                given[name] = text
                used.add(text)
                break
    room, first = whole.num_addresses - 2, int(whole.network_address) + 1
    for name in wanted:
        if name in given or len(used) >= room:
            continue
        number = int(hashlib.sha256(name.encode()).hexdigest(), 16) % room
        while str(ipaddress.IPv4Address(first + number)) in used:
            number = (number + 1) % room
        given[name] = str(ipaddress.IPv4Address(first + number))
        used.add(given[name])
    return dict(sorted(given.items()))


def _words(told: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    words: dict[str, Counter[str]] = {}
    for table in told:
        for name, address in table.items():
            words.setdefault(str(name), Counter())[str(address)] += 1
    return words


def _usable(text: str, whole: ipaddress.IPv4Network) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return address in whole and address not in (whole.network_address, whole.broadcast_address)
