"""One TCP stream between containers of two hosts: our modes vxlan and bgp, Swarm's overlay, and the hosts themselves.

The fleet is in mode bgp; for a turn of vxlan the two hosts get a better route into the tunnel, so that both modes are
measured between the same containers within seconds. Swarm's overlay has containers of its own on the same hosts.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
SERVICE, OVERLAY, PORT = "bench_stream", "bench-overlay", 5999
FLEET = """
stowage_fleet: {{name: bench, domain: fleet, nodes: [{nodes}]}}
stowage_network: {{mode: bgp}}
stowage_ingress: {{image: "traefik:v3", entrypoints: {{web: ":80"}}, fence_port: 8090}}
"""
STACK = """
services:
  stream:
    image: stowage/tools:1
    command: [sleep, infinity]
    stop_grace_period: 0s
    deploy: {mode: global}
"""
BARS = {"vxlan": 0.95, "bgp": 1.1}


class Hosts:
    """The first two hosts of a lab's inventory, by SSH."""

    def __init__(self, directory):
        self.directory = Path(directory).resolve()
        group = yaml.safe_load((self.directory / "hosts.yml").read_text())["all"]["children"]["stowage_nodes"]
        self.all = sorted(group["hosts"])
        self.names = self.all[:2]
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

    def ours(self, name):
        """Our container on a host."""
        return self.run(name, f"docker ps -q -f label=stowage.service={SERVICE}")


def prepare(options):
    """A fleet in mode bgp with a container on every host; Swarm on two hosts, and a container of it on both."""
    hosts = Hosts(options.inventory)
    fleet = hosts.directory / "bench"
    for folder in ("group_vars/all", "stacks"):
        (fleet / folder).mkdir(parents=True, exist_ok=True)
    (fleet / "hosts.yml").write_text((hosts.directory / "hosts.yml").read_text())
    (fleet / "group_vars/all/fleet.yml").write_text(FLEET.format(nodes=", ".join(hosts.all)))
    (fleet / "stacks/bench.yml").write_text(STACK)
    playbooks = Path(sys.executable).parent / "ansible-playbook"
    for verb in ("bootstrap", "deploy"):
        argv = [str(playbooks), f"stowage.fleet.{verb}", "-i", str(fleet / "hosts.yml")]
        subprocess.run(argv, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, cwd=fleet, check=True)
    clear(options)
    first, second = hosts.names
    hosts.run(first, f"docker swarm init --advertise-addr {hosts.addresses[first]} --data-path-port 4790")
    token = hosts.run(first, "docker swarm join-token -q worker")
    hosts.run(second, f"docker swarm join --token {token} {hosts.addresses[first]}:2377")
    hosts.run(first, f"docker network create -d overlay --attachable {OVERLAY}")
    for name in hosts.names:
        image = hosts.run(name, f"docker inspect -f {{{{.Config.Image}}}} {hosts.ours(name)}")
        hosts.run(name, f"docker run -d --name {OVERLAY} --network {OVERLAY} {image} sleep infinity")


def clear(options):
    """Take Swarm away again; the fleet stays as prepare made it."""
    hosts = Hosts(options.inventory)
    for name in reversed(hosts.names):
        left = f"docker rm -f {OVERLAY}; docker swarm leave --force; sleep 1; docker network rm docker_gwbridge"
        hosts.run(name, left, check=False)


def measure(options):
    """Rounds of one stream for each contender, in turn; medians, and medians of the ratios within each round."""
    hosts = Hosts(options.inventory)
    second = hosts.names[1]
    ours = {name: hosts.inside(name, hosts.ours(name)) for name in hosts.names}
    swarm = {name: hosts.inside(name, OVERLAY) for name in hosts.names}
    form = f'{{{{(index .NetworkSettings.Networks "{OVERLAY}").IPAddress}}}}'
    overlay = hosts.run(second, f"docker inspect -f '{form}' {OVERLAY}")
    address = hosts.run(second, f"docker inspect -f '{{{{index .Config.Labels \"stowage.ip\"}}}}' {hosts.ours(second)}")
    contenders = {
        "raw": (dict.fromkeys(hosts.names, ""), hosts.addresses[second]),
        "vxlan": (ours, address),
        "bgp": (ours, address),
        "swarm": (swarm, overlay),
    }
    order, found = list(contenders), {name: [] for name in contenders}
    for number in range(options.rounds):
        for name in order[number % 4 :] + order[: number % 4]:
            where, target = contenders[name]
            with tunnel(hosts, name == "vxlan"):
                found[name].append(stream(hosts, where, target, options.seconds))
    report(found)


@contextlib.contextmanager
def tunnel(hosts, wanted):
    """The two hosts' ways to each other's containers: by FRR's route, or into VXLAN while the block runs."""
    ways, (first, second) = {}, hosts.names
    for name in hosts.names:
        table = json.loads(hosts.run(name, "cat /etc/stowage/network.json"))["table"]["nodes"]
        other = table[second if name == first else first]
        ways[name] = (f"{other['block']} via {other['vtep']} dev stwvx0 onlink metric 1", other["gateway"])
    try:
        for name, (way, gateway) in ways.items():
            if wanted:
                hosts.run(name, f"ip route replace {way}")
            told = hosts.run(name, f"ip route get {gateway}")
            if ("stwvx0" in told) != wanted:
                raise SystemExit(f"{name}: {told}: is the fleet in mode bgp?")
        yield
    finally:
        for name, (way, _gateway) in ways.items():
            if wanted:
                hosts.run(name, f"ip route del {way}", check=False)


def stream(hosts, where, target, seconds):
    """Gbit/s of one TCP stream, as the receiver counts it; the first second does not count."""
    first, second = hosts.names
    hosts.run(second, f"{where[second]}iperf3 -s -1 -D -p {PORT} && sleep 0.3")
    text = hosts.run(first, f"{where[first]}iperf3 -c {target} -p {PORT} -t {seconds} -O 1 -J")
    return json.loads(text)["end"]["sum_received"]["bits_per_second"] / 1e9


def report(found):
    """The table."""
    print("| Gbit/s, one TCP stream | median | all rounds | of raw | of Swarm's | bar |")
    print("|---|--:|---|--:|--:|---|")
    for name, values in found.items():
        shares = [statistics.median(a / b for a, b in zip(values, found[of], strict=True)) for of in ("raw", "swarm")]
        rounds = " ".join(f"{value:.2f}" for value in values)
        bound = f"{BARS[name]}: {'met' if shares[1] >= BARS[name] else 'MISSED'}" if name in BARS else ""
        print(f"| {name} | {statistics.median(values):.2f} | {rounds} | {shares[0]:.2f} | {shares[1]:.2f} | {bound} |")


STEPS = {"prepare": prepare, "measure": measure, "clear": clear}


def throughput(options):
    """All steps, or the one that was asked for."""
    for name in STEPS if options.step == "all" else [options.step]:
        STEPS[name](options)
