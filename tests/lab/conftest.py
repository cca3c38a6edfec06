"""A fleet on lab hosts, driven as a user drives it: inventory files and ansible-playbook."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import edge as edge_hosts
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RECAP = re.compile(r"^(\S+)\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)

FLEET = """
stowage_fleet: {{name: {name}, domain: fleet, nodes: [{nodes}]}}
stowage_network: {{mode: vxlan, cidr: 10.128.0.0/12, block_prefix: 24}}
stowage_ingress: {{image: "traefik:v3", entrypoints: {{web: ":80"}}, fence_port: 8090}}
"""


class Run:
    """One finished ansible-playbook run."""

    def __init__(self, process, seconds):
        self.rc = process.returncode
        self.text = process.stdout
        self.seconds = seconds
        self.recap = {m[0]: {"changed": int(m[2]), "failed": int(m[4])} for m in RECAP.findall(self.text)}

    @property
    def changed(self):
        """Changed tasks over all hosts."""
        return sum(entry["changed"] for entry in self.recap.values())

    def ok(self):
        """This run, or an assertion with its whole output."""
        assert self.rc == 0, self.text
        return self


class Fleet:
    """Lab hosts as a fleet of their own, with an inventory directory that tests may edit."""

    def __init__(self, hosts_file, directory, name="test"):
        self.hosts = yaml.safe_load(hosts_file.read_text())
        self.directory = directory
        self.name = name
        group = self.hosts["all"]["children"]["stowage_nodes"]
        self.nodes = sorted(group["hosts"])
        shared = {**self.hosts["all"].get("vars", {}), **group.get("vars", {})}
        self.variables = {node: {**shared, **(group["hosts"][node] or {})} for node in self.nodes}
        (directory / "group_vars/all").mkdir(parents=True)
        (directory / "stacks").mkdir()
        (directory / "hosts.yml").write_text(hosts_file.read_text())
        (directory / "group_vars/all/fleet.yml").write_text(FLEET.format(name=name, nodes=", ".join(self.nodes)))

    def outer(self, node):
        """The container that is the node, in the lab's own engine."""
        return f"{self.variables[node]['stowage_lab_name']}-{node}"

    def address(self, node):
        """Where a node is reached."""
        return self.variables[node]["ansible_host"]

    def stack(self, text, name="shop"):
        """Write (or, with None, remove) a stack file."""
        path = self.directory / "stacks" / f"{name}.yml"
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text)
        return path

    def command(self, playbook, *arguments):
        """The argv of a playbook run, by the ansible-core of a venv that STOWAGE_CORE_VENV may name."""
        venv = os.environ.get("STOWAGE_CORE_VENV")
        binary = Path(venv).absolute() / "bin" if venv else Path(os.sys.executable).parent
        return [
            str(binary / "ansible-playbook"),
            f"stowage.fleet.{playbook}",
            "-i",
            str(self.directory / "hosts.yml"),
            *arguments,
        ]

    def environment(self):
        """Environment of a run: the repository's settings, its records beside the inventory."""
        home = {"PWD": str(self.directory), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
        return {**os.environ, **home}

    def play(self, playbook, *arguments, timeout=400):
        """Run a playbook to its end."""
        started = time.monotonic()
        done = subprocess.run(
            self.command(playbook, *arguments),
            cwd=self.directory,
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        return Run(done, time.monotonic() - started)

    def start(self, playbook, *arguments):
        """Start a playbook in a process group of its own; its output comes line by line."""
        return subprocess.Popen(
            self.command(playbook, *arguments),
            cwd=self.directory,
            env={**self.environment(), "PYTHONUNBUFFERED": "1"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def deploy(self, *arguments, **options):
        """Run stowage.fleet.deploy."""
        return self.play("deploy", *arguments, **options)

    def kill_at(self, moment, *arguments):
        """Start a deploy; when a line matches, let that step begin and kill -9 the process group. True if it did."""
        process = self.start("deploy", *arguments)
        killed = False
        for line in process.stdout:
            if re.search(moment, line):
                time.sleep(0.8)
                os.killpg(process.pid, signal.SIGKILL)
                killed = True
                break
        process.stdout.close()
        process.wait(timeout=400)
        return killed

    def ssh(self, node):
        """The argv of ssh to a node, to which a command is added."""
        host = self.variables[node]
        ssh = ["ssh", "-i", host["ansible_ssh_private_key_file"], *host.get("ansible_ssh_common_args", "").split()]
        return [*ssh, "-o", "BatchMode=yes", f"root@{host['ansible_host']}"]

    def shell(self, node, command, check=True, timeout=60):
        """Run a shell command on a node; its output."""
        argv = [*self.ssh(node), command]
        done = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, check=False)
        assert done.returncode == 0 or not check, f"{node}: {command}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait_for(self, node, seconds=60):
        """Until a host that was started again has its units up and a Docker Engine that answers."""
        ready = "docker version >/dev/null 2>&1 && systemctl is-system-running --wait"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.shell(node, ready) == "running":
                    return
            except (AssertionError, subprocess.TimeoutExpired):
                time.sleep(1)

    def containers(self, service=None, everything=False):
        """[{node, name, image, state, service, slot, ip, id}] of the fleet's containers, sorted by name."""
        fields = "{{.ID}}\t{{.Names}}\t{{.Image}}\t{{.State}}"
        labels = "".join('\t{{.Label "stowage.' + key + '"}}' for key in ("service", "slot", "ip"))
        every = "-a" if everything else ""
        found = []
        for node in self.nodes:
            listed = self.shell(
                node, f"docker ps {every} --no-trunc -f label=stowage.fleet --format '{fields}{labels}'"
            )
            for line in listed.splitlines():
                keys = ("id", "name", "image", "state", "service", "slot", "ip")
                found.append({"node": node, **dict(zip(keys, line.split("\t"), strict=True))})
        found = [c for c in found if service in (None, c["service"])]
        return sorted(found, key=lambda c: c["name"])

    def get(self, host="shop.localhost", path="/", node=None, timeout=5):
        """The JSON that the ingress answers for a host name."""
        url = f"http://{self.address(node or self.nodes[0])}{path}"
        request = urllib.request.Request(url, headers={"Host": host})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.loads(answer.read())

    def forget_releases(self):
        """Remove the records of releases from every host."""
        for node in self.nodes:
            self.shell(node, "rm -rf /var/lib/stowage/releases")

    def wipe(self):
        """Remove every container and volume of the fleet by its label, and what is remembered of them."""
        self.stack(None)
        for node in self.nodes:
            self.shell(
                node,
                "docker ps -aq -f label=stowage.fleet | xargs -r docker rm -f >/dev/null;"
                "docker volume ls -q -f label=stowage.fleet | xargs -r docker volume rm >/dev/null;"
                "rm -f /var/lib/stowage/volumes.json /run/stowage/lock.json;"
                "rm -rf /var/lib/stowage/secrets /run/stowage/secrets/sets /run/stowage/secrets/live",
            )


class Load:
    """Requests through the ingress while something happens; every failure counts, nothing is retried."""

    def __init__(self, fleet, host="shop.localhost", threads=4):
        self.fleet, self.host = fleet, host
        self.done = threading.Event()
        self.good, self.bad, self.versions = 0, [], set()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._work) for _number in range(threads)]

    def _work(self):
        while not self.done.is_set():
            try:
                answer = self.fleet.get(self.host)
            except (OSError, ValueError) as error:
                with self.lock:
                    self.bad.append(repr(error))
            else:
                with self.lock:
                    self.good += 1
                    self.versions.add(answer["version"])
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_error):
        self.done.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture(scope="session")
def lab_inventory():
    """The inventory file of the lab that the tests may use."""
    given = os.environ.get("STOWAGE_LAB_INVENTORY")
    if not given:
        pytest.skip("STOWAGE_LAB_INVENTORY is not set: make test starts a lab and sets it")
    return Path(given).resolve()


@pytest.fixture(scope="session")
def bootstrapped(lab_inventory, tmp_path_factory):
    """The lab's hosts, prepared by stowage.fleet.bootstrap."""
    fleet = Fleet(lab_inventory, tmp_path_factory.mktemp("fleet"))
    fleet.play("bootstrap").ok()
    return fleet


@pytest.fixture(scope="session")
def edge(bootstrapped):
    """Two ingress hosts, and the shop behind them."""
    return edge_hosts.prepare(bootstrapped)


@pytest.fixture
def fleet(bootstrapped):
    """Prepared hosts without any container of an earlier test."""
    bootstrapped.wipe()
    return bootstrapped
