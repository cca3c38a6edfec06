# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's own copy of the fleet table, and what is read out of it.

A state is the fleet table (`allocation.allocate`) and `name`, this host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .kernel import NetworkError
from .names import EVPN, STATE, VXLAN

State = dict[str, Any]


def own(state: State) -> dict[str, Any]:
    """This host's entry of the table."""
    entry: dict[str, Any] = state["nodes"][state["name"]]
    return entry


def peers(state: State) -> dict[str, dict[str, Any]]:
    """The entries of all other hosts."""
    return {name: entry for name, entry in sorted(state["nodes"].items()) if name != state["name"]}


def endpoint(state: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    """Where a host's VXLAN ends: its address, if encrypted that inside of WireGuard."""
    return str(entry["inner"] if state.get("encryption") else entry["address"])


def tunnels(state: Mapping[str, Any]) -> list[str]:
    """The devices that packets of other hosts' containers come in by, out of an encapsulation."""
    return [VXLAN, *([EVPN] if state["mode"] == "evpn" else [])]


def load_state(path: str = STATE) -> State | None:
    """The state this host holds; None if it has none. Raises NetworkError if it is damaged.

    The file is {schema, node: this host's name, table: the fleet table}, and in mode bgp native: the devices that carry
    containers' packets as they are; the state is the table with `name` and `native`.
    """
    try:
        with open(path, encoding="utf-8") as file:
            held = json.load(file)
        state = {**held["table"], "name": held["node"]}
        if held.get("native"):
            state["native"] = list(held["native"])
        own(state)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NetworkError(f"{path}: damaged ({error})") from error
    return state
