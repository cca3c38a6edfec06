# Copyright: Stowage contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Measure deploys of the same containers: ours, Swarm's, a loop's. Run by tests/bench/run; see docs/benchmarks.md."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from datetime import datetime, timezone
from statistics import median

from contenders import LOOP, OURS, SERVICES, Engines, Loop, Ours, Swarm
from hosts import ADDRESSES, CACHE, FOLDER, LIST, containers, count_calls, everywhere, listening, run

COUNT = sum(service["deploy"]["replicas"] for service in SERVICES.values())
CONTENDERS = {"ours": Ours(), "swarm": Swarm(), "loop": Loop(), "engines": Engines()}
ROWS = {
    "running": f"cold: all {COUNT} running",
    "returned": "cold: command is back",
    "unchanged": "unchanged: command is back",
}
BARS = [("running", "swarm", 1.2), ("running", "loop", 0.4), ("unchanged", "loop", 0.25)]
REST = float(os.environ.get("BENCH_SETTLE", "5"))  # seconds before each measurement, for what the last one left behind


def measure(name, label, with_calls):
    """One contender's turn: {measure: seconds}, the machine's load before each command, and our API calls."""
    contender = CONTENDERS[name]
    contender.prepare()
    if any(everywhere(LIST).values()):
        raise SystemExit("there are containers before the cold deploy")
    with listening() as all_started:
        time.sleep(REST)
        load, began = [os.getloadavg()[0]], time.time()
        returned, _text = contender.deploy(f"{label}-cold")
        first = all_started(COUNT)
    time.sleep(REST)
    load.append(os.getloadavg()[0])
    unchanged, text = contender.deploy(f"{label}-unchanged")
    if containers() != first or re.search(r"changed=[1-9]", text):
        raise SystemExit(f"{name}: the unchanged deploy changed something:\n{text}")
    found = {"running": max(first.values()) - began, "returned": returned, "unchanged": unchanged, "load": load}
    if with_calls:
        found["calls"] = count_calls(lambda: contender.deploy(f"{label}-calls"))
    contender.clear()
    everywhere(f"{LIST} | xargs -r docker rm -f >/dev/null; docker volume prune -f >/dev/null")  # redis made some
    return found


def measure_all(count):
    """All rounds, each in another order; [{contender: what measure() found}]."""
    done = []
    for number in range(count):
        names, turn, values = list(CONTENDERS), number % len(CONTENDERS), {}
        for name in names[turn:] + names[:turn]:
            values[name] = measure(name, f"{number + 1}-{name}", number == 0 and name == "ours")
            seconds = "".join(f"  {key} {values[name][key]:6.2f} s" for key in ROWS)
            print(f"round {number + 1}/{count}  {name:7}{seconds}  load {values[name]['load'][0]:.1f}", flush=True)
        done.append(values)
    return done


def judge(done):
    """The bars: the ratio in each round, their median, whether it holds; then the API calls of each host."""
    found = []
    for key, peer, limit in BARS:
        ratios = [values["ours"][key] / values[peer][key] for values in done]
        found.append({"what": f"{ROWS[key]}, ours / {peer}", "runs": ratios, "value": median(ratios), "bar": limit})
    calls = [len(asked) for asked in done[0]["ours"]["calls"].values()]
    found.append({"what": "unchanged: API calls per host", "runs": calls, "value": max(calls), "bar": 3})
    return [{**row, "met": row["value"] <= row["bar"]} for row in found]


def tables(done, verdicts):
    """Both tables, in Markdown that reads well on a terminal."""
    heads = "".join(f" {f'run {number + 1}':>7} |" for number in range(len(done)))
    lines = [
        f"| {'seconds':28} |         |{heads}  median |",
        f"|{'-' * 30}|---------|{'--------:|' * (len(done) + 1)}",
    ]
    for key, title in ROWS.items():
        for name in CONTENDERS:
            runs = [values[name][key] for values in done]
            lines.append(f"| {title:28} | {name:7} |" + "".join(f" {value:7.2f} |" for value in [*runs, median(runs)]))
    lines += ["", f"| {'bar':42} | {'each run':24} |  value | at most | met |"]
    lines += [f"|{'-' * 44}|{'-' * 26}|-------:|--------:|-----|"]
    for row in verdicts:
        runs = " ".join(f"{value:.2f}".removesuffix(".00") for value in row["runs"])
        met = "yes" if row["met"] else "NO"
        lines.append(f"| {row['what']:42} | {runs:24} | {row['value']:6.2f} | {row['bar']:7} | {met:3} |")
    return "\n".join(lines)


def surroundings():
    """What the figures depend on besides the contenders."""
    galaxy = run([LOOP[0].replace("playbook", "galaxy"), "collection", "list", "community.docker"])[1]
    return {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} processors, Linux {platform.release()}",
        "load": [os.getloadavg()[0]],
        "hosts": len(ADDRESSES),
        "engine": next(iter(everywhere("docker version --format '{{.Server.Version}}'").values())),
        "stowage": run(["git", "describe", "--always", "--dirty"])[1].strip(),
        "ansible-core": [run([argv[0], "--version"])[1].split("]", maxsplit=1)[0].split()[-1] for argv in (OURS, LOOP)],
        "community.docker": re.search(r"community\.docker\s+(\S+)", galaxy)[1],
    }


def main(arguments):
    about = surroundings()
    images = json.dumps({"bench_images": sorted({service["image"] for service in SERVICES.values()})})
    run([*OURS, "tests/bench/prepare.yml", "-e", images], "prepare")
    run([*OURS, "stowage.fleet.bootstrap"], "bootstrap", FOLDER)
    done = measure_all(int(os.environ.get("BENCH_RUNS", "3")))
    about["load"].append(os.getloadavg()[0])
    verdicts = judge(done)
    path = CACHE / f"result-{about['when'][:19].replace(':', '')}.json"
    path.write_text(json.dumps({**about, "rounds": done, "bars": verdicts}, indent=1) + "\n")
    print("", *(f"{key}: {value}" for key, value in about.items()), "", tables(done, verdicts), "", path, sep="\n")
    return 2 if "--strict" in arguments and not all(row["met"] for row in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
