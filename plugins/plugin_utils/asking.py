# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator asks of a plan with extra variables: rebalance, what if."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from ansible_collections.stowage.fleet.plugins.module_utils import rollout
from ansible_collections.stowage.fleet.plugins.module_utils.canonical import plain
from ansible_collections.stowage.fleet.plugins.module_utils.errors import Problem, StowageError
from ansible_collections.stowage.fleet.plugins.plugin_utils import controller


def rebalance(value: Any) -> dict[str, Any]:
    """The plan's option rebalance: a number of moves, or {max_moves, stateful}; {} if it is not asked for."""
    if value is None or value == "":
        return {}
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip())
    value = plain(value)
    return {"rebalance": value if isinstance(value, dict) else {"max_moves": value}}


def wish(args: Mapping[str, Any], groups: Mapping[str, Any]) -> rollout.Wish:
    """What is asked with -e without=, without_group=, add_hosts=, scale=, survive=. groups: the inventory's."""
    lost = set(controller.names(args["without"]))
    for group in controller.names(args["without_group"]):
        if group not in groups:
            raise StowageError(rollout.unknown("without_group", "group", group, groups))
        lost |= {name for name in groups[group] if any(name in groups.get(part, ()) for part in controller.GROUPS)}
    scale = args["scale"]
    scaled = {str(key): str(number) for key, number in scale.items()} if isinstance(scale, Mapping) else None
    return rollout.Wish(
        without=sorted(lost),
        add_hosts=_hosts(args["add_hosts"]),
        scale=rollout.scales(controller.names(scale)) if scaled is None else scaled,
        survive=controller.truth(args["survive"], "survive"),
    )


def _hosts(value: Any) -> Any:
    """A number, a text, or a list of nodes (also as YAML or JSON text)."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "-"):
        return plain(value)
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        fix = "write add_hosts='[{name: new, capacity: {cpus: 4}}]'"
        raise StowageError(Problem("STW-OPTION", "add_hosts", "is no list in YAML or JSON", fix)) from error
