# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The key table as the page docs/stack-files.md shows it."""

from __future__ import annotations

from .keys import KEYS, Key


def table() -> str:
    """The whole table as Markdown, one section per mapping: what docs/stack-files.md shows."""
    lines: list[str] = []
    for title, prefix in SECTIONS:
        lead = f"{prefix}." if prefix else ""
        lines += [f"### {title}", "", "| key | Swarm | Compose | Stowage |", "|---|---|---|---|"]
        lines += [_row(key, key.path[len(lead) :]) for key in KEYS if _owner(key) == prefix]
        lines.append("")
    return "\n".join(lines)


SECTIONS = (
    ("Top level", ""),
    ("Services", "services.*"),
    ("Ports, long form", "services.*.ports[]"),
    ("Mounts, long form", "services.*.volumes[]"),
    ("Networks of a service", "services.*.networks.*"),
    ("Configs of a service, long form", "services.*.configs[]"),
    ("Secrets of a service, long form", "services.*.secrets[]"),
    ("Healthcheck", "services.*.healthcheck"),
    ("Logging", "services.*.logging"),
    ("Deploy", "services.*.deploy"),
    ("x-stowage", "services.*.x-stowage"),
    ("Networks", "networks.*"),
    ("Volumes", "volumes.*"),
    ("Configs", "configs.*"),
    ("Secrets", "secrets.*"),
)


def _owner(key: Key) -> str:
    """The longest section prefix that holds this key."""
    return max((prefix for _title, prefix in SECTIONS if not prefix or key.path.startswith(f"{prefix}.")), key=len)


def _row(key: Key, name: str) -> str:
    return f"| `{name}` | {key.swarm} | {key.compose} | **{key.verdict}**: {key.stowage} |"
