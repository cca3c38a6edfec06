# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an operator asks of a plan with extra variables: rebalance, what if."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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


def wish(args: Mapping[str, Any], groups: Mapping[str, Any]) -> tuple[rollout.Wish, list[Problem]]:
    """What is asked with -e without=, without_group=, add_hosts=, scale=, survive=, and the mistakes in that.

    groups: the inventory's.
    """
    found: list[Problem] = []
    lost = set(controller.names(args["without"]))
    for group in controller.names(args["without_group"]):
        if group not in groups:
            found.append(rollout.unknown("without_group", "group", group, groups))
            continue
        lost |= {name for name in groups[group] if any(name in groups.get(part, ()) for part in controller.GROUPS)}
    scale = args["scale"]
    scaled = {str(key): str(number) for key, number in scale.items()} if isinstance(scale, Mapping) else None
    made = rollout.Wish(
        without=sorted(lost),
        add_hosts=noted(found, lambda: _hosts(args["add_hosts"])),
        scale=rollout.scales(controller.names(scale)) if scaled is None else scaled,
        survive=bool(noted(found, lambda: controller.truth(args["survive"], "survive"))),
    )
    return made, found


def problems(
    args: Mapping[str, Any], groups: Mapping[str, Any], fleet: Mapping[str, Any], services: Iterable[Mapping[str, Any]]
) -> list[Problem]:
    """Every mistake in what is asked, before anything is planned."""
    made, found = wish(args, groups)
    noted(found, lambda: controller.truth(args["allow_unknown"], "stowage_allow_unknown"))
    return [*found, *rollout.wish_problems(made, fleet["nodes"], services)]


def noted(found: list[Problem], read: Callable[[], Any]) -> Any:
    """What a function reads; None, and its problems are noted, if it refuses."""
    try:
        return read()
    except StowageError as error:
        found += error.problems
        return None


def _hosts(value: Any) -> Any:
    """A number, a text, or a list of nodes (also as YAML or JSON text)."""
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "-"):
        return plain(value)
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        fix = "write add_hosts='[{name: new, capacity: {cpus: 4}}]'"
        raise StowageError(Problem("STW-OPTION", "add_hosts", "is no list in YAML or JSON", fix)) from error
