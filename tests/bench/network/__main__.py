"""Figures of the container network: what keeping it costs a host, and one TCP stream between containers of two hosts.

usage: python tests/bench/network converge [--hosts 1000] [--rounds 7]
       python tests/bench/network prepare|throughput|clear --inventory DIRECTORY    (mode bgp: docs/benchmarks.md)
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
PLACES = os.pathsep.join([str(ROOT / "collections"), *sys.path])
SERVICE = "bench_stream"
STREAM_SECONDS = 3
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


class Hosts:
    """The first two hosts of a lab's inventory, by SSH."""

    def __init__(self, directory):
        self.directory = Path(directory)
        group = yaml.safe_load((self.directory / "hosts.yml").read_text())["all"]["children"]["stowage_nodes"]
        self.names = sorted(group["hosts"])[:2]
        self.addresses = {name: group["hosts"][name]["ansible_host"] for name in self.names}
        shared = group["vars"]
        self.ssh = ["ssh", "-i", shared["ansible_ssh_private_key_file"], *shared["ansible_ssh_common_args"].split()]

    def run(self, name, command, check=True):
        """Standard output of a command on a host."""
        argv = [*self.ssh, f"root@{self.addresses[name]}", command]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise SystemExit(f"{name}: {command}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def inside(self, name, container):
        """What to put before a command so that it runs in a container's network."""
        return f"nsenter -t {self.run(name, f'docker inspect -f {{{{.State.Pid}}}} {container}')} -n "


def prepare(options):
    """Swarm on the two hosts, and a container of each contender on both."""
    hosts = Hosts(options.inventory)
    first, second = hosts.names
    init = f"docker swarm init --advertise-addr {hosts.addresses[first]} --data-path-port 4790 >/dev/null"
    token = hosts.run(first, f"{init}; docker swarm join-token -q worker")
    hosts.run(second, f"docker swarm join --token {token} {hosts.addresses[first]}:2377")
    hosts.run(first, "docker network create -d overlay --attachable bench_overlay")
    for name in hosts.names:
        task = f"$(docker ps -q -f label=stowage.service={SERVICE})"
        image = hosts.run(name, f"docker inspect -f {{{{.Config.Image}}}} {task}")
        hosts.run(name, f"docker run -d --name bench_overlay --network bench_overlay {image}")


def clear(options):
    """Take away what prepare made."""
    hosts = Hosts(options.inventory)
    for name in reversed(hosts.names):
        hosts.run(
            name, "docker rm -f bench_overlay; docker swarm leave --force; docker network rm docker_gwbridge", False
        )


def throughput(options):
    """Rounds of one stream for each contender, in turn; medians, and ratios of each round's figures."""
    hosts = Hosts(options.inventory)
    first, second = hosts.names
    ours = {name: hosts.run(name, f"docker ps -q -f label=stowage.service={SERVICE}") for name in hosts.names}
    address = hosts.run(second, f"docker inspect -f '{{{{index .Config.Labels \"stowage.ip\"}}}}' {ours[second]}")
    form = "{{.NetworkSettings.Networks.bench_overlay.IPAddress}}"
    overlay = hosts.run(second, f"docker inspect -f '{form}' bench_overlay")
    nets = {name: hosts.inside(name, ours[name]) for name in hosts.names}
    swarm = {name: hosts.inside(name, "bench_overlay") for name in hosts.names}
    contenders = {
        "raw": (dict.fromkeys(hosts.names, ""), hosts.addresses[second]),
        "vxlan": (nets, address),
        "bgp": (nets, address),
        "swarm": (swarm, overlay),
    }
    ways = {name: _ways(hosts, name) for name in hosts.names}
    found = {name: [] for name in contenders}
    for number in range(options.rounds):
        order = list(contenders)
        for name in order[number % 4 :] + order[: number % 4]:
            where, target = contenders[name]
            for host, (block, vtep) in ways.items():
                verb = "replace" if name == "vxlan" else "del"
                hosts.run(host, f"ip route {verb} {block} via {vtep} dev stwvx0 onlink metric 1", check=False)
                device = hosts.run(host, f"ip route get {block.split('/')[0]}")
                if ("stwvx0" in device) != (name == "vxlan"):
                    raise SystemExit(f"{name}: {device}: is the fleet in mode bgp?")
            found[name].append(_stream(hosts, (first, second), where, target))
    for host, (block, vtep) in ways.items():
        hosts.run(host, f"ip route del {block} via {vtep} dev stwvx0 onlink metric 1", check=False)
    _table(found)


def _ways(hosts, name):
    """The other host's (block, VTEP)."""
    table = json.loads(hosts.run(name, "cat /etc/stowage/network.json"))["table"]["nodes"]
    other = next(host for host in hosts.names if host != name)
    return table[other]["block"], table[other]["vtep"]


def _stream(hosts, ends, where, target):
    """Gbit/s of one TCP stream, measured by the receiver."""
    first, second = ends
    hosts.run(second, f"{where[second]}iperf3 -s -1 -D -p 5999 && sleep 0.3")
    text = hosts.run(first, f"{where[first]}iperf3 -c {target} -p 5999 -t {STREAM_SECONDS} -O 1 -J")
    return json.loads(text)["end"]["sum_received"]["bits_per_second"] / 1e9


def _table(found):
    print("| Gbit/s, one TCP stream | median | all rounds | of raw | of Swarm's |")
    print("|---|--:|---|--:|--:|")
    for name, values in found.items():
        shares = [statistics.median(a / b for a, b in zip(values, found[of], strict=True)) for of in ("raw", "swarm")]
        rounds = " ".join(f"{value:.2f}" for value in values)
        print(f"| {name} | {statistics.median(values):.2f} | {rounds} | {shares[0]:.2f} | {shares[1]:.2f} |")


def main():
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="tests/bench/network")
    works = {"converge": converge, "prepare": prepare, "throughput": throughput, "clear": clear}
    parser.add_argument("what", choices=works)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--inventory", default=".lab/lab")
    options = parser.parse_args()
    works[options.what](options)


if __name__ == "__main__":
    main()
