"""What came out: rows with a bar each, printed, as JSON, as a Markdown table, and two small SVG plots of our own."""

from __future__ import annotations

import json
import math
import platform
from typing import Any, NamedTuple

HEADS = ("bench", "case", "ours", "peer", "ratio", "bar", "met")


class Row(NamedTuple):
    """One comparison. met None: told for information, no bar."""

    bench: str
    case: str
    ours: str
    peer: str
    ratio: str
    asked: str
    met: bool | None
    numbers: dict[str, Any]

    def cells(self):
        return (*self[:6], {True: "met", False: "MISSED", None: ""}[self.met])


def table(rows):
    """The rows as a Markdown table, aligned so that it reads well in a terminal too."""
    lines = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADS))]
    text = [["", *(cell.ljust(width) for cell, width in zip(line, widths)), ""] for line in lines]
    text.insert(1, ["", *("-" * width for width in widths), ""])
    return "\n".join(" | ".join(line).strip() for line in text)


def machine():
    return {"python": platform.python_version(), "system": platform.system(), "processor": processor()}


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor() or "unknown"


def write(folder, rows, about):
    """JSON and Markdown for whoever reads .cache/results."""
    folder.mkdir(parents=True, exist_ok=True)
    found = [{**dict(zip(HEADS, row[:6])), "met": row.met, **row.numbers} for row in rows]
    content = {"about": about, "machine": machine(), "rows": found}
    (folder / "bench-scheduler.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "bench-scheduler.md").write_text(table(rows) + "\n", encoding="utf-8")


STYLE = (
    "text{font:13px sans-serif;fill:#24292f}.t{font-weight:600;font-size:15px}.s{font-size:11px;fill:#57606a}"
    ".g{stroke:#d0d7de}.ours{fill:#0969da}.peer{fill:#8c959f}.bar{stroke:#cf222e;stroke-dasharray:4 3}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.g{stroke:#3d444d}}"
)


class Picture:
    """A drawing of rectangles, lines and words."""

    def __init__(self, width, height, title):
        self.size, self.parts = (width, height), []
        self.text(16, 26, title, "t")

    def text(self, x, y, words, kind="", anchor="start"):
        words = str(words).replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>')

    def box(self, x, y, width, height, kind):
        shape = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" rx="2"'
        self.parts.append(f'<rect class="{kind}" {shape}/>')

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def save(self, path):
        width, height = self.size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img">'
        body = "\n".join([head, f"<style>{STYLE}</style>", *self.parts, "</svg>"])
        path.write_text(body + "\n", encoding="utf-8")


def plot_times(path, rows):
    """Seconds of a full plan, ours and the peer's, on a logarithmic scale."""
    found = [row for row in rows if row.bench == "plan"]
    picture = Picture(720, 70 + 62 * len(found), "A full plan, CPU seconds (logarithmic)")
    low, high = -2.0, math.log10(max([row.numbers["peer_seconds"] for row in found], default=1)) + 0.2

    def at(seconds):
        return 150 + 460 * (math.log10(max(seconds, 0.01)) - low) / (high - low)

    for power in range(int(low), int(high) + 1):
        x = at(10.0**power)
        picture.line(x, 40, x, 50 + 62 * len(found), "g")
        picture.text(x, 64 + 62 * len(found), f"{10.0**power:g} s", "s", "middle")
    for index, row in enumerate(found):
        y = 48 + 62 * index
        picture.text(16, y + 26, row.case)
        for step, kind in enumerate(("ours", "peer")):
            seconds = row.numbers[f"{kind}_seconds"]
            picture.box(150, y + 24 * step, at(seconds) - 150, 20, kind)
            words = f"{seconds:.2f} s" + (f", {row.ratio}" if kind == "ours" else " all hosts for each replica")
            picture.text(
                at(seconds) + 6 if seconds < 5 else at(seconds) - 6,
                y + 15 + 24 * step,
                words,
                "s",
                "start" if seconds < 5 else "end",
            )
    picture.save(path)


def plot_bars(path, rows):
    """How far each figure is from its bar: 1 is the bar, longer is better."""
    found = [row for row in rows if row.met is not None and row.numbers.get("margin")]
    picture = Picture(720, 70 + 22 * len(found), "Each figure as a multiple of its bar (right of the line: met)")
    for index, row in enumerate(found):
        y = 44 + 22 * index
        margin = min(row.numbers["margin"], 4)
        picture.text(300, y + 13, f"{row.bench}, {row.case}", "s", "end")
        picture.box(308, y, 90 * margin, 16, "ours" if row.met else "peer")
        picture.text(314 + 90 * margin, y + 13, f"{row.numbers['margin']:.2f}", "s")
    picture.line(398, 38, 398, 50 + 22 * len(found), "bar")
    picture.save(path)
