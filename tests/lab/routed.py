"""What tests of modes with FRR share: settings of the fleet, traffic that is watched, silence on a link, sessions."""

from __future__ import annotations

import json
import re
import subprocess
import time

import yaml

INTERVAL = 0.02  # seconds between two pings
CONVERGE = """
- hosts: stowage_nodes
  gather_facts: false
  roles: [stowage.fleet.network]
"""
OBSERVE = """
- hosts: stowage_nodes
  gather_facts: false
  tasks:
    - stowage.fleet.host_frr: {state: observed}
      register: told
    - ansible.builtin.copy:
        dest: "%s/{{ inventory_hostname }}.json"
        content: "{{ told.health | to_json }}"
        mode: "0600"
      delegate_to: localhost
"""


def network(fleet, **settings):
    """Write stowage_network, with what every test of the lab has, and have it so on all hosts, as a bootstrap does."""
    path = fleet.directory / "group_vars/all/fleet.yml"
    text = yaml.safe_dump(
        {"cidr": "10.128.0.0/12", "block_prefix": 24, **settings}, default_flow_style=True, width=1000
    )
    path.write_text(re.sub(r"(?m)^stowage_network:.*$", f"stowage_network: {text.strip()}", path.read_text()))
    play(fleet, CONVERGE)


def play(fleet, text):
    """Run the text of a playbook of the test's own."""
    path = fleet.directory / "own.yml"
    path.write_text(text)
    argv = [fleet.command("x")[0], str(path), "-i", str(fleet.directory / "hosts.yml")]
    done = subprocess.run(
        argv, cwd=fleet.directory, env=fleet.environment(), text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def health(fleet):
    """{node: what host_frr state=observed tells of its sessions}."""
    folder = fleet.directory / "health"
    folder.mkdir(exist_ok=True)
    play(fleet, OBSERVE % folder)
    return {node: json.loads((folder / f"{node}.json").read_text()) for node in fleet.nodes}


def sessions(fleet, node, family="ipv4 unicast"):
    """{neighbor: state} as bgpd tells it."""
    told = json.loads(fleet.shell(node, f"vtysh -c 'show bgp {family} summary json'") or "{}")
    return {peer: entry["state"] for peer, entry in told.get("peers", {}).items()}


def established(fleet, wanted, family="ipv4 unicast", seconds=90):
    """Wait until each node has so many sessions, all established. wanted: {node: count}."""
    deadline = time.monotonic() + seconds
    while True:
        found = {node: sessions(fleet, node, family) for node in wanted}
        if all(list(found[node].values()) == ["Established"] * count for node, count in wanted.items()):
            return
        assert time.monotonic() < deadline, found
        time.sleep(1)


class Traffic:
    """Pings from a network namespace of a node to an address, until the block ends. `gap`: its longest silence."""

    def __init__(self, fleet, node, target, inside="", source=""):
        self.fleet, self.node = fleet, node
        where = f"nsenter -t $(docker inspect -f '{{{{.State.Pid}}}}' {inside}) -n " if inside else ""
        self.command = f"{where}ping -D -O -i {INTERVAL} {f'-I {source} ' if source else ''}{target}"
        self.mark = f"/run/traffic-{target}"

    def __enter__(self):
        host = self.fleet.variables[self.node]
        ssh = ["ssh", "-i", host["ansible_ssh_private_key_file"], *host.get("ansible_ssh_common_args", "").split()]
        script = f"timeout -s INT 400 {self.command} & echo $! > {self.mark}; wait $!"
        argv = [*ssh, f"root@{host['ansible_host']}", script]
        self.process = subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(1.5)
        return self

    def __exit__(self, *_error):
        time.sleep(0.5)
        self.fleet.shell(self.node, f"kill -INT $(cat {self.mark})", check=False)
        self.text, _none = self.process.communicate(timeout=60)
        self.answers = [float(at) for at in re.findall(r"(?m)^\[([\d.]+)\] \d+ bytes from", self.text)]
        pairs = zip(self.answers, self.answers[1:], strict=False)
        self.gap = max((after - before for before, after in pairs), default=0.0)
        totals = re.search(r"(\d+) packets transmitted, (\d+) received", self.text)
        self.sent, self.got = map(int, totals.groups()) if totals else (0, 0)
        self.lost = self.sent - self.got


SILENCE = """
table netdev silence {
  chain inward {
    type filter hook ingress device "%(device)s" priority 0; tcp dport 22 accept; meta protocol arp accept; drop
  }
  chain outward {
    type filter hook egress device "%(device)s" priority 0; tcp sport 22 accept; meta protocol arp accept; drop
  }
}
"""


def silence(device):
    """A shell command that drops all that comes and goes on a device, but for SSH; its carrier stays."""
    return f"nft -f - <<'EOF'\n{SILENCE % {'device': device}}EOF"


SPEAK = "nft delete table netdev silence"


def until(condition, seconds=30, step=0.5):
    """Wait until a condition holds; whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(step)
    return True
