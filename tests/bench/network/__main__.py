"""What keeping its part of the network costs a host, and what one TCP stream gets: medians against bars.

usage: python tests/bench/network [converge] [--hosts 1000] [--rounds 7]
       python tests/bench/network throughput --inventory .lab/lab [--rounds 7] [--step prepare|measure|clear]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from throughput import STEPS, throughput

ROOT = Path(__file__).resolve().parents[3]
PLACES = os.pathsep.join([str(ROOT / "collections"), *sys.path])
BARS = {"build": ("wall", 0.5), "verify": ("cpu", 0.15)}
PREPARE = (
    "mount -t tmpfs tmpfs /run && ip link add eth0 type veth peer name peer0"
    " && ip addr add 10.0.0.1/16 dev eth0 && ip link set eth0 up && ip link set peer0 up"
)


def converge(options):
    """The table of cost: medians of rounds, each of them a build from nothing and a verification."""
    sys.path.insert(0, str(ROOT / "collections"))
    from ansible_collections.stowage.fleet.plugins.module_utils.network.api import allocate

    nodes = [{"name": f"h{n:04}", "address": f"10.0.{n // 250}.{n % 250 + 1}"} for n in range(options.hosts + 1)]
    state = {**allocate({}, nodes, {}, "bench", {nodes[0]["name"]: 1500}), "name": nodes[0]["name"]}
    driver = Path(__file__).with_name("converge.py")
    done = subprocess.run(
        ["unshare", "-n", "-m", "sh", "-c", f"{PREPARE} && exec {sys.executable} {driver}"],
        input=json.dumps({"state": state, "rounds": options.rounds}),
        env={**os.environ, "PYTHONPATH": PLACES},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(f"{options.hosts} remote hosts, medians of {options.rounds} rounds")
    for name, rounds in json.loads(done.stdout).items():
        wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        held, most = BARS[name]
        verdict = "yes" if {"wall": wall, "cpu": cpu}[held] <= most else "NO"
        figures = f"wall {wall * 1000:6.0f} ms   cpu {cpu * 1000:6.0f} ms"
        print(f"  {name:<7} {figures}   bar {held} {most * 1000:.0f} ms: {verdict}")


def main():
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="tests/bench/network")
    works = {"converge": converge, "throughput": throughput}
    parser.add_argument("what", choices=works, nargs="?", default="converge")
    parser.add_argument("--hosts", type=int, default=1000, help="converge: remote hosts")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inventory", default=".lab/lab", help="throughput: a lab's directory")
    parser.add_argument("--seconds", type=int, default=3, help="throughput: how long a stream lasts")
    parser.add_argument("--step", choices=["all", *STEPS], default="all", help="throughput: one step only")
    options = parser.parse_args()
    works[options.what](options)


if __name__ == "__main__":
    main()
