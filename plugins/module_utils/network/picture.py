# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The network as a picture: SVG text that stands alone. Hosts in a circle with their ways, services in a column beside.

The same view gives the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

View = Mapping[str, Any]
Spot = tuple[float, float]
COLORS = {"up": "#2e7d32", "narrow": "#e65100", "closed": "#c62828", "silent": "#c62828", "down": "#c62828"}
DASHED = ("closed", "silent", "down")
SIDE, ROW, COLUMN = 520, 34, 420
FEW = 24  # ways between more hosts are drawn only where something is wrong
STYLE = (
    "text{font:12px sans-serif;fill:#222}.small{font-size:10px;fill:#555}.host{fill:#e3f2fd;stroke:#1565c0}"
    ".unknown{fill:#eee;stroke:#888}.service{fill:#fff8e1;stroke:#8d6e63}.edge{fill:none;stroke:#6a1b9a}"
)


def picture(view: View) -> str:
    """The SVG of a view (`view.view`): hosts with blocks, ways and sessions by their health, who may reach whom."""
    rows = _rows(view)
    height = max(SIDE, 60 + ROW * len(rows))
    title = f"Network of fleet {view['fleet']}: {view['mode']}, {view['cidr']}"
    body = [*_hosts(view), *_services(view, rows)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE + COLUMN} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="#6a1b9a"/></marker></defs>',
            f'<text x="12" y="20">{escape(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def _spots(names: list[str]) -> dict[str, Spot]:
    middle, radius = SIDE / 2, SIDE / 2 - 80
    step = 2 * math.pi / max(1, len(names))
    return {
        name: (round(middle + radius * math.sin(number * step), 1), round(middle - radius * math.cos(number * step), 1))
        for number, name in enumerate(names)
    }


def _hosts(view: View) -> list[str]:
    spots = _spots(sorted(view["hosts"]))
    lines = []
    for (one, other), state in sorted(_links(view).items()):
        if one in spots and other in spots and (len(spots) <= FEW or state != "up"):
            (x1, y1), (x2, y2) = spots[one], spots[other]
            dash = ' stroke-dasharray="5 4"' if state in DASHED else ""
            color = COLORS.get(state, "#888")
            told = escape(f"{one} - {other}: {state}")
            line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{color}" stroke-width="2"{dash}>'
            lines.append(f"{line}<title>{told}</title></line>")
    for name, (x, y) in spots.items():
        host = view["hosts"][name]
        kind = "host" if host["state"] == "ok" else "unknown"
        below = (host["block"] or host["state"]) + (f", {len(host['drift'])} differ" if host["drift"] else "")
        lines += [
            f'<rect class="{kind}" x="{x - 52}" y="{y - 18}" width="104" height="36" rx="6"/>',
            f'<text x="{x}" y="{y - 3}" text-anchor="middle">{escape(name)}</text>',
            f'<text class="small" x="{x}" y="{y + 11}" text-anchor="middle">{escape(below)}</text>',
        ]
    return lines


def _links(view: View) -> dict[tuple[str, str], str]:
    """{(host, host): the worse of what the two say of the way between them}; sessions count as ways."""
    order = ["up", "narrow", "down", "closed", "silent"]
    told = [(way["from"], way["to"], way["state"]) for way in view["ways"]]
    told += [
        (one["from"], one["host"], "up" if one["state"] == "Established" else "down")
        for one in view["sessions"]
        if one["host"]
    ]
    found: dict[tuple[str, str], str] = {}
    for one, other, state in told:
        key = (min(one, other), max(one, other))
        found[key] = max(found.get(key, "up"), state, key=lambda word: order.index(word) if word in order else 0)
    return found


def _rows(view: View) -> list[tuple[str, str]]:
    """[(kind, name)]: where flows come from that no service begins, then networks, each with its services."""
    policy = view["policy"]
    outside = sorted({edge["from"] for edge in policy["published"]})
    rows = [("outside", name) for name in outside]
    shown = set()
    for network, names in sorted(policy["networks"].items()):
        rows.append(("network", network))
        rows += [("service", name) for name in names if name not in shown]
        shown |= set(names)
    others = sorted({edge["service"] for edge in policy["published"] + policy["allowed"]} - shown)
    return rows + [("service", name) for name in others]


def _services(view: View, rows: list[tuple[str, str]]) -> list[str]:
    x, policy = SIDE + 130, view["policy"]
    heights = {name: 46 + ROW * number for number, (kind, name) in enumerate(rows) if kind != "network"}
    lines = []
    for number, (kind, name) in enumerate(rows):
        y = 46 + ROW * number
        if kind == "network":
            lines.append(f'<text class="small" x="{x - 6}" y="{y + 18}">network {escape(name)}</text>')
            continue
        mark, look = " (closed)" if name in policy["closed"] else "", "service" if kind == "service" else "unknown"
        lines += [
            f'<rect class="{look}" x="{x}" y="{y}" width="200" height="24" rx="5"/>',
            f'<text x="{x + 8}" y="{y + 16}">{escape(name + mark)}</text>',
        ]
    for edge in [*policy["published"], *policy["allowed"]]:
        if edge["from"] in heights and edge["service"] in heights:
            y1, y2 = heights[edge["from"]] + 12, heights[edge["service"]] + 12
            bow = min(110, 30 + abs(y2 - y1) / 4)
            told = escape(f"{edge['from']} to {edge['service']}: {edge['ports']}")
            line = f"M{x},{y1} C{x - bow},{y1} {x - bow},{y2} {x},{y2}"
            lines.append(f'<path class="edge" marker-end="url(#tip)" d="{line}"><title>{told}</title></path>')
    return lines
