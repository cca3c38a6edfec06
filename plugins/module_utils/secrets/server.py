# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an OpenBao that the fleet runs itself shall hold: policies, roles to log in by, the key/value store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..canonical import dumps
from ..errors import Problem, raise_all, show

CODE = "STW-VAULT"
MOST_SHARES = 20


class Change(NamedTuple):
    """One thing that the store has otherwise. kind: engine, login, policy or role; before and after as text."""

    kind: str
    name: str
    before: str
    after: str


def shares(stated: Any, needed: Any) -> tuple[int, int]:
    """How many key shares are made, and how many open the store. Raises StowageError (STW-VAULT)."""
    problems, numbers = [], []
    for name, value in (("stowage_vault_shares", stated), ("stowage_vault_threshold", needed)):
        text = str(value)
        number = int(text) if text.isdigit() and len(text) < 4 else 0
        numbers.append(number)
        if not 1 <= number <= MOST_SHARES:
            reason = f"{show(value)} is no number from 1 to {MOST_SHARES}"
            problems.append(Problem(CODE, name, reason, "write 5 shares, of which 3 are needed"))
    if not problems and numbers[1] > numbers[0]:
        reason = f"{numbers[1]} shares are needed and only {numbers[0]} are made"
        problems.append(Problem(CODE, "stowage_vault_threshold", reason, "need fewer, or make more"))
    if not problems and numbers[1] == 1 < numbers[0]:
        reason = "is 1, and OpenBao takes that for one share only"
        problems.append(Problem(CODE, "stowage_vault_threshold", reason, "need 2 or more"))
    raise_all(problems)
    return numbers[0], numbers[1]


def policies(mount: str, fleet: str, services: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{name: text}: who plans reads versions, who deploys values as well, each service its own path alone.

    services: (stack, short name). Paths are <mount>/<fleet>/<stack>/<service>, one environment below each fleet's name.
    """
    plan = _rule(f"{mount}/metadata/{fleet}/*", ("read", "list"))
    made = {
        f"{fleet}-plan": plan,
        f"{fleet}-deploy": plan + _rule(f"{mount}/data/{fleet}/*", ("read",)),
        f"{fleet}-write": plan + _rule(f"{mount}/data/{fleet}/*", ("create", "update", "patch")),
    }
    for stack, service in services:
        made[f"{fleet}-{stack}-{service}"] = _rule(f"{mount}/data/{fleet}/{stack}/{service}", ("read",))
    return made


def roles(fleet: str) -> dict[str, dict[str, Any]]:
    """{AppRole: its settings}: one to deploy and one to plan; secret ids are good for one login within ten minutes."""
    once = {"secret_id_num_uses": 1, "secret_id_ttl": 600, "token_ttl": 900, "token_max_ttl": 3600}
    return {name: {**once, "token_policies": [policy]} for name, policy in _by_role(fleet)}


def changes(found: Mapping[str, Mapping[str, Any]], wanted: Mapping[str, Mapping[str, Any]]) -> list[Change]:
    """What differs. Both: {kind: {name: text or settings}}; what the store has besides stays."""
    made = []
    for kind, things in wanted.items():
        for name, value in things.items():
            before, after = _text(found.get(kind, {}).get(name), value), _text(value, value)
            if before != after:
                made.append(Change(kind, name, before, after))
    return made


def diff(made: Iterable[Change]) -> dict[str, str]:
    """The changes as Ansible shows a diff: {before, after}."""
    listed = list(made)
    return {
        side: "".join(f"{one.kind} {one.name}\n{getattr(one, side)}" for one in listed if getattr(one, side))
        for side in ("before", "after")
    }


def _by_role(fleet: str) -> tuple[tuple[str, str], ...]:
    return ((fleet, f"{fleet}-deploy"), (f"{fleet}-plan", f"{fleet}-plan"))


def _rule(path: str, capabilities: tuple[str, ...]) -> str:
    words = ", ".join(f'"{word}"' for word in capabilities)
    return f'path "{path}" {{ capabilities = [{words}] }}\n'


def _text(value: Any, like: Any) -> str:
    """A policy's text, or settings as far as they are wanted."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.rstrip("\n") + "\n"
    return dumps({key: value.get(key) for key in like}) + "\n"
