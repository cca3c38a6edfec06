"""make bench-scheduler: the scheduler against its peers and its bars. Exit 1 if a bar is missed.

usage: python tests/bench/scheduler [--quick] [--only plan,fill,planted,openb,roadef] [--sizes 1000,5000]
       [--runs 5] [--docs]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tests" / "unit"), str(Path(__file__).parent)]

import benches  # noqa: E402
import report  # noqa: E402

SIZES = {1000: 10_000, 5000: 50_000, 10000: 100_000}
FILLS = (0.7, 0.8, 0.88, 0.92, 0.95)
NAMES = ("plan", "fill", "planted", "openb", "roadef")
INSTANCES = ("a1_2", "a2_4", "b_01", "b_02", "b_04")
BEGIN, END = "<!-- results: make bench-scheduler ARGS=--docs -->", "<!-- end of results -->"


def arguments():
    parser = argparse.ArgumentParser(prog="make bench-scheduler ARGS=...")
    parser.add_argument("--quick", action="store_true", help="less of everything, under a minute")
    parser.add_argument("--only", default=",".join(NAMES), help=f"of {','.join(NAMES)}")
    parser.add_argument("--sizes", default="", help="hosts of the synthetic fleet, of 1000,5000,10000 (or any other)")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--docs", action="store_true", help="write the table and the plots into docs/")
    chosen = parser.parse_args()
    chosen.only = chosen.only.split(",")
    wrong = set(chosen.only) - set(NAMES)
    if wrong or chosen.runs < 1:
        parser.error(f"no such bench: {', '.join(sorted(wrong))}" if wrong else "--runs must be at least 1")
    chosen.sizes = [int(size) for size in chosen.sizes.split(",") if size] or ([1000] if chosen.quick else list(SIZES))
    return chosen


def jobs(chosen, data):
    """(name, work) of each bench that was asked for, smallest first; None instead of work if its data is absent."""
    quick = chosen.quick
    for hosts in chosen.sizes if "plan" in chosen.only else ():
        yield f"plan {hosts}", lambda hosts=hosts: benches.plan(hosts, SIZES.get(hosts, 10 * hosts), chosen.runs)
    if "fill" in chosen.only:
        yield "fill", lambda: benches.fill(1000, 10_000, FILLS[-1:] if quick else FILLS)
    if "planted" in chosen.only:
        for hosts in (100,) if quick else (100, 1000):
            yield f"planted {hosts}", lambda hosts=hosts: benches.packing(hosts, 2 if quick else 3, chosen.runs)
    if "openb" in chosen.only:
        folder = data / "openb-2023"
        yield "openb", (lambda: benches.gpus(folder, 1 if quick else 3, quick)) if folder.is_dir() else None
    if "roadef" in chosen.only:
        folder = data / "roadef-2012"
        names, draws = (INSTANCES[:2], 20) if quick else (INSTANCES, 20)
        yield "roadef", (lambda: benches.repair(folder, names, draws)) if folder.is_dir() else None


def into_docs(rows, about):
    """The table between its markers, and the plots beside the page."""
    page = ROOT / "docs" / "scheduler-benchmarks.md"
    text = page.read_text(encoding="utf-8")
    before, _begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{page} has no markers for the results")
    page.write_text(f"{before}{BEGIN}\n\n{about}\n\n{report.table(rows)}\n\n{END}{after}", encoding="utf-8")
    images = ROOT / "docs" / "images"
    images.mkdir(exist_ok=True)
    report.plot_times(images / "scheduler-times.svg", rows)
    report.plot_bars(images / "scheduler-bars.svg", rows)


def main():
    chosen = arguments()
    data = Path(os.environ.get("STOWAGE_DATA", ROOT.parent / "shared" / "data")) / "traces"
    rows, skipped, start = [], [], time.monotonic()
    for name, work in jobs(chosen, data):
        if work is None:
            skipped.append(name)
            print(f"{name}: skipped, {data} has no such trace (STOWAGE_DATA)", flush=True)
            continue
        began = time.monotonic()
        found = work()
        rows += found
        print(f"\n{name} ({time.monotonic() - began:.0f} s)\n{report.table(found)}", flush=True)
    told = report.machine()
    about = f"{time.strftime('%Y-%m-%d')}, Python {told['python']}, {told['processor']}"
    about += f", CPU seconds, medians of {chosen.runs} runs"
    about += " (--quick)" if chosen.quick else ""
    report.write(ROOT / ".cache" / "results", rows, {"text": about, "skipped": skipped, "arguments": sys.argv[1:]})
    if chosen.docs:
        into_docs(rows, about + ".")
    missed = [row for row in rows if row.met is False]
    barred = sum(row.met is not None for row in rows)
    took = f"{time.monotonic() - start:.0f} s"
    print(f"\n{about}\n{barred - len(missed)} of {barred} bars met, {len(skipped)} skipped, {took}")
    for row in missed:
        peer = f"peer {row.peer or '-'}, {row.ratio or '-'}"
        print(f"MISSED {row.bench}, {row.case}: {row.ours} ({peer}), bar {row.asked}")
    if not barred:
        print("nothing was measured")
    return 1 if missed or not barred else 0


if __name__ == "__main__":
    sys.exit(main())
