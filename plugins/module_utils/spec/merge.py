# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A later stack file merged over an earlier one, by the rules of Docker's command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .depending import conditions
from .document import KeyPath

Value = dict[str, Any]


def merge(base: Value, overlay: Value, replaced: Iterable[KeyPath] = ()) -> Value:
    """The normal form of both files: services merge key by key, other named objects are replaced whole.

    replaced: paths at which the overlay's value stands alone (Compose's tags !reset and !override).
    """
    for path in sorted(replaced, key=len):
        base = _without(base, path)
    merged = {**base, **{name: value for name, value in overlay.items() if name not in SECTIONS}}
    for section in SECTIONS:
        if section not in overlay:
            continue
        before, after = base.get(section, {}), overlay[section]
        merged[section] = {**before, **after}
        if section == "services":
            shared = {name for name in after if name in before}
            merged[section].update({name: merge_service(before[name], after[name]) for name in shared})
    return merged


def _without(value: Any, path: KeyPath) -> Any:
    """The value without what stands at a path of keys; as it is if there is nothing."""
    if not path or not isinstance(value, dict) or path[0] not in value:
        return value
    if len(path) == 1:
        return {name: item for name, item in value.items() if name != path[0]}
    return {**value, path[0]: _without(value[path[0]], path[1:])}


SECTIONS = ("services", "networks", "volumes", "configs", "secrets")


def merge_service(base: Value, overlay: Value, replaced: Iterable[KeyPath] = ()) -> Value:
    """A service over another one: of an earlier file, or the one that it extends."""
    for path in sorted(replaced, key=len):
        base = _without(base, path)
    merged = dict(base)
    for name, value in overlay.items():
        merged[name] = _SPECIAL.get(name, _deep)(base[name], value) if name in base else value
    return merged


def _deep(base: Any, overlay: Any) -> Any:
    """Mappings merge, lists append, everything else is replaced."""
    if isinstance(base, dict) and isinstance(overlay, dict):
        return {**base, **{name: _deep(base[name], v) if name in base else v for name, v in overlay.items()}}
    if isinstance(base, list) and isinstance(overlay, list):
        return base + overlay
    return overlay


def _replaced(base: Any, overlay: Any) -> Any:
    return overlay


def _keyed(key: str) -> Callable[[Any, Any], Any]:
    """Lists whose items replace each other by this key, in its order."""

    def merged(base: list[Value], overlay: list[Value]) -> list[Value]:
        items = {item.get(key, 0): item for item in [*base, *overlay]}
        return [items[name] for name in sorted(items, key=lambda name: (isinstance(name, str), name))]

    return merged


def _logging(base: Value, overlay: Value) -> Value:
    """Options merge for the same driver; another driver replaces all."""
    same = base.get("driver", "") == overlay.get("driver", "") or not (base.get("driver") and overlay.get("driver"))
    return _deep(base, overlay) if same else overlay


def _networks(base: Value, overlay: Value) -> Value:
    """Each network's aliases are replaced."""
    merged = {**base, **{name: {**(base.get(name) or {}), **(value or {})} for name, value in overlay.items()}}
    return {name: value or base.get(name) or overlay.get(name) for name, value in merged.items()}


def _healthcheck(base: Value, overlay: Value) -> Value:
    """Key by key; Docker would join the two test commands into one that cannot run, here the later one stands."""
    return {**base, **overlay}


def _depends_on(base: Any, overlay: Any) -> Any:
    if isinstance(base, list) and isinstance(overlay, list):
        return base + overlay
    return {**conditions(base), **conditions(overlay)}


_SPECIAL: dict[str, Callable[[Any, Any], Any]] = {
    "command": _replaced,
    "entrypoint": _replaced,
    "configs": _keyed("source"),
    "secrets": _keyed("source"),
    "ports": _keyed("published"),
    "volumes": _keyed("target"),
    "networks": _networks,
    "logging": _logging,
    "healthcheck": _healthcheck,
    "ulimits": lambda base, overlay: {**base, **overlay},
    "depends_on": _depends_on,
}
