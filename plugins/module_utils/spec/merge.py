# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A later stack file merged over an earlier one, by the rules of Docker's command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .depending import conditions

Value = dict[str, Any]


def merge(base: Value, overlay: Value) -> Value:
    """The normal form of both files: services merge key by key, other named objects are replaced whole."""
    merged = {**base, **{name: value for name, value in overlay.items() if name not in _SECTIONS}}
    for section in _SECTIONS:
        if section not in overlay:
            continue
        before, after = base.get(section, {}), overlay[section]
        merged[section] = {**before, **after}
        if section == "services":
            shared = {name for name in after if name in before}
            merged[section].update({name: _service(before[name], after[name]) for name in shared})
    return merged


_SECTIONS = ("services", "networks", "volumes", "configs", "secrets")


def _service(base: Value, overlay: Value) -> Value:
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
